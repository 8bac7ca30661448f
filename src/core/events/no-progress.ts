import type { Millis } from '../units.ts';

/**
 * Events that could go and were not settled for this long: the stream makes no progress. Longer than the retries of
 * one refused event by default.
 */
export const NO_PROGRESS_MS = 300_000;

export interface ProgressFacts {
  /** Events and notices that wait for the consumer, handed over or not. */
  readonly backlog: number;
  /** Age of the oldest of them since its receipt; undefined: none waits. */
  readonly oldestMs: Millis | undefined;
  /** Time since anything was settled, or since the stream began. */
  readonly sinceSettledMs: Millis;
  /** True while a known reason keeps them. */
  readonly held: boolean;
  /** True while the lease allows deliveries. */
  readonly open: boolean;
}

/**
 * Returns for how long a stream has settled nothing although it should; undefined: it goes on, or a known reason keeps
 * it. An event that came after an idle time counts from its receipt.
 */
export function noProgress({ backlog, oldestMs, sinceSettledMs, held, open }: ProgressFacts): Millis | undefined {
  if (backlog === 0 || oldestMs === undefined || held || !open) return undefined;
  const stuckMs = Math.min(oldestMs, sinceSettledMs);
  return stuckMs >= NO_PROGRESS_MS ? stuckMs : undefined;
}
