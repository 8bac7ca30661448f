/**
 * The way of an event from receipt to checkpoint: sequence tracker, outbox, consumer health, crash suspects, checkpoint
 * schedule. This folder never reads a frame, calls a consumer or writes a record: src/sidecar/stream feeds it,
 * src/delivery hands over what it gives, coordination stores what it snapshots. Outbox and tracker own their storage,
 * because every event passes them (docs/decisions/0003).
 */

import { AckDeadlines } from './ack-deadlines.ts';
import { BinaryHeap } from '../binary-heap.ts';
import { DeliveryWindow, type OutboxPolicy } from './delivery-window.ts';
import { DispatchOrder, type DispatchMode } from './dispatch-order.ts';
import { EntryRing, isDue, older, type OutboxEntry, type EntryState, type Traits } from './outbox-entry.ts';
import { SettledPrefix, type Snapshot } from './settled-prefix.ts';
import { earliest, type Millis } from '../units.ts';

export { SETTLED_AHEAD_LIMIT, type OutboxPolicy } from './delivery-window.ts';
export type { DispatchMode } from './dispatch-order.ts';
export { CONTROL, EVENT, NEXT_EVENT, OTHER, REDRIVEN, type OutboxEntry, type Traits } from './outbox-entry.ts';
export type { Snapshot } from './settled-prefix.ts';

/**
 * Keeps one stream's events between platform and consumer: waiting, handed over, settled, and the contiguous settled
 * prefix. Deterministic, without a clock. No call costs more for a long backlog, for many keys or for a wide window:
 * O(1), or O(log n) where an order is kept.
 */
export class Outbox<T> {
  readonly #policy: OutboxPolicy;
  readonly #order: DispatchMode;
  readonly #slim: (item: T) => T;
  readonly #ring = new EntryRing<T>();
  /** No entry below this one leaves for the first time any more. `key`: released into its lane up to here. */
  #freshOrd = 1;
  readonly #window: DeliveryWindow;
  #bufferedBytes = 0;
  #redrivenBytes = 0;
  /** Redriven entries settled since the last `takeRedriven`. */
  #redriven: number[] = [];
  readonly #prefix: SettledPrefix<T>;
  readonly #queues: DispatchOrder<T>;
  readonly #acks = new AckDeadlines<T>();

  /** @param slim reduces an item that is settled while an older one is not to its numbers, without its bytes. */
  constructor(policy: OutboxPolicy, order: DispatchMode, slim: (item: T) => T = (item) => item) {
    this.#policy = policy;
    this.#order = order;
    this.#slim = slim;
    this.#window = new DeliveryWindow(policy);
    this.#prefix = new SettledPrefix<T>(this.#ring, policy.cover === 'ahead');
    this.#queues = new DispatchOrder<T>(order === 'key');
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }
  /** Bytes of redriven dead letters, which have a budget of their own. */
  get redrivenBytes(): number {
    return this.#redrivenBytes;
  }
  get inFlight(): number {
    return this.#window.sent;
  }
  /** Entries not yet settled. */
  get pending(): number {
    return this.lastOrd - this.#window.settled;
  }
  /** Entries accepted and not yet part of the settled prefix. */
  get backlog(): number {
    return this.lastOrd - this.#prefix.floor;
  }
  get floor(): number {
    return this.#prefix.floor;
  }
  /** Entries settled since the beginning, ahead of the prefix or in it. */
  get settledCount(): number {
    return this.#window.settled;
  }
  get lastOrd(): number {
    return this.#ring.last;
  }
  /** Entries settled while an older one is not. */
  get settledAhead(): number {
    return this.#window.settled - this.#prefix.floor;
  }
  get full(): boolean {
    return this.#bufferedBytes >= this.#policy.maxBufferedBytes;
  }

  /** Adds one entry at the end. @param bytes size of the memory that it keeps alive. */
  push(item: T, key: string, bytes: number, traits: Traits): OutboxEntry<T> {
    const entry = this.#ring.push(item, key, bytes, traits);
    if (traits.redriven) this.#redrivenBytes += bytes;
    else this.#bufferedBytes += bytes;
    return entry;
  }

  /** Adds one entry that an earlier term had settled and the stored checkpoint covers. It is never handed over. */
  pushSettled(item: T, traits: Traits): void {
    const entry = this.#ring.push(this.#slim(item), '', 0, traits);
    entry.state = 'settled';
    this.#window.inherited();
    this.#prefix.add(entry);
  }

  entry(ord: number): OutboxEntry<T> | undefined {
    return ord > this.#prefix.floor ? this.#ring.at(ord) : undefined;
  }

  /** The oldest entry that is not settled: the floor waits for it. */
  get oldest(): OutboxEntry<T> | undefined {
    return this.#prefix.oldest;
  }

  /** Returns how many entries may be handed over for the first time now (see `DeliveryWindow.room`). */
  room(): number {
    return this.#window.room(this.#prefix.floor);
  }

  /** True while an entry that could go waits for a checkpoint. */
  get starved(): boolean {
    return this.#window.starved;
  }

  /** Returns the next entries in stream order: redeliveries that are due, then fresh ones. Marks them sent. */
  take(max: number, nowMs: Millis): OutboxEntry<T>[] {
    const out: OutboxEntry<T>[] = [];
    while (out.length < max) {
      const entry = this.#next(nowMs);
      if (entry === undefined) break;
      out.push(this.#send(entry, nowMs));
    }
    return out;
  }

  /**
   * Returns the contiguous run from the oldest unsettled entry, unless one is out. A barrier, and a suspect, go alone.
   */
  takeRun(max: number, nowMs: Millis): OutboxEntry<T>[] {
    const out: OutboxEntry<T>[] = [];
    if (this.#window.out > 0) return out;
    for (let ord = this.#prefix.floor + 1; out.length < max; ord += 1) {
      const entry = this.#ring.at(ord);
      if (entry === undefined || !this.#mayJoinRun(entry, nowMs)) break;
      if (entry.barrier && out.length > 0) break;
      out.push(this.#send(entry, nowMs));
      if (entry.barrier) break;
    }
    return out;
  }

  /**
   * Returns the oldest entry that may go: one per key at a time, barriers across all keys. Marks it sent. undefined:
   * none may go now.
   */
  takeKeyed(nowMs: Millis): OutboxEntry<T> | undefined {
    const entry = this.#next(nowMs);
    return entry === undefined ? undefined : this.#send(entry, nowMs);
  }

  /** Takes as takeKeyed, several at once: of each key as many as are due, in order; a barrier goes alone. */
  takeBatch(max: number, nowMs: Millis): OutboxEntry<T>[] {
    const out: OutboxEntry<T>[] = [];
    const followers = new BinaryHeap<OutboxEntry<T>>();
    while (out.length < max) {
      const follower = followers.top;
      const entry = older(this.#next(nowMs), follower);
      if (entry === undefined) break;
      if (entry === follower) followers.pop();
      out.push(this.#send(entry, nowMs));
      const after = this.#queues.after(entry, nowMs);
      if (after !== undefined && this.#mayGo(after)) followers.push(after.ord, after);
      while (followers.top !== undefined && !this.#mayGo(followers.top)) followers.pop();
    }
    return out;
  }

  /** Takes this very entry, if it could go but for the suspicion on it. Marks it sent. */
  takeOne(ord: number, nowMs: Millis): OutboxEntry<T> | undefined {
    const entry = this.entry(ord);
    if (entry === undefined || !isDue(entry, nowMs) || !this.#mayGo(entry)) return undefined;
    if (this.#order === 'key' && !this.#queues.isHead(entry)) return undefined;
    if (this.#order === 'run' && (ord !== this.#prefix.floor + 1 || this.#window.out > 0)) return undefined;
    return this.#send(entry, nowMs);
  }

  /** Sets an entry apart (it goes by takeOne only), or lets it go with the others again. */
  suspect(ord: number, suspected: boolean): void {
    const entry = this.entry(ord);
    if (entry === undefined || entry.suspect === suspected) return;
    entry.suspect = suspected;
    if (!suspected && entry.state === 'queued') this.#offer(entry);
  }

  /**
   * Settles an acknowledged, dead-lettered or announced entry. Returns false if it was settled already or is unknown.
   */
  settle(ord: number): boolean {
    const entry = this.entry(ord);
    if (entry === undefined || entry.state === 'settled') return false;
    const was = this.#move(entry, 'settled');
    if (entry.redriven) {
      this.#redrivenBytes -= entry.bytes;
      this.#redriven.push(ord);
    } else this.#bufferedBytes -= entry.bytes;
    if (ord !== this.#prefix.floor + 1) entry.item = this.#slim(entry.item);
    this.#queues.back(entry, was);
    this.#prefix.add(entry);
    return true;
  }

  /** Settles everything handed over up to `ord`. Returns how many this call settled. */
  settleUpTo(ord: number): number {
    let count = 0;
    for (let at = this.#prefix.floor + 1; at <= ord && at <= this.lastOrd; at += 1) {
      // An entry that was recalled meanwhile had been handed over: its acknowledgement counts.
      if ((this.entry(at)?.attempts ?? 0) > 0 && this.settle(at)) count += 1;
    }
    return count;
  }

  /** Lets a refused entry go again after `delayMs`. `counted` failures lead to the dead-letter limit. */
  retry(ord: number, delayMs: Millis, nowMs: Millis, counted: boolean): void {
    const entry = this.entry(ord);
    if (entry?.state !== 'sent' && entry?.state !== 'dying') return;
    const was = this.#move(entry, 'queued');
    entry.dueAtMs = nowMs + delayMs;
    if (counted) entry.faults += 1;
    if (this.#order === 'key') this.#queues.back(entry, was);
    else this.#offer(entry);
  }

  /**
   * Sends the entry on its way into the dead letters: neither handed over nor overdue until it is settled or goes
   * again.
   */
  bury(ord: number): void {
    const entry = this.entry(ord);
    if (entry?.state !== 'sent' && entry?.state !== 'queued') return;
    if (entry.state === 'queued') this.#queues.left(entry);
    this.#move(entry, 'dying');
  }

  /** Starts the deadline of an entry anew: the consumer is still at work. */
  progress(ord: number, nowMs: Millis): boolean {
    const entry = this.entry(ord);
    if (entry?.state !== 'sent') return false;
    this.#expect(entry, nowMs);
    return true;
  }

  /** Lets everything handed over go again, in order: the consumer is gone. Returns these entries. */
  recall(nowMs: Millis): OutboxEntry<T>[] {
    const out = [...this.#acks.entries()];
    for (const entry of out) this.retry(entry.ord, 0, nowMs, false);
    return out.sort((a, b) => a.ord - b.ord);
  }

  /**
   * Counts entries up to `ord` that were handed over as handed over again, without sending them: the consumer has them.
   */
  assume(ord: number, nowMs: Millis): void {
    for (let at = this.#prefix.floor + 1; at <= ord && at < this.#freshOrd; at += 1) {
      const entry = this.entry(at);
      if (entry?.state !== 'queued' || entry.attempts === 0) continue;
      this.#send(entry, nowMs);
      entry.attempts -= 1;
      entry.suspect = false;
    }
  }

  /** Puts overdue entries back to go again, each with one fault more. Returns them. */
  expire(nowMs: Millis): OutboxEntry<T>[] {
    const out: OutboxEntry<T>[] = [];
    for (let due = this.#acks.first(); due !== undefined && due.dueAtMs <= nowMs; due = this.#acks.first()) {
      this.retry(due.entry.ord, 0, nowMs, true);
      out.push(due.entry);
    }
    return out;
  }

  /**
   * Returns when the next redelivery is due, and with `acks` the next overdue acknowledgement. An entry that could go
   * already is no deadline: its obstacle (room, credit, a hold) wakes the stream when it is gone.
   */
  deadline(nowMs: Millis, acks: boolean): Millis | undefined {
    const { oldest } = this;
    const waits = this.#order === 'run' && oldest?.state === 'queued' && oldest.dueAtMs > nowMs;
    const again = this.#order !== 'run' ? this.#queues.nextDue(nowMs) : waits ? oldest.dueAtMs : undefined;
    return earliest(again, acks ? this.#acks.first()?.dueAtMs : undefined);
  }

  /** Returns the redriven entries that were settled since the last call. */
  takeRedriven(): readonly number[] {
    return this.#redriven.length === 0 ? this.#redriven : this.#redriven.splice(0);
  }

  /** Returns the content of a checkpoint written now. Costs a walk over the runs settled ahead. */
  snapshot(): Snapshot<T> {
    return this.#prefix.snapshot();
  }

  /** Number of settled entries that a checkpoint written now would cover; `covered`: that the stored one covers. */
  get coverable(): number {
    return this.#prefix.coverable;
  }
  get covered(): number {
    return this.#window.covered;
  }
  /** The end of the settled prefix that a stored checkpoint covers. */
  get storedOrd(): number {
    return this.#window.storedFloor;
  }

  /** Notes that the store has a checkpoint of the prefix up to `ord` and of `ahead` entries behind it. */
  checkpointed(ord: number, ahead = 0): void {
    this.#window.stored(ord, ahead);
  }

  #mayStart(entry: OutboxEntry<T>): boolean {
    const { floor } = this.#prefix;
    // The entry at the floor goes whatever else is settled ahead of it.
    return this.room() > 0 || (entry.ord === floor + 1 && this.#window.mayStartOldest(floor));
  }

  #mayGo(entry: OutboxEntry<T>): boolean {
    return entry.attempts > 0 ? this.#window.mayRepeat : this.#mayStart(entry);
  }

  /** Returns whether the entry goes with the run that stands directly before it. */
  #mayJoinRun(entry: OutboxEntry<T>, nowMs: Millis): boolean {
    if (!isDue(entry, nowMs) || entry.suspect) return false;
    return entry.attempts > 0 || this.#mayStart(entry);
  }

  /** Returns the oldest entry that may go now; undefined: none. */
  #next(nowMs: Millis): OutboxEntry<T> | undefined {
    const again = this.#queues.dueAgain(nowMs);
    const fresh = this.#order === 'key' ? this.#freshHead() : this.#freshEntry();
    const startable = fresh !== undefined && this.#mayGo(fresh) ? fresh : undefined;
    const repeatable = again !== undefined && this.#mayGo(again) ? again : undefined;
    return older(repeatable, startable);
  }

  #freshHead(): OutboxEntry<T> | undefined {
    this.#release();
    return this.#queues.freshHead();
  }

  #freshEntry(): OutboxEntry<T> | undefined {
    for (; this.#freshOrd <= this.lastOrd; this.#freshOrd += 1) {
      const entry = this.entry(this.#freshOrd);
      if (entry?.state === 'queued' && entry.attempts === 0 && !entry.suspect) return entry;
    }
    return undefined;
  }

  #send(entry: OutboxEntry<T>, nowMs: Millis): OutboxEntry<T> {
    this.#move(entry, 'sent');
    entry.attempts += 1;
    if (this.#order === 'stream') this.#expect(entry, nowMs);
    if (this.#order === 'key') this.#queues.left(entry);
    return entry;
  }

  /** Lets entries into their keys' lanes up to the next barrier. */
  #release(): void {
    for (; this.#freshOrd <= this.lastOrd; this.#freshOrd += 1) {
      const entry = this.entry(this.#freshOrd);
      if (entry === undefined || entry.state === 'settled') continue;
      if (entry.barrier && this.#prefix.floor < entry.ord - 1) return;
      const previous = this.entry(entry.ord - 1);
      if (previous?.barrier === true && previous.state !== 'settled') return;
      this.#queues.release(entry);
    }
  }

  /** Moves an entry to another state. Returns the state it had. */
  #move(entry: OutboxEntry<T>, to: EntryState): EntryState {
    const was = entry.state;
    this.#window.moved(was, to, entry.attempts > 0);
    entry.state = to;
    return was;
  }

  /** Lets an entry go as soon as it is due and there is room. */
  #offer(entry: OutboxEntry<T>): void {
    if (this.#order === 'run') return;
    if (this.#order === 'key' || entry.attempts > 0) this.#queues.offer(entry);
    else this.#freshOrd = Math.min(this.#freshOrd, entry.ord);
  }

  #expect(entry: OutboxEntry<T>, nowMs: Millis): void {
    entry.dueAtMs = nowMs + this.#policy.ackTimeoutMs;
    this.#acks.expect(entry, this.#window.sent);
  }
}
