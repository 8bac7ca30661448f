import type { EpochMillis, Millis } from '../units.ts';

/** Completeness of a stream, as far as it is known. */
export interface Completeness {
  /**
   * Distinct events over distinct and missing ones: the continuity rate of the sources. 1 where nothing can be counted.
   */
  readonly counted: number;
  /** Announced gaps. */
  readonly gaps: number;
  /**
   * Time of which it cannot be known what was missed: gaps that have times and no count, and the present break where
   * nothing can be replayed.
   */
  readonly unknownMs: Millis;
  /** Time since the beginning, the unknown included. */
  readonly totalMs: Millis;
}

/** Beside a gap no more than this is claimed, however small the gap was. */
export const BESIDE_GAP = 0.99999;

/**
 * Returns the continuity ratio, 0 to 1: the counted rate times the share of time that is known. Beside a gap it is
 * never 1. It is not a share of events where events cannot be counted.
 */
export function continuityRatio({ counted, gaps, unknownMs, totalMs }: Completeness): number {
  const known = unknownMs <= 0 ? 1 : totalMs <= unknownMs ? 0 : 1 - unknownMs / totalMs;
  const ratio = Math.min(1, Math.max(0, counted * known));
  return gaps > 0 || unknownMs > 0 ? Math.min(ratio, BESIDE_GAP) : ratio;
}

/**
 * Returns for how long a stream had no connection when another leader takes it over: since the last sign of the old
 * leader, which is its last settled event or the lease. Where neither is near the end (an idle stream that no replica
 * watched) this is too long, never too short by more than the clocks differ.
 */
export function downForMs(nowEpochMs: EpochMillis, settledAtEpochMs: EpochMillis, aliveEpochMs: EpochMillis): Millis {
  return Math.max(0, nowEpochMs - Math.max(settledAtEpochMs, aliveEpochMs));
}

/**
 * Returns until when the last leader was there for sure; 0: not known. A leader that handed over was there until now;
 * of one whose lease ran out its renewal is known, at most one lease before the lease was seen last.
 */
export function aliveUntil(
  how: 'acquired' | 'transferred',
  {
    nowEpochMs,
    seenEpochMs,
    ttlMs,
  }: { readonly nowEpochMs: EpochMillis; readonly seenEpochMs: EpochMillis; readonly ttlMs: Millis },
): EpochMillis {
  if (how === 'transferred') return nowEpochMs;
  return seenEpochMs === 0 ? 0 : seenEpochMs - ttlMs;
}

/**
 * Returns a ratio as text in percent, rounded down: a share below the whole is never shown as 100. @param digits 0 to 3
 */
export function percent(ratio: number, digits: number): string {
  const scale = 10 ** digits;
  // A product such as 0.99999 * 1e5 may end just below its integer.
  return `${(Math.floor(Number((ratio * 100 * scale).toFixed(6))) / scale).toFixed(digits)}%`;
}
