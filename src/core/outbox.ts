import type { Millis } from './units.ts';

/** The bounds of one stream's delivery. A disruption redelivers at most maxInFlight + maxUncheckpointed events. */
export interface OutboxPolicy {
  /** Handed over and not acknowledged. */
  readonly maxInFlight: number;
  /** Settled, and not yet covered by a stored checkpoint. Delivery stops there. */
  readonly maxUncheckpointed: number;
  readonly maxBufferedBytes: number;
  readonly ackTimeoutMs: Millis;
}

export type EntryState = 'queued' | 'sent' | 'settled';

/** One event or control event on its way to the consumer. `ord` counts from 1 within this process and epoch. */
export interface Entry<T> {
  readonly ord: number;
  readonly key: string;
  readonly bytes: number;
  /** A control event is a barrier: all before it are settled first, nothing after it starts before it is settled. */
  readonly barrier: boolean;
  readonly item: T;
  state: EntryState;
  /** Deliveries begun. */
  attempts: number;
  /** Failures that count toward the dead-letter limit. */
  faults: number;
  /** sent: when the acknowledgement is overdue; queued: not before (0 = now). */
  dueAtMs: Millis;
}

/** Settled entries are cut off the array in runs of this many: one at a time would copy the whole backlog for each. */
const TRIM_AT = 1024;

/**
 * The window between platform and consumer: what waits, what is handed over, what is settled, and the end of the contiguous settled prefix.
 * Deterministic, no clock; it owns its storage because every event passes it (docs/decisions/0003).
 */
export class Outbox<T> {
  readonly #policy: OutboxPolicy;
  #entries: (Entry<T> | undefined)[] = [];
  /** `ord` of #entries[0]. Everything below is settled and forgotten. */
  #firstOrd = 1;
  #nextOrd = 1;
  /** The first entry never handed over. */
  #freshOrd = 1;
  #sent = 0;
  /** Handed over before, and waiting to go again. */
  #waiting = 0;
  #bufferedBytes = 0;
  #floor = 0;
  #floorItem: T | undefined;
  #checkpointed = 0;
  #settledAhead = 0;
  #settledCount = 0;
  /** Entries handed over once that must go again, oldest first. */
  #again: number[] = [];
  readonly #keyed = new Map<string, number[]>();
  readonly #busy = new Set<string>();
  #releasedOrd = 1;

  constructor(policy: OutboxPolicy) {
    this.#policy = policy;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }
  get inFlight(): number {
    return this.#sent;
  }
  /** Entries not yet settled. */
  get pending(): number {
    let count = 0;
    for (const entry of this.#entries) if (entry !== undefined && entry.state !== 'settled') count += 1;
    return count;
  }
  /** Entries accepted and not yet part of the settled prefix. */
  get backlog(): number {
    return this.#nextOrd - 1 - this.#floor;
  }
  get floor(): number {
    return this.#floor;
  }
  /** The last item of the contiguous settled prefix, whose position is the checkpoint. */
  get floorItem(): T | undefined {
    return this.#floorItem;
  }
  /** Entries settled since the beginning, ahead of the prefix or in it. */
  get settledCount(): number {
    return this.#settledCount;
  }
  get lastOrd(): number {
    return this.#nextOrd - 1;
  }
  get full(): boolean {
    return this.#bufferedBytes >= this.#policy.maxBufferedBytes;
  }

  push(item: T, key: string, bytes: number, barrier: boolean): Entry<T> {
    const entry: Entry<T> = {
      ord: this.#nextOrd,
      key,
      bytes,
      barrier,
      item,
      state: 'queued',
      attempts: 0,
      faults: 0,
      dueAtMs: 0,
    };
    this.#nextOrd += 1;
    this.#entries.push(entry);
    this.#bufferedBytes += bytes;
    return entry;
  }

  entry(ord: number): Entry<T> | undefined {
    return this.#entries[ord - this.#firstOrd];
  }

  /**
   * How many entries may be handed over for the first time now. Redeliveries need only a place in flight: they must never wait for a checkpoint that
   * cannot move before they are settled.
   */
  room(): number {
    return Math.max(
      0,
      Math.min(
        this.#policy.maxInFlight - this.#sent - this.#waiting,
        this.#policy.maxUncheckpointed - this.#settledAhead,
      ),
    );
  }

  /** Nothing fresh may go before a checkpoint is stored. */
  get starved(): boolean {
    return this.#settledAhead >= this.#policy.maxUncheckpointed;
  }

  #mayGo(entry: Entry<T>): boolean {
    return entry.attempts > 0 ? this.#sent < this.#policy.maxInFlight : this.room() > 0;
  }

  /** The next entries in stream order: redeliveries that are due, then fresh ones. Marks them sent. */
  take(max: number, nowMs: Millis): Entry<T>[] {
    const out: Entry<T>[] = [];
    if (this.#again.length > 0) this.#takeAgain(out, Math.min(max, this.#policy.maxInFlight - this.#sent), nowMs);
    while (out.length < max && this.#freshOrd < this.#nextOrd && this.room() > 0) {
      const entry = this.entry(this.#freshOrd);
      this.#freshOrd += 1;
      if (entry?.state === 'queued') out.push(this.#send(entry, nowMs));
    }
    return out;
  }

  /** Strictly in order with one outstanding failure blocking the rest: the contiguous run from the oldest unsettled entry, if none is in flight. */
  takeRun(max: number, nowMs: Millis): Entry<T>[] {
    const out: Entry<T>[] = [];
    if (this.#sent > 0) return out;
    for (let ord = Math.max(this.#floor + 1, this.#firstOrd); out.length < max && ord < this.#nextOrd; ord += 1) {
      const entry = this.entry(ord);
      if (entry === undefined || entry.state === 'settled') continue;
      if (entry.state !== 'queued' || entry.dueAtMs > nowMs || !this.#mayGo(entry)) break;
      if (entry.barrier && out.length > 0) break;
      out.push(this.#send(entry, nowMs));
      if (entry.barrier) break;
    }
    this.#again = this.#again.filter((ord) => this.entry(ord)?.state === 'queued');
    this.#freshOrd = Math.max(this.#freshOrd, (out.at(-1)?.ord ?? 0) + 1);
    return out;
  }

  /** In order, leaving out keys whose oldest entry is in flight or not yet due; a barrier goes alone. Marks them sent. */
  takeBatch(max: number, nowMs: Millis): Entry<T>[] {
    const out: Entry<T>[] = [];
    const blocked = new Set<string>();
    let clear = true;
    for (let ord = this.#floor + 1; out.length < max && ord < this.#nextOrd; ord += 1) {
      const entry = this.entry(ord);
      if (entry === undefined || entry.state === 'settled') continue;
      if (entry.barrier && !clear) break;
      clear = false;
      if (blocked.has(entry.key)) continue;
      if (entry.state === 'queued' && entry.attempts === 0 && this.room() === 0) break;
      if (entry.state === 'queued' && entry.dueAtMs <= nowMs && this.#mayGo(entry)) {
        out.push(this.#send(entry, nowMs));
        this.#freshOrd = Math.max(this.#freshOrd, ord + 1);
      } else {
        blocked.add(entry.key);
      }
      if (entry.barrier) break;
    }
    if (this.#again.length > 0) this.#again = this.#again.filter((ord) => this.entry(ord)?.state === 'queued');
    return out;
  }

  /** One entry per key, keys not busy, barriers across all keys. Marks it sent. undefined: nothing may go now. */
  takeKeyed(nowMs: Millis): Entry<T> | undefined {
    if (this.#sent >= this.#policy.maxInFlight) return undefined;
    this.#release();
    for (const [key, queue] of this.#keyed) {
      if (this.#busy.has(key)) continue;
      const entry = this.#headOf(key, queue);
      if (entry === undefined || entry.dueAtMs > nowMs || !this.#mayGo(entry)) continue;
      this.#busy.add(key);
      // To the end of the round, so that no key starves.
      this.#keyed.delete(key);
      this.#keyed.set(key, queue);
      this.#freshOrd = Math.max(this.#freshOrd, entry.ord + 1);
      if (entry.attempts > 0) this.#again = this.#again.filter((ord) => ord !== entry.ord);
      return this.#send(entry, nowMs);
    }
    return undefined;
  }

  /** Acknowledged, dead-lettered, or announced: done. @returns false when it was settled already or is unknown. */
  settle(ord: number): boolean {
    const entry = this.entry(ord);
    if (entry === undefined || entry.state === 'settled') return false;
    if (entry.state === 'sent') this.#sent -= 1;
    else if (entry.attempts > 0) this.#waiting -= 1;
    entry.state = 'settled';
    this.#bufferedBytes -= entry.bytes;
    this.#settledAhead += 1;
    this.#settledCount += 1;
    this.#leaveKey(entry);
    this.#advance();
    return true;
  }

  /** Settles everything handed over up to `ord`. @returns how many were settled by this call. */
  settleUpTo(ord: number): number {
    let count = 0;
    for (let at = this.#floor + 1; at <= ord && at < this.#nextOrd; at += 1) {
      // An entry that was recalled meanwhile had been handed over: its acknowledgement counts.
      if ((this.entry(at)?.attempts ?? 0) > 0 && this.settle(at)) count += 1;
    }
    return count;
  }

  /** Not taken: goes again after `delayMs`. `counted` failures lead to the dead-letter limit. */
  retry(ord: number, delayMs: Millis, nowMs: Millis, counted: boolean): void {
    const entry = this.entry(ord);
    if (entry?.state !== 'sent') return;
    this.#sent -= 1;
    this.#waiting += 1;
    entry.state = 'queued';
    entry.dueAtMs = nowMs + delayMs;
    if (counted) entry.faults += 1;
    this.#busy.delete(entry.key);
    this.#again.push(ord);
  }

  /** The consumer is still at work: its deadline starts anew. */
  progress(ord: number, nowMs: Millis): boolean {
    const entry = this.entry(ord);
    if (entry?.state !== 'sent') return false;
    entry.dueAtMs = nowMs + this.#policy.ackTimeoutMs;
    return true;
  }

  /** The consumer is gone: everything handed over goes again, in order. @returns how many. */
  recall(nowMs: Millis): number {
    let count = 0;
    for (let ord = this.#floor + 1; ord < this.#freshOrd; ord += 1) {
      if (this.entry(ord)?.state !== 'sent') continue;
      this.retry(ord, 0, nowMs, false);
      count += 1;
    }
    return count;
  }

  /** The consumer says it has everything up to `ord`: what was handed over up to there counts as handed over again, without being sent. */
  assume(ord: number, nowMs: Millis): void {
    for (let at = this.#floor + 1; at <= ord && at < this.#freshOrd; at += 1) {
      const entry = this.entry(at);
      if (entry?.state !== 'queued' || entry.attempts === 0) continue;
      this.#send(entry, nowMs);
      entry.attempts -= 1;
    }
    this.#again = this.#again.filter((one) => this.entry(one)?.state === 'queued');
  }

  /** Entries whose acknowledgement is overdue; each is put back to go again and counts as a fault. */
  expire(nowMs: Millis): Entry<T>[] {
    const out: Entry<T>[] = [];
    for (let ord = this.#floor + 1; ord < this.#freshOrd; ord += 1) {
      const entry = this.entry(ord);
      if (entry?.state !== 'sent' || entry.dueAtMs > nowMs) continue;
      this.retry(ord, 0, nowMs, true);
      out.push(entry);
    }
    return out;
  }

  /**
   * When the next redelivery is due, and with `acks` the next overdue acknowledgement. An entry that could go already is no deadline: what keeps it
   * back (room, credit, a hold) will say when it is gone. Costs a walk over the entries handed over and not settled.
   */
  deadline(nowMs: Millis, acks: boolean): Millis | undefined {
    let first: Millis | undefined;
    for (let ord = this.#floor + 1; ord < this.#freshOrd; ord += 1) {
      const entry = this.entry(ord);
      if (entry === undefined || entry.state === 'settled') continue;
      if (entry.state === 'sent' ? !acks : entry.dueAtMs <= nowMs) continue;
      if (first === undefined || entry.dueAtMs < first) first = entry.dueAtMs;
    }
    return first;
  }

  /** The store holds a checkpoint that covers everything up to `ord`. */
  checkpointed(ord: number): void {
    if (ord <= this.#checkpointed) return;
    this.#settledAhead -= Math.min(ord, this.#floor) - this.#checkpointed;
    this.#checkpointed = ord;
  }

  #send(entry: Entry<T>, nowMs: Millis): Entry<T> {
    if (entry.attempts > 0) this.#waiting -= 1;
    entry.state = 'sent';
    entry.attempts += 1;
    entry.dueAtMs = nowMs + this.#policy.ackTimeoutMs;
    this.#sent += 1;
    return entry;
  }

  #takeAgain(out: Entry<T>[], limit: number, nowMs: Millis): void {
    const later: number[] = [];
    for (const ord of this.#again.sort((a, b) => a - b)) {
      const entry = this.entry(ord);
      if (entry?.state !== 'queued') continue;
      if (out.length < limit && entry.dueAtMs <= nowMs) out.push(this.#send(entry, nowMs));
      else later.push(ord);
    }
    this.#again = later;
  }

  /** Lets entries into their keys' queues up to the next barrier. */
  #release(): void {
    while (this.#releasedOrd < this.#nextOrd) {
      const entry = this.entry(this.#releasedOrd);
      if (entry !== undefined && entry.state !== 'settled') {
        if (entry.barrier && this.#floor < entry.ord - 1) return;
        const previous = this.entry(entry.ord - 1);
        if (previous?.barrier === true && previous.state !== 'settled') return;
        const queue = this.#keyed.get(entry.key);
        if (queue === undefined) this.#keyed.set(entry.key, [entry.ord]);
        else queue.push(entry.ord);
      }
      this.#releasedOrd += 1;
    }
  }

  #headOf(key: string, queue: number[]): Entry<T> | undefined {
    for (let head = queue[0]; head !== undefined; head = queue[0]) {
      const entry = this.entry(head);
      if (entry?.state === 'queued') return entry;
      if (entry?.state === 'sent') return undefined;
      queue.shift();
    }
    this.#keyed.delete(key);
    return undefined;
  }

  #leaveKey(entry: Entry<T>): void {
    const queue = this.#keyed.get(entry.key);
    if (queue === undefined) return;
    this.#busy.delete(entry.key);
    if (queue[0] === entry.ord) queue.shift();
    if (queue.length === 0) this.#keyed.delete(entry.key);
  }

  #advance(): void {
    for (let entry = this.entry(this.#floor + 1); entry?.state === 'settled'; entry = this.entry(this.#floor + 1)) {
      this.#floor = entry.ord;
      this.#floorItem = entry.item;
      this.#entries[entry.ord - this.#firstOrd] = undefined;
    }
    const dead = this.#floor + 1 - this.#firstOrd;
    if (dead < TRIM_AT) return;
    this.#entries.splice(0, dead);
    this.#firstOrd += dead;
  }
}
