/**
 * How often one OAuth client connects to its platform: a queue by priority, a rate limit (GCRA), a circuit breaker,
 * pauses (Retry-After, maintenance) and the backoff of retries. This folder never dials and has no clock: the caller
 * brings the time and carries out each grant, which ends in exactly one report. Limits that all replicas share are
 * behind src/coordination/shared-limits.ts.
 */

import {
  breakerAllows,
  breakerRecorded,
  breakerStarted,
  closedBreaker,
  tripBreaker,
  type BreakerPolicy,
  type CircuitBreaker,
} from './circuit-breaker.ts';
import { gateAsk, gateDone, openGate, type RateGatePolicy, type RateGate } from './rate-gate.ts';
import type { Millis } from '../units.ts';

/** Everything that limits how often one OAuth client may dial: gate, circuit breaker, Retry-After, maintenance. */
export interface DialPolicy {
  readonly gate: RateGatePolicy;
  readonly breaker: BreakerPolicy;
  /** Streams that one OAuth client may have at one time (S4: 50 per tenant). */
  readonly maxStreams: number;
}

/** Cause of a pause: the platform asked for it, the calendar did, or all replicas together have used up their share. */
export type PauseCause = 'rate_limited' | 'cooldown' | 'shared_gate';

export interface DialRequest {
  readonly stream: string;
  /** 0 is the most important (High), 2 the least (Low). */
  readonly priority: 0 | 1 | 2;
  readonly askedAtMs: Millis;
}

export interface DialQueue {
  readonly gate: RateGate;
  readonly breaker: CircuitBreaker;
  /** No stream dials before this instant: Retry-After, or a maintenance window. */
  readonly pausedUntilMs: Millis | undefined;
  readonly pauseCause: PauseCause | undefined;
  readonly queue: readonly DialRequest[];
}

export const emptyDialQueue: DialQueue = {
  gate: openGate,
  breaker: closedBreaker,
  pausedUntilMs: undefined,
  pauseCause: undefined,
  queue: [],
};

/** Puts a stream in the queue; a stream that waits already keeps its place. */
export function queueDial(state: DialQueue, request: DialRequest): DialQueue {
  if (state.queue.some((waiting) => waiting.stream === request.stream)) return state;
  const queue = [...state.queue, request].sort((a, b) => a.priority - b.priority || a.askedAtMs - b.askedAtMs);
  return { ...state, queue };
}

/** Takes a stream out of the queue. */
export function cancelDial(state: DialQueue, stream: string): DialQueue {
  return { ...state, queue: state.queue.filter((waiting) => waiting.stream !== stream) };
}

export interface GrantedDials {
  readonly state: DialQueue;
  readonly granted: readonly string[];
  /** When to look again; undefined when only another input can change the answer. */
  readonly lookAgainAtMs: Millis | undefined;
}

/**
 * Grants as many waiting dials as gate, breaker and pause allow now. To be called after every input and at
 * `lookAgainAtMs`.
 */
export function grantDials(policy: DialPolicy, state: DialQueue, nowMs: Millis): GrantedDials {
  const granted: string[] = [];
  let current = state;
  for (;;) {
    const head = current.queue[0];
    if (head === undefined) return { state: current, granted, lookAgainAtMs: undefined };
    if (current.pausedUntilMs !== undefined && nowMs < current.pausedUntilMs)
      return { state: current, granted, lookAgainAtMs: current.pausedUntilMs };
    const breaker = breakerAllows(current.breaker, nowMs);
    if (!breaker.allowed) return { state: current, granted, lookAgainAtMs: breaker.waitUntilMs };
    const gate = gateAsk(policy.gate, current.gate, nowMs);
    if (!gate.granted) return { state: current, granted, lookAgainAtMs: gate.waitUntilMs };
    granted.push(head.stream);
    current = {
      ...current,
      gate: gate.state,
      breaker: breakerStarted(current.breaker),
      queue: current.queue.slice(1),
      pausedUntilMs: undefined,
      pauseCause: undefined,
    };
  }
}

/**
 * Takes in how a granted dial ended. `neutral` (authentication, our own doing) frees the slot without counting for or
 * against the network.
 */
export function reportDial(
  policy: DialPolicy,
  state: DialQueue,
  outcome: 'ok' | 'failed' | 'neutral',
  nowMs: Millis,
): DialQueue {
  const gate = gateDone(state.gate);
  if (outcome !== 'neutral')
    return { ...state, gate, breaker: breakerRecorded(policy.breaker, state.breaker, outcome === 'ok', nowMs) };
  const probing = state.breaker.kind === 'half-open' && state.breaker.probing;
  return { ...state, gate, breaker: probing ? { kind: 'half-open', probing: false } : state.breaker };
}

/** Pauses dialing, as a platform or a calendar asks. The longest pause wins. */
export function pauseDials(state: DialQueue, untilMs: Millis, reason: PauseCause): DialQueue {
  return state.pausedUntilMs !== undefined && state.pausedUntilMs >= untilMs
    ? state
    : { ...state, pausedUntilMs: untilMs, pauseCause: reason };
}

/** Opens the breaker: a stream's retries are exhausted and the policy is `breaker`. */
export function tripDials(policy: DialPolicy, state: DialQueue, nowMs: Millis): DialQueue {
  return { ...state, breaker: tripBreaker(policy.breaker, nowMs) };
}
