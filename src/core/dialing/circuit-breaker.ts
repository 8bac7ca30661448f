import type { Millis } from '../units.ts';

/** S0: more than 80 % failures over 60 s halt attempts for 5 min. `minSamples` keeps one failure from being 100 %. */
export interface BreakerPolicy {
  readonly failureRatePercent: number;
  readonly windowMs: Millis;
  readonly minSamples: number;
  readonly openMs: Millis;
}

interface Bucket {
  readonly startMs: Millis;
  readonly ok: number;
  readonly failed: number;
}

export type CircuitBreaker =
  | { readonly kind: 'closed'; readonly buckets: readonly Bucket[] }
  | { readonly kind: 'open'; readonly untilMs: Millis }
  | { readonly kind: 'half-open'; readonly probing: boolean };

/** Outcomes are gathered in this many buckets per window; they leave by elapsed time, not by call count. */
const BUCKETS = 12;

export const closedBreaker: CircuitBreaker = { kind: 'closed', buckets: [] };

/** Opens the breaker for `openMs` from now, whatever it counted (used when retries are exhausted). */
export function tripBreaker(policy: BreakerPolicy, nowMs: Millis): CircuitBreaker {
  return { kind: 'open', untilMs: nowMs + policy.openMs };
}

/** Returns whether an attempt may start now. `waitUntilMs`: when to ask again; undefined while a probe is out. */
export function breakerAllows(
  state: CircuitBreaker,
  nowMs: Millis,
): { readonly allowed: true } | { readonly allowed: false; readonly waitUntilMs: Millis | undefined } {
  if (state.kind === 'closed') return { allowed: true };
  if (state.kind === 'open')
    return nowMs >= state.untilMs ? { allowed: true } : { allowed: false, waitUntilMs: state.untilMs };
  return state.probing ? { allowed: false, waitUntilMs: undefined } : { allowed: true };
}

/** Returns the breaker's state for display: a breaker whose time is over keeps no attempt back. */
export function breakerShown(state: CircuitBreaker, nowMs: Millis): 'closed' | 'open' | 'half-open' {
  return state.kind === 'open' && nowMs >= state.untilMs ? 'closed' : state.kind;
}

/**
 * Notes that an attempt which `breakerAllows` allowed begins: an expired open breaker becomes half-open with one probe
 * out.
 */
export function breakerStarted(state: CircuitBreaker): CircuitBreaker {
  return state.kind === 'closed' ? state : { kind: 'half-open', probing: true };
}

/** Records how an attempt ended. A failed probe opens again for the whole `openMs`. */
export function breakerRecorded(
  policy: BreakerPolicy,
  state: CircuitBreaker,
  ok: boolean,
  nowMs: Millis,
): CircuitBreaker {
  if (state.kind === 'half-open') return ok ? closedBreaker : tripBreaker(policy, nowMs);
  if (state.kind === 'open') return state;
  const buckets = withOutcome(policy, state.buckets, ok, nowMs);
  // A success proves that attempts work: it may complete the samples, it does not open the breaker.
  const trips = !ok && failsTooOften(policy, buckets);
  return trips ? tripBreaker(policy, nowMs) : { kind: 'closed', buckets };
}

/** Adds one outcome to the bucket of this instant, and forgets the buckets that have left the window. */
function withOutcome(policy: BreakerPolicy, buckets: readonly Bucket[], ok: boolean, nowMs: Millis): readonly Bucket[] {
  const widthMs = policy.windowMs / BUCKETS;
  const startMs = Math.floor(nowMs / widthMs) * widthMs;
  const live = buckets.filter((bucket) => bucket.startMs > nowMs - policy.windowMs);
  const last = live.at(-1);
  const current = last?.startMs === startMs ? last : { startMs, ok: 0, failed: 0 };
  const earlier = last?.startMs === startMs ? live.slice(0, -1) : live;
  return [...earlier, { startMs, ok: current.ok + (ok ? 1 : 0), failed: current.failed + (ok ? 0 : 1) }];
}

/** Returns whether there are enough outcomes to judge by, and too many failures among them. */
function failsTooOften(policy: BreakerPolicy, buckets: readonly Bucket[]): boolean {
  const failed = buckets.reduce((sum, bucket) => sum + bucket.failed, 0);
  const total = buckets.reduce((sum, bucket) => sum + bucket.ok + bucket.failed, 0);
  return total >= policy.minSamples && failed * 100 > total * policy.failureRatePercent;
}
