import type { Entry } from './outbox-entry.ts';
import type { Millis } from './units.ts';

interface Expected<T> {
  readonly entry: Entry<T>;
  readonly dueAtMs: Millis;
}

/** Records that no longer stand are swept out when they are more than the others by this many. */
const SWEEP_AT = 1024;

/**
 * Keeps which acknowledgements are expected, the soonest overdue first: all wait equally long, so that is the order in which they were asked for.
 * O(1) per hand-over, amortised.
 */
export class AckDeadlines<T> {
  #records: Expected<T>[] = [];
  #at = 0;

  /** The entry was handed over, or its time begins anew; `entry.dueAtMs` says when it is overdue. */
  expect(entry: Entry<T>, outstanding: number): void {
    this.#records.push({ entry, dueAtMs: entry.dueAtMs });
    if (this.#records.length > 2 * outstanding + SWEEP_AT) this.#sweep();
  }

  /** The first that will be overdue. */
  first(): Expected<T> | undefined {
    for (; this.#at < this.#records.length; this.#at += 1) {
      const first = this.#records[this.#at];
      if (first !== undefined && stands(first)) return first;
    }
    return undefined;
  }

  /** All entries whose acknowledgement is expected. */
  entries(): readonly Entry<T>[] {
    this.#sweep();
    return this.#records.map(({ entry }) => entry);
  }

  /** One record of each entry stays: one handed over twice within the same instant has two that stand. */
  #sweep(): void {
    const standing = new Map(
      this.#records
        .slice(this.#at)
        .filter(stands)
        .map((one) => [one.entry, one]),
    );
    this.#records = [...standing.values()];
    this.#at = 0;
  }
}

/** A record stands while its entry is out and its time was not set anew. */
function stands<T>({ entry, dueAtMs }: Expected<T>): boolean {
  return entry.state === 'sent' && entry.dueAtMs === dueAtMs;
}
