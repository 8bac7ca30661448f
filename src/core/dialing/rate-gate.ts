import type { Millis } from '../units.ts';

/**
 * Policy of the gate: attempts in any window of w ms never exceed capacity + w / refillEveryMs, nor `concurrent` at one
 * time. Jitter alone cannot keep to a rate.
 */
export interface RateGatePolicy {
  readonly capacity: number;
  readonly refillEveryMs: Millis;
  readonly concurrent: number;
}

export interface RateGate {
  /** Theoretical arrival time (GCRA): when the bucket will be full again. */
  readonly tatMs: Millis;
  readonly inFlight: number;
}

export const openGate: RateGate = { tatMs: Number.NEGATIVE_INFINITY, inFlight: 0 };

/** Takes one permit, or returns when to ask again (undefined: when an attempt in flight ends). */
export function gateAsk(
  policy: RateGatePolicy,
  state: RateGate,
  nowMs: Millis,
):
  | { readonly granted: true; readonly state: RateGate }
  | { readonly granted: false; readonly waitUntilMs: Millis | undefined } {
  if (state.inFlight >= policy.concurrent) return { granted: false, waitUntilMs: undefined };
  const tatMs = Math.max(state.tatMs, nowMs);
  const earliestMs = tatMs - (policy.capacity - 1) * policy.refillEveryMs;
  if (nowMs < earliestMs) return { granted: false, waitUntilMs: earliestMs };
  return { granted: true, state: { tatMs: tatMs + policy.refillEveryMs, inFlight: state.inFlight + 1 } };
}

/** Notes that a granted attempt has ended, in whatever way. */
export function gateDone(state: RateGate): RateGate {
  return { ...state, inFlight: Math.max(0, state.inFlight - 1) };
}
