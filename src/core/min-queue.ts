import { BinaryHeap } from './binary-heap.ts';

/** Values taken from the front that are forgotten in runs of at least this many. */
const TRIM_AT = 1024;

/**
 * Keeps values by a number, the lowest first. Values that come in growing order, as most do, cost O(1) to add and to
 * take; others O(log n) of their like. The order of values with equal numbers is not guaranteed.
 */
export class MinQueue<V> {
  /** In growing order, from `#at` on. */
  #keys: number[] = [];
  #values: (V | undefined)[] = [];
  #at = 0;
  readonly #others = new BinaryHeap<V>();

  /** The lowest number; undefined when empty. */
  get lowest(): number | undefined {
    const own = this.#keys[this.#at];
    const other = this.#others.lowest;
    return own === undefined || (other !== undefined && other < own) ? other : own;
  }

  /** The value with the lowest number; undefined when empty. */
  get top(): V | undefined {
    return this.#othersFirst ? this.#others.top : this.#values[this.#at];
  }

  push(key: number, value: V): void {
    if (this.#at < this.#keys.length && key < (this.#keys.at(-1) ?? key)) return this.#others.push(key, value);
    this.#keys.push(key);
    this.#values.push(value);
  }

  /** Removes the value with the lowest number and returns it. */
  pop(): V | undefined {
    if (this.#othersFirst) return this.#others.pop();
    const top = this.#values[this.#at];
    if (top === undefined) return undefined;
    // Once taken, a value is not kept alive until the next trim.
    this.#values[this.#at] = undefined;
    this.#at += 1;
    if (this.#at === this.#keys.length) {
      this.#keys.length = 0;
      this.#values.length = 0;
      this.#at = 0;
    } else if (this.#at >= TRIM_AT && this.#at * 2 >= this.#keys.length) {
      this.#keys = this.#keys.slice(this.#at);
      this.#values = this.#values.slice(this.#at);
      this.#at = 0;
    }
    return top;
  }

  get #othersFirst(): boolean {
    const other = this.#others.lowest;
    const own = this.#keys[this.#at];
    return other !== undefined && (own === undefined || other < own);
  }
}
