import { Writable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { createLogger } from '../../src/telemetry/logger.ts';
import { AuditLog } from '../../src/telemetry/audit-log.ts';
import { createSecrets } from '../../src/telemetry/secrets.ts';
import { LineSink, SINK_LIMIT_BYTES } from '../../src/telemetry/line-sink.ts';
import { expectNoSecret } from '../support/canary.ts';

const SECRET = 'S3cr/et+Value=with?odd&chars-0123456789';
function captured(): { readonly sink: LineSink; readonly text: () => string } {
  const parts: string[] = [];
  const secrets = createSecrets();
  secrets.add(SECRET);
  const out = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      parts.push(chunk.toString());
      done();
    },
  });
  return { sink: new LineSink(out, secrets), text: () => parts.join('') };
}

describe('no secret in any output', () => {
  it('removes every spelling, whole or cut off, from log and audit lines', () => {
    const { sink, text } = captured();
    const log = createLogger('trace', sink, {});
    const audit = new AuditLog(sink, () => 0);
    log.info({ url: `wss://h/?access_token=${encodeURIComponent(SECRET)}` }, `message with ${SECRET}`);
    log.error({ err: new Error(`failed with ${SECRET}`, { cause: new Error(SECRET) }) });
    log.info({ nested: { deep: [SECRET], basic: `Basic ${Buffer.from(SECRET).toString('base64')}` } });
    log.info(`cut off: ${SECRET.slice(0, 20)}`);
    audit.write('connection.dropped', 'c', { text: `token=${SECRET}` });
    try {
      new URL(`not a url ${SECRET}`);
    } catch (error) {
      log.warn({ err: error });
    }
    expect(text()).to.include('[redacted]');
    expectNoSecret(text(), 'log', [SECRET]);
  });

  it('tells apart secrets that begin alike: the tail of neither stays', () => {
    const secrets = createSecrets();
    const head = 'eyJhbGciOiJSUzI1NiJ9.';
    secrets.add(`${head}AAAA.signature-of-the-first-token`);
    secrets.add(`${head}BBBB.signature-of-the-second-token`);
    const out = secrets.scrub(
      `${head}BBBB.signature-of-the-second-token and ${head}AAAA.signature-of-the-first-token and ` +
        `${head}AAAA.signature`,
    );
    expect(out).to.equal('[redacted] and [redacted] and [redacted]');
  });
});

/** Found and mended: A14. */
describe('the secrets known', () => {
  const HOUR = 3_600_000;
  const at = (endsAtMs: number, nowMs: number) => ({ endsAtMs, nowMs });

  it('a token is forgotten an hour after its end, once another one comes; what has no end stays', () => {
    const secrets = createSecrets();
    secrets.add('the-client-secret');
    secrets.add('token-one', at(1000, 0));
    secrets.add('token-two', at(2000, 0));
    secrets.add('token-two', at(9000, 0));
    secrets.add('token-three', at(HOUR * 3, HOUR + 999));
    expect(secrets.scrub('token-one'), 'an hour is not over').to.equal('[redacted]');
    secrets.add('token-four', at(HOUR * 3, HOUR + 2000));
    expect(secrets.scrub('token-one token-two token-three token-four the-client-secret')).to.equal(
      'token-one [redacted] [redacted] [redacted] [redacted]',
    );
  });

  it('at most 512: the oldest goes first', () => {
    const secrets = createSecrets();
    for (let n = 0; n < 513; n += 1) secrets.add(`secret number ${String(n).padStart(4, '0')}!`);
    expect(secrets.scrub('secret number 0001!')).to.equal('[redacted]');
    expect(secrets.scrub('secret number 0000!'), 'only what it has in common with others').to.equal('[redacted]0!');
  });

  it('are removed wherever they stand, also where two overlap or one lies within another', () => {
    const secrets = createSecrets();
    for (const one of ['abcdefgh', 'efghijklmnop', 'ijklmn', 'q1q1q1q1']) secrets.add(one);
    for (const [text, out] of [
      ['abcdefghijklmnop', '[redacted]'],
      ['<abcdefghijklmnop>', '<[redacted]>'],
      ['ijklmnabcdefgh', '[redacted][redacted]'],
      ['q1q1q1q1q1', '[redacted]'],
      ['abcdefg', 'abcdefg'],
      ['\u{1F600}abcdefgh\u{1F600}', '\u{1F600}[redacted]\u{1F600}'],
      ['', ''],
    ] as const)
      expect(secrets.scrub(text), text).to.equal(out);
  });

  it('no whole secret is left in any text made of pieces of secrets', () => {
    const value = fc.string({ minLength: 6, maxLength: 20, unit: fc.constantFrom('a', 'b', '%', '"') });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(7), { maxLength: 8 }),
        (all, use) => {
          const secrets = createSecrets();
          for (const one of all) secrets.add(one);
          const out = secrets.scrub(use.map((n) => all[n % all.length] ?? '').join(''));
          return all.every((one) => !out.includes(one));
        },
      ),
    );
  });
});

describe('LineSink', () => {
  it('drops and counts when its reader stops, and never grows beyond its limit', () => {
    const stuck = new Writable({ highWaterMark: 1, write: () => undefined });
    const sink = new LineSink(stuck, createSecrets());
    const line = 'x'.repeat(1000);
    for (let n = 0; n < 3000; n += 1) sink.write(line);
    expect(stuck.writableLength).to.be.at.most(SINK_LIMIT_BYTES + 2000);
    expect(sink.takeDropped()).to.be.greaterThan(1000);
  });
});
