/**
 * Keeps values by a number, the lowest first: O(log n) to add and to take. The order of values with equal numbers is
 * not guaranteed.
 */
export class BinaryHeap<V> {
  readonly #keys: number[] = [];
  readonly #values: V[] = [];

  get size(): number {
    return this.#keys.length;
  }

  /** The lowest number; undefined when empty. */
  get lowest(): number | undefined {
    return this.#keys[0];
  }

  /** The value with the lowest number; undefined when empty. */
  get top(): V | undefined {
    return this.#values[0];
  }

  push(key: number, value: V): void {
    let at = this.#keys.length;
    this.#keys.push(key);
    this.#values.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#keys[parent] ?? 0) <= key) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Removes the value with the lowest number and returns it. */
  pop(): V | undefined {
    const top = this.#values[0];
    const lastKey = this.#keys.pop();
    const lastValue = this.#values.pop();
    if (lastKey === undefined || lastValue === undefined || this.#keys.length === 0) return top;
    this.#keys[0] = lastKey;
    this.#values[0] = lastValue;
    this.#sink();
    return top;
  }

  clear(): void {
    this.#keys.length = 0;
    this.#values.length = 0;
  }

  #sink(): void {
    const size = this.#keys.length;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= size) return;
      const right = left + 1;
      const child = right < size && (this.#keys[right] ?? 0) < (this.#keys[left] ?? 0) ? right : left;
      if ((this.#keys[at] ?? 0) <= (this.#keys[child] ?? 0)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #swap(a: number, b: number): void {
    const key = this.#keys[a] ?? 0;
    const value = this.#values[a];
    this.#keys[a] = this.#keys[b] ?? 0;
    this.#values[a] = this.#values[b] as V;
    this.#keys[b] = key;
    this.#values[b] = value as V;
  }
}
