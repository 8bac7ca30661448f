import type { LeaseEffect, LeasePolicy, LeaseView } from '../../src/core/lease/lease.ts';

/** What a planted fault changes. Every one of them must be found by the invariants. */
export type Plant =
  'deadline-from-reply' | 'no-epoch-check' | 'no-quarantine' | 'counter-epoch' | 'loose-reassert' | 'timer-gate';

export const POLICY: LeasePolicy = { ttlMs: 6000, renewEveryMs: 2000, marginMs: 500 };

interface Timed {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Virtual time: what is due runs in order of time, then of planning. */
export class Clock {
  now = 0;
  readonly #queue: Timed[] = [];
  #order = 0;

  after(ms: number, run: () => void): void {
    const at = this.now + Math.max(0, ms);
    const timed = { at, order: this.#order, run };
    this.#order += 1;
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#queue[middle];
      if (other !== undefined && other.at <= at) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, timed);
  }

  /** Runs everything up to `endMs`; `between` is called after each. */
  run(endMs: number, between: () => void): void {
    for (let next = this.#queue[0]; next !== undefined && next.at <= endMs; next = this.#queue[0]) {
      this.#queue.shift();
      this.now = next.at;
      next.run();
      between();
    }
    this.now = endMs;
  }
}

interface Record {
  token: string;
  epoch: number;
  state: 'none' | 'held' | 'released' | 'broken';
  was: Omit<Record, 'was'> | undefined;
  conn: string;
  beat: number;
}

/**
 * The scripts of src/coordination/redis/scripts/lease-scripts.ts as a model;
 * test/coordination/redis/lease-differential.test.ts holds the two together.
 */
export class StoreModel {
  lock: { token: string; expiresAt: number } | undefined;
  fence: Record | undefined;
  incarnation = 'i0';
  run = 'r0';
  checkpoint: { epoch: number; value: number } | undefined;
  up = true;
  clockAheadMs = 1_000_000;
  readonly conns = new Set<string>();
  /** Which token had which epoch: one each, for ever growing. */
  readonly epochs = new Map<number, string>();
  highest = 0;
  /** Data was lost, or an older state came back. */
  lostData = false;
  /** The clock was set back. */
  wentBack = false;
  readonly #now: () => number;
  readonly #plant: Plant | undefined;
  violation: string | undefined;

  constructor(now: () => number, plant: Plant | undefined) {
    this.#now = now;
    this.#plant = plant;
  }

  get time(): number {
    return this.#now() + this.clockAheadMs;
  }

  get held(): string | undefined {
    if (this.lock !== undefined && this.time >= this.lock.expiresAt) this.lock = undefined;
    return this.lock?.token;
  }

  view(): LeaseView {
    const { held } = this;
    return {
      token: held,
      pttlMs: this.lock === undefined ? 0 : this.lock.expiresAt - this.time,
      epoch: this.fence?.epoch ?? 0,
      fenceToken: this.fence?.token ?? '',
      state: this.fence?.state === 'broken' ? 'released' : (this.fence?.state ?? 'none'),
      formerSelf: false,
      conn: this.fence?.conn ?? '',
      beat: String(this.fence?.beat ?? ''),
      incarnation: `${this.incarnation}@${this.run}`,
      storeMs: this.time,
    };
  }

  acquire(
    token: string,
    { incarnation, floor, fenceToken, beat }: Extract<LeaseEffect, { kind: 'acquire' }>,
    conn: string,
  ): { epoch: number } | 'held' | 'quarantine' {
    const { held } = this;
    if (held !== undefined && held !== token) return 'held';
    const was = this.fence;
    const stored = this.fence?.epoch ?? 0;
    const epoch = this.#plant === 'counter-epoch' ? stored + 1 : Math.max(stored + 1, floor + 1, this.time);
    this.fence = { token, epoch, state: 'held', was, conn: '', beat: 0 };
    this.lock = { token, expiresAt: this.time + POLICY.ttlMs };
    const watched =
      `${this.incarnation}@${this.run}` === incarnation &&
      (was?.token ?? '') === fenceToken &&
      String(was?.beat ?? '') === beat;
    if (!watched && was?.state !== 'released' && was?.state !== 'broken' && this.#plant !== 'no-quarantine') {
      this.lock = undefined;
      this.fence = was;
      return 'quarantine';
    }
    this.fence.conn = conn;
    this.#note(epoch, token);
    return { epoch };
  }

  renew(token: string, epoch: number, notAfter: number, conn: string): 'renewed' | 'rewritten' | 'lost' | 'forgotten' {
    const { held, fence } = this;
    if ((held !== undefined && held !== token) || (fence !== undefined && fence.token !== token)) return 'lost';
    if (held === undefined && fence?.state === 'released') return 'lost';
    if (held === undefined && fence === undefined && this.time > notAfter && this.#plant !== 'loose-reassert')
      return 'forgotten';
    this.lock = { token, expiresAt: this.time + POLICY.ttlMs };
    this.fence = { token, epoch, was: undefined, ...fence, state: 'held', conn, beat: (fence?.beat ?? this.time) + 1 };
    return fence === undefined ? 'rewritten' : 'renewed';
  }

  release(token: string): void {
    if (this.held !== token) return;
    this.lock = undefined;
    if (this.fence?.token === token) this.fence = { ...this.fence, state: 'released', conn: '' };
  }

  break(token: string, conn: string | undefined, beat: string): void {
    const { held } = this;
    if ((held !== undefined && held !== token) || this.fence?.token !== token) return;
    if ((conn !== undefined && this.fence.conn !== conn) || String(this.fence.beat) !== beat) return;
    this.lock = undefined;
    this.fence = { ...this.fence, state: 'broken', conn: '' };
  }

  transfer(token: string, epoch: number, nextEpoch: number, heirToken: string): boolean {
    if (this.held !== token) return this.fence?.token === heirToken;
    if (this.fence?.epoch !== epoch || nextEpoch <= epoch) return false;
    this.lock = { token: heirToken, expiresAt: this.time + POLICY.ttlMs };
    this.fence = { token: heirToken, epoch: nextEpoch, state: 'held', was: undefined, conn: '', beat: 0 };
    this.#note(nextEpoch, heirToken);
    return true;
  }

  save(epoch: number, value: number): boolean {
    if (this.#plant !== 'no-epoch-check' && this.fence?.epoch !== epoch) return false;
    const before = this.checkpoint;
    if (before !== undefined && value < before.value) return false;
    if (before !== undefined && epoch < before.epoch)
      this.violation ??= `S3: a checkpoint of epoch ${String(epoch)} replaced one of ${String(before.epoch)}`;
    this.checkpoint = { epoch, value };
    return true;
  }

  step(ms: number): void {
    this.clockAheadMs += ms;
    if (ms < 0) this.wentBack = true;
  }

  wipe(serial: number): void {
    this.lock = undefined;
    this.fence = undefined;
    this.checkpoint = undefined;
    this.incarnation = `i${String(serial)}`;
    this.lostData = true;
  }

  /**
   * S1: an epoch belongs to one token; and each new one is higher than all before, unless the store lost data *and*
   * its clock went back.
   */
  #note(epoch: number, token: string): void {
    const owner = this.epochs.get(epoch);
    if (owner !== undefined && owner !== token) this.violation ??= `S1: epoch ${String(epoch)} was given twice`;
    else if (epoch <= this.highest && owner === undefined && !(this.lostData && this.wentBack))
      this.violation ??= `S1: epoch ${String(epoch)} after ${String(this.highest)}`;
    this.epochs.set(epoch, token);
    this.highest = Math.max(this.highest, epoch);
  }
}
