import { expect } from 'chai';
import fc from 'fast-check';
import { CONTROL, EVENT, NEXT_EVENT, Outbox, type OutboxEntry } from '../../../src/core/events/outbox.ts';
import type { OutboxPolicy } from '../../../src/core/events/outbox.ts';

/** Keys drawn unevenly: a few hot ones, many rare ones. */
const key = fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(3) }, fc.nat(400));
const WHATS = [
  'push',
  'push',
  'push',
  'take',
  'take',
  'settle',
  'settle',
  'retry',
  'expire',
  'recall',
  'checkpoint',
  'later',
  'look',
] as const;
const step = fc.record({
  what: fc.constantFrom(...WHATS),
  n: fc.nat(40),
  key,
  control: fc.integer({ min: 0, max: 60 }),
});
type Mode = 'stream' | 'run' | 'key' | 'batch';

/** One outbox driven by random calls, with a record of its own of what must hold. */
class Trial {
  readonly settled = new Set<number>();
  readonly flying = new Set<number>();
  readonly outbox: Outbox<number>;
  readonly mode: Mode;
  readonly policy: OutboxPolicy;
  readonly #covered = new Set<number>();
  readonly #handed = new Set<number>();
  readonly #lastOfKey = new Map<string, number>();
  /** When an entry that was not taken may go again. */
  readonly #dueMs = new Map<number, number>();
  nowMs = 0;
  /** The latest time the outbox was asked with. */
  #seenMs = 0;

  constructor(mode: Mode, policy: OutboxPolicy) {
    this.mode = mode;
    this.policy = policy;
    this.outbox = new Outbox<number>(policy, mode === 'batch' ? 'key' : mode);
  }

  take(max: number): number {
    const { outbox, mode, nowMs } = this;
    const one = mode === 'key' ? outbox.takeKeyed(nowMs) : undefined;
    const got =
      mode === 'stream'
        ? outbox.take(max, nowMs)
        : mode === 'run'
          ? outbox.takeRun(max, nowMs)
          : mode === 'batch'
            ? outbox.takeBatch(max, nowMs)
            : one === undefined
              ? []
              : [one];
    for (const entry of got) this.#handedOver(entry);
    return got.length;
  }

  #handedOver({ ord, key: lane, attempts }: OutboxEntry<number>): void {
    expect(this.settled.has(ord), `settled ${String(ord)} handed over again`).to.equal(false);
    expect(this.flying.has(ord), `${String(ord)} handed over twice at once`).to.equal(false);
    const seenMs = Math.max(this.nowMs, this.#seenMs);
    expect(seenMs, `${String(ord)} handed over before it is due`).to.be.at.least(this.#dueMs.get(ord) ?? 0);
    if (this.mode !== 'stream' && attempts === 1) {
      expect(ord, 'in order within its key').to.be.above(this.#lastOfKey.get(lane) ?? 0);
      this.#lastOfKey.set(lane, ord);
    }
    this.flying.add(ord);
    this.#handed.add(ord);
  }

  settle(ord: number): void {
    this.outbox.settle(ord);
    this.settled.add(ord);
    this.flying.delete(ord);
  }

  /** Somebody reads the clock a little later than who takes. */
  look(aheadMs: number): void {
    this.#seenMs = Math.max(this.#seenMs, this.nowMs + aheadMs);
    this.outbox.deadline(this.nowMs + aheadMs, true);
  }

  retry(ord: number, delayMs: number): void {
    this.outbox.retry(ord, delayMs, this.nowMs, true);
    this.#dueMs.set(ord, this.nowMs + delayMs);
    this.flying.delete(ord);
  }

  checkpoint(): void {
    const { ord, runs } = this.outbox.snapshot();
    for (let at = 1; at <= ord; at += 1) this.#covered.add(at);
    let ahead = 0;
    for (const { first, last } of runs)
      for (let at = first; at <= last; at += 1) {
        expect(this.settled.has(at), 'only what is settled is named').to.equal(true);
        this.#covered.add(at);
        ahead += 1;
      }
    this.outbox.checkpointed(ord, ahead);
  }

  check(): void {
    const { outbox, policy } = this;
    expect(outbox.inFlight).to.equal(this.flying.size);
    expect(outbox.inFlight).to.be.at.most(policy.maxInFlight);
    for (let ord = Math.max(1, outbox.floor - 3); ord <= outbox.floor; ord += 1)
      expect(this.settled.has(ord), 'the floor passes only settled entries').to.equal(true);
    if (policy.cover === 'nothing') return;
    let again = 0;
    for (const ord of this.#handed) if (!this.#covered.has(ord)) again += 1;
    expect(again, 'what a crash would bring again').to.be.at.most(policy.maxInFlight + policy.maxUncheckpointed);
  }

  /** With a willing consumer and store everything is settled in the end. */
  drain(): void {
    const { outbox } = this;
    for (let round = 0; outbox.floor < outbox.lastOrd && round < 20 * outbox.lastOrd + 100; round += 1) {
      this.nowMs += 1000;
      for (const ord of [...this.flying]) this.settle(ord);
      this.checkpoint();
      this.take(100);
      this.check();
    }
    expect(outbox.floor, 'everything is settled').to.equal(outbox.lastOrd);
    expect([outbox.bufferedBytes, outbox.pending, outbox.inFlight]).to.deep.equal([0, 0, 0]);
  }
}

describe('Outbox, any order of calls', () => {
  const policy = fc.record({
    maxInFlight: fc.integer({ min: 1, max: 12 }),
    maxUncheckpointed: fc.integer({ min: 1, max: 12 }),
    maxBufferedBytes: fc.constant(1000),
    ackTimeoutMs: fc.constant(100),
    cover: fc.constantFrom('ahead' as const, 'prefix' as const, 'nothing' as const),
  });

  it(
    'bounds hold, keys stay in order, nothing is lost or settled twice, and with a willing consumer everything ' +
      'is settled',
    () => {
      fc.assert(
        fc.property(
          fc.array(step, { maxLength: 400 }),
          fc.constantFrom('stream' as const, 'run' as const, 'key' as const, 'batch' as const),
          policy,
          (steps, mode, limits) => {
            const trial = new Trial(mode, limits);
            const { outbox } = trial;
            for (const { what, n, key: lane, control } of steps) {
              const inFlight = [...trial.flying];
              const one = inFlight[n % Math.max(1, inFlight.length)];
              if (what === 'push')
                outbox.push(
                  n,
                  control === 0 ? 'control' : `k${String(lane)}`,
                  10,
                  control === 0 ? CONTROL : n % 9 === 0 ? EVENT : NEXT_EVENT,
                );
              else if (what === 'take') trial.take(n);
              else if (what === 'settle' && one !== undefined && mode !== 'run') trial.settle(one);
              else if (what === 'settle' && mode === 'run') for (const ord of inFlight) trial.settle(ord);
              else if (what === 'retry' && one !== undefined) trial.retry(one, n);
              else if (what === 'expire' && mode === 'stream')
                for (const entry of outbox.expire(trial.nowMs)) trial.flying.delete(entry.ord);
              else if (what === 'recall' && mode === 'stream') {
                outbox.recall(trial.nowMs);
                trial.flying.clear();
              } else if (what === 'checkpoint') trial.checkpoint();
              else if (what === 'later') trial.nowMs += n;
              else if (what === 'look') trial.look(n);
              trial.check();
            }
            trial.drain();
          },
        ),
        { numRuns: 400 },
      );
    },
  );
});
