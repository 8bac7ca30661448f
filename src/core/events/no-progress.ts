import type { Millis } from '../units.ts';

/**
 * Events that could go and were not settled for this long: the stream makes no progress. Longer than the retries of
 * one refused event by default.
 */
export const NO_PROGRESS_MS = 300_000;

export interface ProgressFacts {
  /** Events and notices that wait for the consumer, in its hands or not. */
  readonly backlog: number;
  /** Since the oldest of them was received; undefined: none waits. */
  readonly oldestMs: Millis | undefined;
  /** Since anything was settled, or since the stream began. */
  readonly sinceSettledMs: Millis;
  /** Something says why they wait. */
  readonly held: boolean;
  /** The lease allows deliveries. */
  readonly open: boolean;
}

/**
 * Returns for how long a stream has settled nothing although everything says that it could; undefined: it goes on, or
 * something says why not. An event that came after an idle time counts from its receipt.
 */
export function noProgress({ backlog, oldestMs, sinceSettledMs, held, open }: ProgressFacts): Millis | undefined {
  if (backlog === 0 || oldestMs === undefined || held || !open) return undefined;
  const stuckMs = Math.min(oldestMs, sinceSettledMs);
  return stuckMs >= NO_PROGRESS_MS ? stuckMs : undefined;
}
