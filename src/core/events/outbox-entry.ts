import type { Millis } from '../units.ts';

/** Entries that a new ring has room for; it doubles when it is full. */
const SMALLEST = 1024;

export type EntryState = 'queued' | 'sent' | 'dying' | 'settled';

/** Traits of an entry, apart from its content. */
export interface Traits {
  /** A control event: all before it are settled first, nothing after it starts before it is settled. */
  readonly barrier: boolean;
  /** A dead letter on its way again: it has a budget of bytes of its own. */
  readonly redriven: boolean;
  /** Kind of number by which a checkpoint can name it as settled ahead; `next`: the one after the entry before it. */
  readonly number: 'none' | 'first' | 'next';
}

export const CONTROL: Traits = { barrier: true, redriven: false, number: 'none' };
export const REDRIVEN: Traits = { barrier: false, redriven: true, number: 'none' };
/** An event without a number of its own: classes B and C, and late arrivals. */
export const OTHER: Traits = { barrier: false, redriven: false, number: 'none' };
/** An event whose number does not follow that of the entry before it; then one whose number does. */
export const EVENT: Traits = { barrier: false, redriven: false, number: 'first' };
export const NEXT_EVENT: Traits = { barrier: false, redriven: false, number: 'next' };

/** One event or control event on its way to the consumer. `ord` counts from 1 within this process and epoch. */
export interface OutboxEntry<T> extends Traits {
  readonly ord: number;
  readonly key: string;
  readonly bytes: number;
  item: T;
  state: EntryState;
  /** Deliveries begun. */
  attempts: number;
  /** Failures that count toward the dead-letter limit. */
  faults: number;
  /** Pull, sent: when the acknowledgement is overdue; queued: when it may go at the earliest (0 = now). */
  dueAtMs: Millis;
  /** True when it may have ended the consumer: it goes alone. */
  suspect: boolean;
  /** The next entry of the same key, once that is released. */
  next: OutboxEntry<T> | undefined;
  /** Lane of its key, once it is released. */
  lane: Lane<T> | undefined;
}

/** Returns whether the entry waits to be handed over, and its time has come. */
export function isDue<T>(entry: OutboxEntry<T>, nowMs: Millis): boolean {
  return entry.state === 'queued' && entry.dueAtMs <= nowMs;
}

/** Returns the older of two entries, the first where both are the same; where one is missing, the other. */
export function older<T>(a: OutboxEntry<T> | undefined, b: OutboxEntry<T> | undefined): OutboxEntry<T> | undefined {
  if (a === undefined) return b;
  return b !== undefined && b.ord < a.ord ? b : a;
}

/** Entries of one key that wait or are out, oldest first. */
export interface Lane<T> {
  head: OutboxEntry<T> | undefined;
  tail: OutboxEntry<T> | undefined;
  /** Number of entries handed over, or on their way into the dead letters. */
  out: number;
}

/**
 * Keeps entries by their number in a ring that doubles when it is full: no entry is ever moved to make room at its
 * front.
 */
export class EntryRing<T> {
  #slots: (OutboxEntry<T> | undefined)[] = new Array<undefined>(SMALLEST).fill(undefined);
  #first = 1;
  #next = 1;

  /** Number of the newest entry; 0 when there was none. */
  get last(): number {
    return this.#next - 1;
  }

  at(ord: number): OutboxEntry<T> | undefined {
    return ord >= this.#first && ord < this.#next ? this.#slots[ord % this.#slots.length] : undefined;
  }

  push(item: T, key: string, bytes: number, { barrier, redriven, number }: Traits): OutboxEntry<T> {
    if (this.#next - this.#first >= this.#slots.length) this.#grow();
    const entry: OutboxEntry<T> = {
      ord: this.#next,
      key,
      bytes,
      barrier,
      redriven,
      number,
      item,
      state: 'queued',
      attempts: 0,
      faults: 0,
      dueAtMs: 0,
      suspect: false,
      next: undefined,
      lane: undefined,
    };
    this.#slots[entry.ord % this.#slots.length] = entry;
    this.#next += 1;
    return entry;
  }

  /** Forgets the oldest entry. */
  drop(ord: number): void {
    this.#slots[ord % this.#slots.length] = undefined;
    this.#first = ord + 1;
  }

  #grow(): void {
    const slots = new Array<OutboxEntry<T> | undefined>(this.#slots.length * 2).fill(undefined);
    for (let ord = this.#first; ord < this.#next; ord += 1) slots[ord % slots.length] = this.at(ord);
    this.#slots = slots;
  }
}
