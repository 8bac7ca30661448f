import { AHEAD_LIMIT_BYTES } from '../../coordination/store.ts';
import { distance, normalise, succ, type Sequence } from '../../core/events/sequence.ts';

/** An interval of accepted numbers: `count` of them, from `first` on. */
export interface Interval {
  readonly first: Sequence;
  readonly count: number;
}

/**
 * Writes intervals behind `floor` as pairs of steps: from the end of the one before to the first number, and the count.
 * Lowest first; leaves out what exceeds the limit.
 */
export function encodeAhead(
  floor: Sequence,
  intervals: readonly Interval[],
): { readonly ahead: readonly number[]; readonly taken: number } {
  const ahead: number[] = [];
  let end = floor;
  let bytes = '[]'.length;
  let taken = 0;
  for (const { first, count } of intervals) {
    const step = distance(first, end);
    bytes += String(step).length + String(count).length + 2;
    if (bytes > AHEAD_LIMIT_BYTES || step < 1) break;
    ahead.push(step, count);
    end = plus(first, count - 1);
    taken += 1;
  }
  return { ahead, taken };
}

/** Reads what `encodeAhead` wrote. */
export function decodeAhead(floor: Sequence, ahead: readonly number[]): readonly Interval[] {
  const intervals: Interval[] = [];
  let end = floor;
  for (let at = 0; at + 1 < ahead.length; at += 2) {
    const first = plus(end, ahead[at] ?? 0);
    const count = ahead[at + 1] ?? 0;
    intervals.push({ first, count });
    end = plus(first, count - 1);
  }
  return intervals;
}

function plus(sequence: Sequence, steps: number): Sequence {
  return normalise(BigInt(sequence) + BigInt(steps));
}

/**
 * Knows, for class A after a change of leader, which numbers an earlier term had settled ahead of its checkpoint, so
 * that they are not delivered again. It is believed only once a number has come whose content is known: under another
 * numbering the same numbers are other events.
 */
export class SettledBefore {
  #intervals: readonly Interval[] = [];
  #at = 0;
  #proved = false;
  #prints: ReadonlyMap<string, number> = new Map();
  /** The count in the restored record. */
  count = 0;

  /** @param prints fingerprints of some of the numbers, by number. */
  restore(intervals: readonly Interval[], prints: ReadonlyMap<string, number>): void {
    this.#intervals = intervals;
    this.#at = 0;
    this.#proved = false;
    this.#prints = prints;
  }

  /** Returns whether this number was settled before. Numbers must be asked about in growing order. */
  has(sequence: Sequence, print: number): boolean {
    for (let one = this.#intervals[this.#at]; one !== undefined; one = this.#intervals[this.#at]) {
      const from = distance(sequence, one.first);
      if (from < 0) return false;
      if (from < one.count) return this.#believed(sequence, print);
      this.#at += 1;
    }
    return false;
  }

  /** Notes that a number the tracker knows came again: with the content it had, the numbering is the old one. */
  cameAgain(sequence: Sequence, print: number): void {
    if (!this.#proved && this.#intervals.length > 0) this.#proved = this.#prints.get(String(sequence)) === print;
  }

  /** Returns the intervals after `last`; all of them when no number has come. */
  remaining(last: Sequence | undefined): readonly Interval[] {
    const left = this.#intervals.slice(this.#at);
    if (last === undefined) return left;
    return left.flatMap(({ first, count }) => {
      const gone = Math.max(0, distance(last, first) + 1);
      return gone >= count ? [] : [{ first: gone > 0 ? succ(last) : first, count: count - gone }];
    });
  }

  /** Forgets all intervals: the numbering began anew, or its content is not the former one. */
  clear(): void {
    this.#intervals = [];
    this.#at = 0;
  }

  #believed(sequence: Sequence, print: number): boolean {
    const known = this.#prints.get(String(sequence));
    if (known !== undefined && known !== print) this.clear();
    else if (known !== undefined) this.#proved = true;
    return this.#proved && this.#intervals.length > 0;
  }
}
