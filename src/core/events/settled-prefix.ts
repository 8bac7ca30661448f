import type { EntryRing, OutboxEntry } from './outbox-entry.ts';
import { SettledRuns, type Run } from './settled-runs.ts';

/** Content of a checkpoint written now. */
export interface Snapshot<T> {
  /** The end of the settled prefix, and its item; undefined while nothing of this term is settled. */
  readonly ord: number;
  readonly item: T | undefined;
  /** Entries settled ahead of it that are to be named by number; empty unless the policy covers them. */
  readonly runs: readonly Run[];
}

/**
 * Keeps up to where every entry is settled, and which entries are settled ahead of that: the content of a checkpoint.
 * The ring holds the entries that the prefix has not passed. O(1) per entry, amortised.
 */
export class SettledPrefix<T> {
  readonly #ring: EntryRing<T>;
  /** True where a checkpoint names entries settled ahead. */
  readonly #namesAhead: boolean;
  readonly #runs = new SettledRuns();
  #floor = 0;
  #item: T | undefined;

  constructor(ring: EntryRing<T>, namesAhead: boolean) {
    this.#ring = ring;
    this.#namesAhead = namesAhead;
  }

  /** The end of the prefix: the last entry that is settled, and all before it. 0: none. */
  get floor(): number {
    return this.#floor;
  }

  /** The oldest entry that is not settled: the floor waits for it. */
  get oldest(): OutboxEntry<T> | undefined {
    return this.#ring.at(this.#floor + 1);
  }

  /** Number of settled entries that a checkpoint written now would cover. */
  get coverable(): number {
    return this.#floor + this.#runs.count;
  }

  /** Adds an entry that was settled just now: the floor moves over it, or it is settled ahead. */
  add(entry: OutboxEntry<T>): void {
    if (entry.ord === this.#floor + 1) this.#advance();
    else this.#noteAhead(entry);
  }

  /** Returns the content of a checkpoint written now. Costs a walk over the runs settled ahead. */
  snapshot(): Snapshot<T> {
    return { ord: this.#floor, item: this.#item, runs: this.#runs.list() };
  }

  #noteAhead(entry: OutboxEntry<T>): void {
    if (!this.#namesAhead || entry.number === 'none') return;
    this.#runs.add(entry.ord, entry.number === 'next', this.#ring.at(entry.ord + 1)?.number === 'next');
  }

  /** Moves the floor to before the next entry that is not settled; entries that it passes leave the ring. */
  #advance(): void {
    for (let entry = this.oldest; entry?.state === 'settled'; entry = this.oldest) {
      this.#floor = entry.ord;
      this.#item = entry.item;
      this.#runs.passed(entry.ord);
      this.#ring.drop(entry.ord);
    }
  }
}
