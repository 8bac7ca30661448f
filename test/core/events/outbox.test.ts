import { expect } from 'chai';
import {
  CONTROL,
  EVENT,
  NEXT_EVENT,
  OTHER,
  Outbox,
  type OutboxEntry,
  type DispatchMode,
} from '../../../src/core/events/outbox.ts';
import type { OutboxPolicy } from '../../../src/core/events/outbox.ts';

const POLICY: OutboxPolicy = {
  maxInFlight: 8,
  maxUncheckpointed: 6,
  maxBufferedBytes: 1000,
  ackTimeoutMs: 100,
  cover: 'prefix',
};
const box = (order: DispatchMode = 'stream', more: Partial<OutboxPolicy> = {}): Outbox<number> =>
  new Outbox<number>({ ...POLICY, ...more }, order);
const fill = (outbox: Outbox<number>, count: number, key = (n: number): string => `k${String(n % 3)}`): void => {
  for (let n = 1; n <= count; n += 1) outbox.push(n, key(n), 10, n === 1 ? EVENT : NEXT_EVENT);
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
    expect([outbox.floor, outbox.snapshot().item]).to.deep.equal([3, 3]);
  });

  it('stops at maxUncheckpointed until the checkpoint is stored', () => {
    const outbox = box('stream', { maxInFlight: 100 });
    fill(outbox, 20);
    outbox.take(5, 0);
    outbox.settleUpTo(5);
    expect(ords(outbox.take(1, 0))).to.deep.equal([6]);
    outbox.settleUpTo(6);
    expect(outbox.starved).to.equal(true);
    expect(outbox.take(100, 0)).to.deep.equal([]);
    outbox.checkpointed(4);
    expect(outbox.room()).to.equal(4);
  });

  // Found and mended: A1, E1, D1
  it('the entry that holds the floor goes although the window is used up by what is settled ahead of it', () => {
    const outbox = new Outbox<number>({ ...POLICY, maxInFlight: 256, maxUncheckpointed: 256 }, 'key');
    outbox.push(1, 'K', 100, OTHER);
    outbox.push(2, 'K', 100, OTHER);
    for (let n = 0; n < 1000; n += 1) outbox.push(n, `X${String(n)}`, 100, OTHER);
    const flying: number[] = [];
    let settled = 0;
    for (;;) {
      while (flying.length < 32) {
        const entry = outbox.takeKeyed(0);
        if (entry === undefined) break;
        flying.push(entry.ord);
      }
      const ord = flying.shift();
      if (ord === undefined) break;
      outbox.settle(ord);
      outbox.checkpointed(outbox.floor);
      settled += 1;
    }
    expect(settled).to.equal(1002);
  });

  // Found and mended: A1
  it('after one retried key everything goes on, one by one and in batches', () => {
    for (const batch of [false, true]) {
      const outbox = new Outbox<string>({ ...POLICY, maxInFlight: 256, maxUncheckpointed: 256 }, 'key');
      const take = (nowMs: number): readonly OutboxEntry<string>[] => {
        if (batch) return outbox.takeBatch(100, nowMs);
        const one = outbox.takeKeyed(nowMs);
        return one === undefined ? [] : [one];
      };
      outbox.push('A1', 'A', 100, OTHER);
      outbox.push('A2', 'A', 100, OTHER);
      for (let n = 0; n < 400; n += 1) outbox.push(`B${String(n)}`, `B${String(n % 49)}`, 100, OTHER);
      for (let nowMs = 0; nowMs < 2; nowMs += 1)
        for (let got = take(nowMs); got.length > 0; got = take(nowMs))
          for (const { ord, key } of got)
            if (key === 'A' && nowMs === 0) outbox.retry(ord, 16_000, 0, true);
            else outbox.settle(ord);
      for (let got = take(20_000); got.length > 0; got = take(20_000)) {
        for (const { ord } of got) outbox.settle(ord);
        outbox.checkpointed(outbox.floor);
      }
      expect(outbox.floor, batch ? 'in batches' : 'one by one').to.equal(402);
    }
  });

  it('what became due while somebody else looked is there for who asks with an older time', () => {
    const outbox = box('key');
    outbox.push(1, 'a', 10, EVENT);
    outbox.takeKeyed(0);
    outbox.retry(1, 10, 0, true);
    expect(outbox.deadline(11, false), 'due, and no deadline any more').to.equal(undefined);
    expect(outbox.takeKeyed(9)?.ord).to.equal(1);
  });

  for (const order of ['key', 'stream'] as const)
    it(`order ${order}: what is refused again and again waits for its delay each time`, () => {
      const outbox = new Outbox<number>(POLICY, order);
      const take = (nowMs: number): number | undefined =>
        (order === 'key' ? outbox.takeKeyed(nowMs) : outbox.take(1, nowMs)[0])?.ord;
      outbox.push(1, 'a', 10, EVENT);
      expect(take(0)).to.equal(1);
      for (let nowMs = 0; nowMs < 5000; nowMs += 1000) {
        outbox.retry(1, 1000, nowMs, true);
        expect(take(nowMs), 'at once').to.equal(undefined);
        expect(outbox.deadline(nowMs, false)).to.equal(nowMs + 1000);
        expect(take(nowMs + 999), 'just before').to.equal(undefined);
        expect(take(nowMs + 1000), 'when it is due').to.equal(1);
      }
    });

  it(
    'class A: what is settled ahead and stored frees the window, so ' + 'that a key that is stuck holds only itself',
    () => {
      const outbox = box('key', { cover: 'ahead' });
      fill(outbox, 200, (n) => (n % 10 === 1 ? 'stuck' : `k${String(n % 7)}`));
      outbox.retry(outbox.takeKeyed(0)?.ord ?? 0, 1e9, 0, true);
      for (let entry = outbox.takeKeyed(0); entry !== undefined; entry = outbox.takeKeyed(0)) {
        outbox.settle(entry.ord);
        const { ord, runs } = outbox.snapshot();
        outbox.checkpointed(
          ord,
          runs.reduce((sum, run) => sum + run.last - run.first + 1, 0),
        );
      }
      expect(outbox.pending, 'only the key that is stuck').to.equal(20);
      expect(outbox.snapshot().runs[0]).to.deep.equal({ first: 2, last: 10 });
      outbox.settle(1);
      expect(outbox.floor).to.equal(10);
      expect(outbox.snapshot().runs[0]).to.deep.equal({ first: 12, last: 20 });
    },
  );

  it('a run of what is settled ahead ends where a number does not follow, and leaves out what has none', () => {
    const outbox = box('stream', { cover: 'ahead', maxInFlight: 100, maxUncheckpointed: 100 });
    for (const traits of [EVENT, NEXT_EVENT, NEXT_EVENT, EVENT, NEXT_EVENT, OTHER, NEXT_EVENT])
      outbox.push(0, '', 1, traits);
    outbox.take(100, 0);
    for (const ord of [7, 6, 5, 4, 3, 2]) outbox.settle(ord);
    expect(outbox.snapshot().runs).to.deep.equal([
      { first: 2, last: 3 },
      { first: 4, last: 5 },
      { first: 7, last: 7 },
    ]);
    expect(outbox.coverable).to.equal(5);
  });

  it('class C: nothing waits for a checkpoint', () => {
    const outbox = box('stream', { cover: 'nothing' });
    fill(outbox, 100);
    for (let got = outbox.take(10, 0); got.length > 0; got = outbox.take(10, 0))
      for (const { ord } of got) outbox.settle(ord);
    expect([outbox.floor, outbox.starved]).to.deep.equal([100, false]);
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

  it('an overdue acknowledgement counts as a failure; one that is asked for anew is not overdue', () => {
    const outbox = box();
    fill(outbox, 2);
    outbox.take(2, 0);
    outbox.progress(1, 50);
    expect(outbox.expire(100).map(({ ord, faults }) => [ord, faults])).to.deep.equal([[2, 1]]);
    expect(outbox.deadline(100, true)).to.equal(150);
  });

  it('recalls in order when the consumer goes, and a late acknowledgement still counts', () => {
    const outbox = box();
    fill(outbox, 5);
    outbox.take(3, 0);
    expect(ords(outbox.recall(10))).to.deep.equal([1, 2, 3]);
    expect(outbox.settleUpTo(1)).to.equal(1);
    expect(ords(outbox.take(10, 10))).to.deep.equal([2, 3, 4, 5]);
  });

  it('keyed: one in flight per key, the oldest first, a failing key blocks only itself', () => {
    const outbox = box('key');
    fill(outbox, 9);
    const first = [outbox.takeKeyed(0), outbox.takeKeyed(0), outbox.takeKeyed(0), outbox.takeKeyed(0)];
    expect(first.map((entry) => entry?.ord)).to.deep.equal([1, 2, 3, undefined]);
    outbox.retry(1, 1000, 0, true);
    outbox.settle(2);
    outbox.settle(3);
    expect(outbox.takeKeyed(0)?.ord).to.equal(5);
    expect(outbox.takeKeyed(0)?.ord).to.equal(6);
    expect(outbox.takeKeyed(0)).to.equal(undefined);
    expect(outbox.deadline(0, false)).to.equal(1000);
    expect(outbox.takeKeyed(1000)?.ord).to.equal(1);
  });

  it('what is on its way into the dead letters is neither handed over nor overdue, and blocks its key only', () => {
    const outbox = box('key');
    fill(outbox, 4, (n) => (n === 4 ? 'b' : 'a'));
    outbox.takeKeyed(0);
    outbox.bury(1);
    expect(outbox.takeKeyed(0)?.ord).to.equal(4);
    expect(outbox.takeKeyed(1e6)).to.equal(undefined);
    outbox.settle(1);
    expect(outbox.takeKeyed(0)?.ord).to.equal(2);
  });

  it('a suspect goes by its name only, and the others go past it', () => {
    for (const order of ['stream', 'key'] as const) {
      const outbox = box(order);
      fill(outbox, 4, (n) => String(n));
      const next = (): number | undefined => (order === 'key' ? outbox.takeKeyed(0) : outbox.take(1, 0)[0])?.ord;
      expect(next()).to.equal(1);
      outbox.retry(1, 0, 0, false);
      outbox.suspect(1, true);
      expect([next(), next()]).to.deep.equal([2, 3]);
      expect(outbox.takeOne(1, 0)?.attempts).to.equal(2);
      outbox.retry(1, 0, 0, false);
      outbox.suspect(1, false);
      expect(next(), order).to.equal(1);
    }
  });

  it('run: strictly in order, nothing while something is out, a barrier and a suspect alone', () => {
    const outbox = box('run');
    fill(outbox, 3);
    outbox.push(4, '', 1, CONTROL);
    outbox.push(5, '', 1, OTHER);
    expect(ords(outbox.takeRun(10, 0))).to.deep.equal([1, 2, 3]);
    expect(outbox.takeRun(10, 0)).to.deep.equal([]);
    outbox.settle(1);
    outbox.retry(2, 50, 0, true);
    outbox.retry(3, 0, 0, false);
    expect(outbox.takeRun(10, 0)).to.deep.equal([]);
    expect(outbox.deadline(0, false)).to.equal(50);
    outbox.suspect(2, true);
    expect(outbox.takeRun(10, 50)).to.deep.equal([]);
    expect(outbox.takeOne(2, 50)?.ord).to.equal(2);
    outbox.settle(2);
    expect(ords(outbox.takeRun(10, 50))).to.deep.equal([3]);
    outbox.settle(3);
    expect(ords(outbox.takeRun(10, 50))).to.deep.equal([4]);
  });

  it('a control event is a barrier across all keys, one by one and in batches', () => {
    for (const take of ['takeKeyed', 'takeBatch'] as const) {
      const outbox = box('key');
      outbox.push(1, 'a', 1, OTHER);
      outbox.push(2, 'b', 1, OTHER);
      outbox.push(3, 'control', 1, CONTROL);
      outbox.push(4, 'a', 1, OTHER);
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

  it('a control event waits for what is out before it', () => {
    const outbox = box('key');
    outbox.push(1, 'a', 1, OTHER);
    outbox.push(2, 'control', 1, CONTROL);
    expect([outbox.takeKeyed(0)?.ord, outbox.takeKeyed(0)]).to.deep.equal([1, undefined]);
    outbox.settle(1);
    expect(outbox.takeKeyed(0)?.ord).to.equal(2);
  });

  it('what waits to go again keeps its place in the window', () => {
    const outbox = box('key', { maxInFlight: 2 });
    fill(outbox, 9, (n) => String(n));
    for (const ord of [1, 2]) outbox.retry(outbox.takeKeyed(0)?.ord ?? ord, 1000, 0, true);
    expect([outbox.room(), outbox.takeKeyed(0)]).to.deep.equal([0, undefined]);
  });

  it('what an earlier term had settled is never handed over, and the floor passes it', () => {
    const outbox = box('key', { cover: 'ahead' });
    outbox.push(1, 'a', 10, EVENT);
    outbox.pushSettled(2, NEXT_EVENT);
    outbox.push(3, 'b', 10, NEXT_EVENT);
    expect([outbox.takeKeyed(0)?.ord, outbox.takeKeyed(0)?.ord, outbox.takeKeyed(0)]).to.deep.equal([1, 3, undefined]);
    expect([outbox.coverable, outbox.covered]).to.deep.equal([1, 1]);
    outbox.settle(1);
    expect(outbox.floor).to.equal(2);
  });
});
