import type { OutboxEntry } from './outbox-entry.ts';
import type { Millis } from '../units.ts';

interface Expected<T> {
  readonly entry: OutboxEntry<T>;
  readonly dueAtMs: Millis;
}

/** Records that no longer stand are swept out when they are more than the others by this many. */
const SWEEP_AT = 1024;

/**
 * Keeps the expected acknowledgements, the soonest overdue first: all wait equally long, so that is the order in which
 * they were asked for. O(1) per hand-over, amortised.
 */
export class AckDeadlines<T> {
  /** Records before `#at` are passed, and empty. */
  #records: (Expected<T> | undefined)[] = [];
  #at = 0;

  /** Notes that the entry was handed over, or that its time begins anew; `entry.dueAtMs` is when it is overdue. */
  expect(entry: OutboxEntry<T>, outstanding: number): void {
    this.#records.push({ entry, dueAtMs: entry.dueAtMs });
    if (this.#records.length > 2 * outstanding + SWEEP_AT) this.#sweep();
  }

  /** Returns the acknowledgement that will be overdue first. */
  first(): Expected<T> | undefined {
    for (; this.#at < this.#records.length; this.#at += 1) {
      const first = this.#records[this.#at];
      if (first !== undefined && stands(first)) return first;
      this.#records[this.#at] = undefined;
    }
    return undefined;
  }

  /** Returns all entries whose acknowledgement is expected. */
  entries(): readonly OutboxEntry<T>[] {
    return [...this.#sweep()];
  }

  /**
   * Keeps one record of each entry: an entry handed over twice within the same instant has two that stand. @returns the
   * entries.
   */
  #sweep(): Iterable<OutboxEntry<T>> {
    const standing = new Map<OutboxEntry<T>, Expected<T>>();
    for (const one of this.#records.slice(this.#at)) if (one !== undefined && stands(one)) standing.set(one.entry, one);
    this.#records = [...standing.values()];
    this.#at = 0;
    return standing.keys();
  }
}

/** Returns whether a record stands: its entry is out and its time was not set anew. */
function stands<T>({ entry, dueAtMs }: Expected<T>): boolean {
  return entry.state === 'sent' && entry.dueAtMs === dueAtMs;
}
