import { expect } from 'chai';
import { loadDocuments } from '../../src/config/load-documents.ts';
import { resolve } from '../../src/config/plan.ts';
import { Encoder, stampAttempt, type Parcel, type Stamp } from '../../src/delivery/envelope.ts';
import { FrameReader } from '../../src/platforms/frame-reader.ts';
import { writeDocuments } from '../support/documents.ts';

const plan = resolve(loadDocuments([writeDocuments({ simPort: 1, dialect: 'genesys-streams' })]))[0]?.streams[0];
if (plan === undefined) throw new Error('no plan');
const STAMP: Stamp = {
  epoch: 7,
  ord: 1,
  era: 0,
  replay: 'live',
  nowMs: 0,
  nowEpochMs: 1_767_225_600_000,
  heardEpochMs: 0,
};

/** What the consumer gets of one frame. */
function encode(encoder: Encoder, frame: unknown, more: Partial<Stamp> = {}): Parcel {
  let parcel: Parcel | undefined;
  const fail = (): never => {
    throw new Error('no event');
  };
  new FrameReader(plan!.profile, plan!.fields).read(Buffer.from(JSON.stringify(frame)), false, {
    event: (view) => {
      parcel = encoder.event(view, { ...STAMP, ...more });
    },
    control: fail,
    emptyBatch: fail,
    poison: fail,
  });
  return parcel ?? fail();
}
const read = (parcel: Parcel): Record<string, unknown> => JSON.parse(parcel.ce.toString()) as Record<string, unknown>;

describe('the envelope of one event', () => {
  it('carries epoch, cursor and attempt; the attempt is written in place, at most 9999', () => {
    const encoder = new Encoder(plan);
    const parcel = encode(encoder, { sequence: 3, id: 'e', eventType: 't', conversationId: 5 }, { ord: 12 });
    expect(read(parcel)).to.deep.include({
      id: 'e',
      sequence: '00000000000000000003',
      partitionkey: '5',
      hfepoch: '7',
      hfcursor: '7.12',
      hfattempt: 1,
      data: { sequence: 3, id: 'e', eventType: 't', conversationId: 5 },
    });
    stampAttempt(parcel, 23);
    expect(read(parcel)['hfattempt']).to.equal(23);
    stampAttempt(parcel, 123_456);
    expect(read(parcel)['hfattempt']).to.equal(9999);
  });

  it('of another term in the same millisecond carries that epoch', () => {
    const encoder = new Encoder(plan);
    encode(encoder, { sequence: 1, id: 'a' });
    expect(read(encode(encoder, { sequence: 2, id: 'b' }, { epoch: 8 }))).to.include({ hfepoch: '8', hfcursor: '8.1' });
  });

  it('leaves the bytes of those before it alone, small or large', () => {
    const encoder = new Encoder(plan);
    const texts = ['a'.repeat(100), 'b'.repeat(20_000), 'c'.repeat(15_000), 'd'.repeat(100)];
    const parcels = texts.flatMap((text, at) =>
      [0, 1, 2].map((n) => encode(encoder, { sequence: at * 3 + n, id: `${String(at)}-${String(n)}`, text })),
    );
    for (const [at, parcel] of parcels.entries())
      expect(read(parcel)['data']).to.deep.include({ sequence: at, text: texts[Math.floor(at / 3)] });
  });

  it('has a time only where that is one of RFC 3339, also right after one of the same minute', () => {
    const encoder = new Encoder(plan);
    const timeOf = (timestamp: unknown): unknown => read(encode(encoder, { sequence: 1, id: 'a', timestamp }))['time'];
    expect(timeOf('2026-01-01T00:00:01Z')).to.equal('2026-01-01T00:00:01Z');
    expect(timeOf('2026-01-01T00:00:59.5Z')).to.equal('2026-01-01T00:00:59.5Z');
    expect(timeOf('2026-01-01T00:00:61Z')).to.equal(undefined);
    expect(timeOf('2026-01-01T00:00')).to.equal(undefined);
    expect(timeOf(1_767_225_600_000)).to.equal('2026-01-01T00:00:00.000Z');
    expect(timeOf(253_402_300_800_000), 'year 10000').to.equal(undefined);
  });

  it('without an id is named by numbering and number', () => {
    expect(read(encode(new Encoder(plan), { sequence: 4, eventType: 't' }, { era: 2 }))['id']).to.equal('2-4');
  });
});
