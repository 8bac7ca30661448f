import type { Millis } from '../units.ts';

/**
 * Policy of the one formula for the six of the sources: d = min(base * multiplier^attempt, max), then d * (low + u *
 * (high - low)).
 */
export interface BackoffPolicy {
  readonly baseMs: Millis;
  readonly multiplier: number;
  /** Cap of d, applied before jitter: after it, every replica would wait exactly the cap and come back as a herd. */
  readonly maxMs: Millis;
  readonly jitterLow: number;
  readonly jitterHigh: number;
}

/**
 * Returns the delay before retry number `attempt` (0 is the first retry).
 * @param unit a uniform sample in [0, 1).
 * @returns ms, within [d * jitterLow, d * jitterHigh); it may exceed maxMs by the jitter, on purpose.
 */
export function backoffDelay(policy: BackoffPolicy, attempt: number, unit: number): Millis {
  const grown = policy.baseMs * policy.multiplier ** Math.min(attempt, 1000);
  const capped = Math.min(grown, policy.maxMs);
  return Math.floor(capped * (policy.jitterLow + unit * (policy.jitterHigh - policy.jitterLow)));
}

/**
 * Shifts a uniform sample by an identity, so that replicas that share a seed do not share their delays (S2: identical
 * jitter seeds).
 * @param unit in [0, 1). @param salt in [0, 1), from pod identity. @returns in [0, 1), uniform when `unit` is.
 */
export function salted(unit: number, salt: number): number {
  return (unit + salt) % 1;
}
