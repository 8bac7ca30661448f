/** One run of entries settled ahead of the floor, both ends included. */
export interface Run {
  readonly first: number;
  readonly last: number;
}

/** Keeps which entries are settled ahead of the floor, as runs that grow together: O(1) per entry. */
export class SettledRuns {
  readonly #lastOf = new Map<number, number>();
  readonly #firstOf = new Map<number, number>();
  #count = 0;

  /** Number of entries in all runs. */
  get count(): number {
    return this.#count;
  }

  /** Number of runs. */
  get size(): number {
    return this.#lastOf.size;
  }

  /**
   * Adds one entry.
   * @param before it may join the run that ends just before it. @param after the entry behind it may join it.
   */
  add(ord: number, before: boolean, after: boolean): void {
    this.#count += 1;
    const first = before ? (this.#firstOf.get(ord - 1) ?? ord) : ord;
    const last = after ? (this.#lastOf.get(ord + 1) ?? ord) : ord;
    if (first !== ord) this.#firstOf.delete(ord - 1);
    if (last !== ord) this.#lastOf.delete(ord + 1);
    this.#lastOf.set(first, last);
    this.#firstOf.set(last, first);
  }

  /** Notes that the floor has reached `ord`: the run that begins there is part of the prefix now. */
  passed(ord: number): void {
    const last = this.#lastOf.get(ord);
    if (last === undefined) return;
    this.#lastOf.delete(ord);
    this.#firstOf.delete(last);
    this.#count -= last - ord + 1;
  }

  /** Returns all runs, lowest first. Costs O(n log n) in the number of runs. */
  list(): readonly Run[] {
    return [...this.#lastOf].map(([first, last]) => ({ first, last })).sort((a, b) => a.first - b.first);
  }
}
