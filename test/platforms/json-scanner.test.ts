import { expect } from 'chai';
import fc from 'fast-check';
import { PROFILES } from '../../src/platforms/index.ts';
import { FrameReader, type EventView, type FrameSink } from '../../src/platforms/frame-reader.ts';
import { dialTarget, hostsOf } from '../../src/platforms/dial-target.ts';
import { helloFrame, refreshFrame } from '../../src/platforms/client-frames.ts';
import { JsonScanner } from '../../src/platforms/json-scanner.ts';

/** Any JSON text, with white space and escapes thrown in, and sometimes broken. */
const jsonText = fc
  .tuple(fc.json(), fc.nat(3))
  .map(([text, spaces]) => text.replace(/([,:{}[\]])/g, `${' '.repeat(spaces)}$1${'\n'.repeat(spaces % 2)}`));
const member = fc.tuple(fc.constantFrom('sequence', 'id', 'type', 'other', 's\\u0065quence', '__proto__'), jsonText);

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('MemberScanner', () => {
  it('accepts exactly what JSON.parse accepts, on hostile objects, and finds the same members', () => {
    const scanner = new JsonScanner(['sequence', 'id', 'type']);
    fc.assert(
      fc.property(
        fc.array(member, { maxLength: 6 }),
        fc.constantFrom('', ',', '}', '"', '\\', '\u0000', 'x'),
        fc.nat(200),
        (members, junk, at) => {
          const whole = `{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
          const text = junk === '' ? whole : whole.slice(0, at % whole.length) + junk + whole.slice(at % whole.length);
          const bytes = Buffer.from(text);
          if (!text.startsWith('{')) return;
          const end = scanner.object(bytes, 0);
          const valid = end > 0 && bytes.subarray(end).toString().trim() === '';
          expect(valid, text).to.equal(parses(text));
          if (!valid) return;
          const parsed = JSON.parse(text) as Record<string, unknown>;
          for (const name of ['sequence', 'id', 'type']) {
            const slot = scanner.slot(name);
            const found =
              scanner.kind(slot) === 'none'
                ? undefined
                : (JSON.parse(bytes.toString('utf8', scanner.starts[slot], scanner.ends[slot])) as unknown);
            expect(found, `${name} in ${text}`).to.deep.equal(Object.hasOwn(parsed, name) ? parsed[name] : undefined);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('does not take a member from inside a string or a nested object', () => {
    const scanner = new JsonScanner(['sequence']);
    const bytes = Buffer.from('{"a":"\\"sequence\\":9","b":{"sequence":8},"c":[{"sequence":7}]}');
    expect(scanner.object(bytes, 0)).to.equal(bytes.length);
    expect(scanner.kind(scanner.slot('sequence'))).to.equal('none');
  });
});

interface Seen {
  readonly kind: string;
  readonly what: string;
}
function read(data: string | Buffer, dialect: keyof typeof PROFILES = 'genesys-streams', binary = false): Seen[] {
  const seen: Seen[] = [];
  const sink: FrameSink = {
    event: (view: EventView) =>
      seen.push({
        kind: 'event',
        what: `${String(view.sequence)}|${view.text('id') ?? ''}|${view.bytes.toString('utf8', view.start, view.end)}`,
      }),
    control: (control, type) => seen.push({ kind: 'control', what: `${control}|${type}` }),
    emptyBatch: () => seen.push({ kind: 'empty', what: '' }),
    poison: (_bytes, reason) => seen.push({ kind: 'poison', what: reason }),
  };
  new FrameReader(PROFILES[dialect], PROFILES[dialect].fields).read(Buffer.from(data), binary, sink);
  return seen;
}

describe('FrameReader (reliability 5.2)', () => {
  const poison: Readonly<Record<string, string | Buffer>> = {
    '35 not JSON': '{"a":',
    '36 null': 'null',
    '36 number': '7',
    '36 string': '"x"',
    '37 depth 10,000': `{"sequence":1,"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
    '40 sequence missing': '{"id":"a"}',
    '41 sequence "12"': '{"sequence":"12"}',
    '41 sequence 1.5': '{"sequence":1.5}',
    '41 sequence -1': '{"sequence":-1}',
    '41 sequence null': '{"sequence":null}',
    '50 empty text': '',
    'two objects': '{"sequence":1}{"sequence":2}',
    'batch element': '[7]',
  };
  for (const [name, data] of Object.entries(poison))
    it(`${name} is poison`, () => expect(read(data)[0]?.kind).to.equal('poison'));

  it('38, 39, 46: __proto__, duplicate keys and lone surrogates pass with their bytes', () => {
    const text = '{"__proto__":{"x":1},"constructor":1,"sequence":1,"sequence":2,"t":"\\ud800","id":"é"}';
    expect(read(text)).to.deep.equal([{ kind: 'event', what: `2|é|${text}` }]);
    expect(({} as { x?: unknown }).x).to.equal(undefined);
  });
  it('42 sequence 2^53+1 is not rounded', () =>
    expect(read('{"sequence":9007199254740993}')[0]?.what).to.match(/^9007199254740993\|/));
  it('45 an unknown event type passes', () =>
    expect(read('{"sequence":1,"eventType":"novel"}')[0]?.kind).to.equal('event'));
  it('49 a binary frame is poison', () =>
    expect(read('{"sequence":1}', 'genesys-streams', true)[0]?.kind).to.equal('poison'));
  it('51 an unknown control message is counted, not poison', () =>
    expect(read('{"type":"novel"}')).to.deep.equal([{ kind: 'control', what: 'unknown|novel' }]));
  it('names that every object inherits are no control messages', () => {
    for (const type of ['constructor', 'toString', '__proto__'])
      expect(read(JSON.stringify({ type })), type).to.deep.equal([{ kind: 'control', what: `unknown|${type}` }]);
  });
  it('an array is a batch whose elements keep their bytes; an empty one is an empty batch', () => {
    expect(read('[ {"sequence":1 } , {"sequence":2}]').map((one) => one.what)).to.deep.equal([
      '1||{"sequence":1 }',
      '2||{"sequence":2}',
    ]);
    expect(read('[]')[0]?.kind).to.equal('empty');
  });
  it('reads ids and positions of class B, and escaped names', () => {
    expect(
      read('{"event\\u0049d":"x\\u0041","timestamp":"2026-01-01T00:00:00Z"}', 'genesys-analytics-events')[0]?.what,
    ).to.match(/\|xA\|/);
  });
});

describe('dialTarget', () => {
  const hosts = hostsOf(PROFILES['genesys-streams'], { name: 'us-east-1', domain: 'mypurecloud.com' }, {});
  it('puts the token where each endpoint wants it, and nowhere else', () => {
    for (const [dialect, query, header] of [
      ['genesys-streams', true, false],
      ['genesys-architect', true, false],
      ['genesys-analytics-events', false, true],
      ['cxone-events', false, true],
      ['genesys-gateway', true, true],
      ['genesys-analytics-streaming', false, true],
      ['cxone-realtime', false, true],
    ] as const) {
      const target = dialTarget(PROFILES[dialect], {
        hosts,
        path: 'routing-streams',
        topics: [],
        token: 'T0KEN',
        position: undefined,
        reconnect: false,
      });
      expect(new URL(target.url).searchParams.has('access_token'), dialect).to.equal(query);
      expect('authorization' in target.headers, dialect).to.equal(header);
    }
  });
  it("asks for positions, filters and the reconnect flag in the endpoint's own words", () => {
    const url = (
      dialect: keyof typeof PROFILES,
      position: Parameters<typeof dialTarget>[1]['position'],
      reconnect = true,
    ): string =>
      dialTarget(PROFILES[dialect], { hosts, path: 'call-streams', topics: [], token: 't', position, reconnect }).url;
    expect(url('genesys-streams', { kind: 'sequence', value: '42' })).to.equal(
      'wss://api.mypurecloud.com/api/v2/call-streams?access_token=t&sequence=42',
    );
    expect(url('genesys-analytics-events', { kind: 'since', value: '0' }))
      .to.include('since=1970-01-01T00%3A00%3A00.000Z')
      .and.include('types=interaction.routed%2Cinteraction.completed');
    expect(url('cxone-events', { kind: 'cursor', value: 'a+b' }))
      .to.include('cursor=a%2Bb')
      .and.include('types=screenpop%2CagentState');
    expect(url('cxone-events', { kind: 'lastEventId', value: 'e1' })).to.include('lastEventId=e1');
    expect(url('genesys-architect', { kind: 'sequence', value: '42' }))
      .to.include('reconnect=true')
      .and.not.include('sequence=42');
    expect(url('genesys-architect', undefined, false)).to.not.include('reconnect');
  });
  it('offers the subprotocol of S3', () =>
    expect(
      dialTarget(PROFILES['genesys-gateway'], {
        hosts,
        path: undefined,
        topics: [],
        token: 't',
        position: undefined,
        reconnect: false,
      }).subprotocols,
    ).to.deep.equal(['genesys']));
});

describe('frames', () => {
  const facts = {
    clientId: 'c',
    connectionId: '0123456789abcdef',
    attempt: 2,
    reconnect: false,
    subscriptions: ['queueEvents'],
    position: undefined,
    wallMs: 5,
  };
  it('S1: subscribe first, reconnect later with lastSequence and stateDirective', () => {
    expect(helloFrame(PROFILES['genesys-architect'], facts)).to.deep.equal({
      text: '{"type":"subscribe","subscriptions":["queueEvents"],"clientId":"c"}',
    });
    const again = helloFrame(PROFILES['genesys-architect'], {
      ...facts,
      reconnect: true,
      position: { kind: 'sequence', value: '9007199254740993' },
    });
    expect(again).to.deep.equal({
      text:
        '{"type":"reconnect","clientId":"c","lastSequence":9007199254740993,' +
        '"subscriptions":["queueEvents"],"stateDirective":"preserve","timestamp":5}',
    });
    expect(helloFrame(PROFILES['genesys-architect'], { ...facts, reconnect: true }))
      .to.have.property('text')
      .that.includes('"stateDirective":"reset"');
  });
  it('S3: reconnect with connectionId and attempt, refused when one is missing', () => {
    expect(helloFrame(PROFILES['genesys-gateway'], { ...facts, reconnect: true })).to.deep.equal({
      text: '{"type":"reconnect","connectionId":"0123456789abcdef","attempt":2,"timestamp":5}',
    });
    expect(helloFrame(PROFILES['genesys-gateway'], { ...facts, reconnect: true, connectionId: '' })).to.deep.equal({
      missing: 'connectionId',
    });
    expect(helloFrame(PROFILES['genesys-gateway'], facts), 'nothing on the first connection').to.equal(undefined);
  });
  it('sends no frame where frames are forbidden', () => {
    for (const dialect of ['genesys-streams', 'genesys-analytics-events', 'cxone-events'] as const) {
      expect(helloFrame(PROFILES[dialect], { ...facts, reconnect: true })).to.equal(undefined);
      expect(refreshFrame(PROFILES[dialect], 't')).to.equal(undefined);
    }
  });
  it('S4: refreshes in the stream in both forms', () => {
    expect(refreshFrame(PROFILES['genesys-analytics-streaming'], 't')).to.equal('{"type":"token-refresh","token":"t"}');
    expect(refreshFrame(PROFILES['cxone-realtime'], 't')).to.equal(
      '{"type":"auth","headers":{"X-NICE-AUTH":"Bearer t"}}',
    );
  });
});
