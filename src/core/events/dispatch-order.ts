import { MinQueue } from '../min-queue.ts';
import { isDue, type OutboxEntry, type EntryState, type Lane } from './outbox-entry.ts';
import type { Millis } from '../units.ts';

/**
 * Order in which entries leave: `stream`, oldest first, one by one (pull); `run`, strictly one run after the other;
 * `key`, in order within each key.
 */
export type DispatchMode = 'stream' | 'run' | 'key';

/**
 * Keeps the order in which queued entries may leave: redeliveries that are due and heads of keys, the oldest first. It
 * does not know windows. An entry may stand in a heap although it has left by another way; it is dropped when it comes
 * to the top.
 */
export class DispatchOrder<T> {
  readonly #keyed: boolean;
  readonly #lanes = new Map<string, Lane<T>>();
  /** Heads of keys that were never handed over, by age. */
  readonly #fresh = new MinQueue<OutboxEntry<T>>();
  /** Redeliveries that are due, by age; then those that are not due yet, by their time. */
  readonly #again = new MinQueue<OutboxEntry<T>>();
  readonly #later = new MinQueue<OutboxEntry<T>>();
  /** The latest time of any call. A caller that comes with an older one finds what had become due meanwhile. */
  #nowMs: Millis = -Infinity;

  constructor(keyed: boolean) {
    this.#keyed = keyed;
  }

  /** Adds an entry behind the others of its key. */
  release(entry: OutboxEntry<T>): void {
    const lane = this.#lanes.get(entry.key);
    if (lane === undefined) {
      entry.lane = { head: entry, tail: entry, out: 0 };
      this.#lanes.set(entry.key, entry.lane);
      this.#fresh.push(entry.ord, entry);
      return;
    }
    entry.lane = lane;
    if (lane.tail !== undefined) lane.tail.next = entry;
    lane.tail = entry;
  }

  /** Lets the entry go as soon as it is due. */
  offer(entry: OutboxEntry<T>): void {
    if (entry.suspect) return;
    if (entry.attempts > 0) this.#later.push(entry.dueAtMs, entry);
    else this.#fresh.push(entry.ord, entry);
  }

  /** Returns the oldest redelivery that is due. */
  dueAgain(nowMs: Millis): OutboxEntry<T> | undefined {
    this.#ripen(nowMs);
    // An entry that left from here and was refused again stands among those that are not due yet.
    for (let top = this.#again.top; top !== undefined; top = this.#again.top) {
      if (top.dueAtMs <= this.#nowMs && this.#takeable(top)) return top;
      this.#again.pop();
    }
    return undefined;
  }

  /** Returns the oldest head of a key that was never handed over. */
  freshHead(): OutboxEntry<T> | undefined {
    for (let top = this.#fresh.top; top !== undefined; top = this.#fresh.top) {
      if (top.attempts === 0 && this.#takeable(top)) return top;
      this.#fresh.pop();
    }
    return undefined;
  }

  /** Returns the next entry of the same key, if it may go behind this one at once. */
  after(entry: OutboxEntry<T>, nowMs: Millis): OutboxEntry<T> | undefined {
    let { next } = entry;
    while (next?.state === 'settled') next = next.next;
    return next !== undefined && isDue(next, nowMs) && !next.suspect ? next : undefined;
  }

  /** Notes that the entry leaves: its key has it out. */
  left(entry: OutboxEntry<T>): void {
    if (entry.lane !== undefined) entry.lane.out += 1;
  }

  /** Notes that the entry was settled, or is queued again: its key's oldest one may go when none is out. */
  back(entry: OutboxEntry<T>, was: EntryState): void {
    const { lane } = entry;
    if (lane === undefined) return;
    if (was === 'sent' || was === 'dying') lane.out -= 1;
    let { head } = lane;
    while (head?.state === 'settled') head = head.next;
    lane.head = head;
    if (head === undefined) this.#lanes.delete(entry.key);
    else if (lane.out === 0 && head.state === 'queued') this.offer(head);
  }

  /** Returns whether the entry is the oldest of its key, and none of the key is out. */
  isHead(entry: OutboxEntry<T>): boolean {
    const { lane } = entry;
    return lane?.head === entry && lane.out === 0;
  }

  /** Returns when the next redelivery that is not due yet becomes due. */
  nextDue(nowMs: Millis): Millis | undefined {
    this.#ripen(nowMs);
    return this.#later.lowest;
  }

  /** Lets redeliveries whose time has come go by age. Forgets those that left by another way, or got another time. */
  #ripen(nowMs: Millis): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    for (let top = this.#later.top; top !== undefined; top = this.#later.top) {
      const stands = top.state === 'queued' && top.dueAtMs === this.#later.lowest;
      if (stands && top.dueAtMs > this.#nowMs) return;
      this.#later.pop();
      if (stands) this.#again.push(top.ord, top);
    }
  }

  #takeable(entry: OutboxEntry<T>): boolean {
    return entry.state === 'queued' && !entry.suspect && (!this.#keyed || this.isHead(entry));
  }
}
