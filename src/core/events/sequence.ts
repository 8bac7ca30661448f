/**
 * A platform sequence number of any size. A `number` while it is a safe integer, a `bigint` above, so that the usual
 * case costs nothing and 2^53 + 1 is not rounded. `<`, `>` and `==` mix the two exactly; `+` does not: use `succ`.
 */
export type Sequence = number | bigint;

/** Brings a bigint back to a number where that loses nothing. */
export function normalise(value: bigint): Sequence {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/**
 * Reads a non-negative decimal integer of at most 40 digits, without sign, fraction or exponent.
 * @returns undefined for anything else ("12", 1.5, -1 and null in JSON are not sequence numbers).
 */
export function parseSequence(text: string): Sequence | undefined {
  if (!/^(0|[1-9]\d{0,39})$/.test(text)) return undefined;
  return text.length <= 15 ? Number(text) : normalise(BigInt(text));
}

/** Returns the next sequence number. */
export function succ(value: Sequence): Sequence {
  if (typeof value === 'number' && value < Number.MAX_SAFE_INTEGER) return value + 1;
  return BigInt(value) + 1n;
}

/** Returns the sequence number before this one; 0 stays 0. */
export function pred(value: Sequence): Sequence {
  if (typeof value === 'number') return value > 0 ? value - 1 : 0;
  return normalise(value - 1n);
}

/** Returns `a - b` as a number; exact while the distance is below 2^53, saturating (inexact) beyond. */
export function distance(a: Sequence, b: Sequence): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : Number(BigInt(a) - BigInt(b));
}
