import { expect } from 'chai';
import fc from 'fast-check';
import { Outbox, type OutboxPolicy } from '../../src/core/outbox.ts';
import { RecentIds } from '../../src/core/recent.ts';

const POLICY: OutboxPolicy = { maxInFlight: 8, maxUncheckpointed: 6, maxBufferedBytes: 1000, ackTimeoutMs: 100 };
const box = (more: Partial<OutboxPolicy> = {}): Outbox<number> => new Outbox<number>({ ...POLICY, ...more });
const fill = (outbox: Outbox<number>, count: number, key = (n: number): string => `k${String(n % 3)}`): void => {
  for (let n = 1; n <= count; n += 1) outbox.push(n, key(n), 10, false);
};
const ords = (entries: readonly { readonly ord: number }[]): number[] => entries.map((entry) => entry.ord);

describe('Outbox', () => {
  it('hands over in order up to the window, and the floor is the contiguous settled prefix', () => {
    const outbox = box();
    fill(outbox, 20);
    expect(ords(outbox.take(100, 0))).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8]);
    outbox.settle(2);
    outbox.settle(3);
    expect(outbox.floor).to.equal(0);
    outbox.settle(1);
    expect([outbox.floor, outbox.floorItem]).to.deep.equal([3, 3]);
  });

  it('stops at maxUncheckpointed until the checkpoint is stored', () => {
    const outbox = box({ maxInFlight: 100 });
    fill(outbox, 20);
    outbox.take(100, 0);
    outbox.settleUpTo(6);
    expect(outbox.take(100, 0)).to.deep.equal([]);
    outbox.checkpointed(4);
    expect(outbox.room()).to.equal(4);
  });

  it('a hole that is never acknowledged stops delivery, and only its deadline sends it again (K5)', () => {
    const outbox = box();
    fill(outbox, 20);
    outbox.take(100, 0);
    for (let ord = 2; ord <= 8; ord += 1) outbox.settle(ord);
    expect(outbox.floor).to.equal(0);
    expect(outbox.take(100, 50)).to.deep.equal([]);
    expect(outbox.deadline(50, true)).to.equal(100);
    expect(ords(outbox.expire(100))).to.include(1);
    expect(outbox.take(1, 100)[0]?.attempts).to.equal(2);
  });

  it('recalls in order when the consumer goes, and a late acknowledgement still counts', () => {
    const outbox = box();
    fill(outbox, 5);
    outbox.take(3, 0);
    expect(outbox.recall(10)).to.equal(3);
    expect(outbox.settleUpTo(1)).to.equal(1);
    expect(ords(outbox.take(10, 10))).to.deep.equal([2, 3, 4, 5]);
  });

  it('keyed: one in flight per key, a failing key blocks only itself', () => {
    const outbox = box();
    fill(outbox, 9);
    const first = [outbox.takeKeyed(0), outbox.takeKeyed(0), outbox.takeKeyed(0), outbox.takeKeyed(0)];
    expect(first.map((entry) => entry?.ord)).to.deep.equal([1, 2, 3, undefined]);
    outbox.retry(1, 1000, 0, true);
    outbox.settle(2);
    outbox.settle(3);
    expect(outbox.takeKeyed(0)?.ord).to.equal(5);
    expect(outbox.takeKeyed(0)?.ord).to.equal(6);
    expect(outbox.takeKeyed(0)).to.equal(undefined);
    expect(outbox.takeKeyed(1000)?.ord).to.equal(1);
  });

  it('a control event is a barrier across all keys, in every way of taking', () => {
    for (const take of ['takeKeyed', 'takeBatch'] as const) {
      const outbox = box();
      outbox.push(1, 'a', 1, false);
      outbox.push(2, 'b', 1, false);
      outbox.push(3, 'control', 1, true);
      outbox.push(4, 'a', 1, false);
      const next = (): number[] =>
        take === 'takeKeyed'
          ? [outbox.takeKeyed(0)].flatMap((entry) => (entry === undefined ? [] : [entry.ord]))
          : ords(outbox.takeBatch(10, 0));
      const seen: number[][] = [];
      for (let round = 0; round < 6; round += 1) {
        const got = next();
        if (got.length > 0) seen.push(got);
        if (got.includes(3)) expect(next(), 'nothing beside the barrier').to.deep.equal([]);
        for (const ord of got) if (take === 'takeBatch' || ord !== 1 || seen.length > 1) outbox.settle(ord);
        if (take === 'takeKeyed' && seen.length === 2) outbox.settle(1);
      }
      expect(seen.flat()).to.deep.equal([1, 2, 3, 4]);
    }
  });

  it('for any mix of handing over, settling, failing and checkpoints: bounds hold, nothing is lost, nothing settled comes again', () => {
    const step = fc.record({
      what: fc.constantFrom(
        'push',
        'take',
        'keyed',
        'batch',
        'settle',
        'retry',
        'expire',
        'recall',
        'checkpoint',
        'later',
      ),
      n: fc.nat(40),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 250 }), fc.constantFrom('take', 'keyed', 'batch'), (steps, mode) => {
        const outbox = box();
        const settled = new Set<number>();
        const flying = new Set<number>();
        let now = 0;
        const got = (entries: readonly { readonly ord: number }[]): void => {
          for (const { ord } of entries) {
            expect(settled.has(ord), `settled ${String(ord)} handed over again`).to.equal(false);
            expect(flying.has(ord), `${String(ord)} handed over twice at once`).to.equal(false);
            flying.add(ord);
          }
        };
        for (const { what, n } of steps) {
          const inFlight = [...flying];
          const one = inFlight[n % Math.max(1, inFlight.length)];
          if (what === 'push') outbox.push(n, `k${String(n % 5)}`, 10, n === 0);
          else if (what === 'take' && mode === 'take') got(outbox.take(n, now));
          else if (what === 'keyed' && mode === 'keyed')
            got([outbox.takeKeyed(now)].flatMap((entry) => (entry === undefined ? [] : [entry])));
          else if (what === 'batch' && mode === 'batch') got(outbox.takeBatch(n, now));
          else if (what === 'settle' && one !== undefined) {
            outbox.settle(one);
            settled.add(one);
            flying.delete(one);
          } else if (what === 'retry' && one !== undefined) {
            outbox.retry(one, n, now, true);
            flying.delete(one);
          } else if (what === 'expire' && mode === 'take')
            for (const entry of outbox.expire(now)) flying.delete(entry.ord);
          else if (what === 'recall' && mode === 'take') {
            outbox.recall(now);
            flying.clear();
          } else if (what === 'checkpoint') outbox.checkpointed(outbox.floor);
          else if (what === 'later') now += n;
          expect(outbox.inFlight).to.equal(flying.size);
          expect(outbox.inFlight).to.be.at.most(POLICY.maxInFlight);
          for (let ord = 1; ord <= outbox.floor; ord += 1)
            expect(settled.has(ord), 'the floor passes only settled entries').to.equal(true);
        }
        // Whatever happened: with a willing consumer everything is settled in the end.
        for (let round = 0; outbox.floor < outbox.lastOrd && round < 5000; round += 1) {
          now += 1000;
          for (const ord of flying) {
            outbox.settle(ord);
            settled.add(ord);
          }
          flying.clear();
          outbox.checkpointed(outbox.floor);
          got(
            mode === 'take'
              ? outbox.take(100, now)
              : mode === 'batch'
                ? outbox.takeBatch(100, now)
                : [outbox.takeKeyed(now)].flatMap((entry) => (entry === undefined ? [] : [entry])),
          );
        }
        expect(outbox.floor).to.equal(outbox.lastOrd);
        expect(outbox.bufferedBytes).to.equal(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('RecentIds', () => {
  it('remembers exactly the last `limit` identities', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30 })), (ids) => {
        const recent = new RecentIds(8);
        const order: string[] = [];
        for (const n of ids) {
          const id = String(n);
          expect(recent.add(id)).to.equal(!order.slice(-8).includes(id));
          if (!order.slice(-8).includes(id)) order.push(id);
          expect(recent.size).to.be.at.most(8);
        }
      }),
    );
  });
});
