import type { Step } from './step.ts';
import { earliest, type Millis } from './units.ts';

export type Verdict = 'HEALTHY' | 'DEGRADED' | 'DEAD';

/** How one endpoint shows that it lives. Every part is optional because the platforms differ; at least one should be set. */
export interface LivenessPolicy {
  /** Our WebSocket pings. DEGRADED after the first miss, DEAD after `maxMissed`. */
  readonly ping?: { readonly everyMs: Millis; readonly timeoutMs: Millis; readonly maxMissed: number };
  /** What must not stay away for `silenceMs`: the server's pings, or any frame at all. */
  readonly watchdog?: { readonly of: 'ping' | 'any'; readonly silenceMs: Millis };
  /** Round trips kept for the latency window, and the mean above which the link counts as slow (S0: 200 ms). */
  readonly latency: { readonly samples: number; readonly slowMs: Millis };
}

export interface LivenessState {
  readonly verdict: Verdict;
  readonly lastFrameAtMs: Millis;
  readonly lastServerPingAtMs: Millis;
  readonly nextPingAtMs: Millis | undefined;
  readonly outstanding: { readonly payload: string; readonly sentAtMs: Millis } | undefined;
  readonly missed: number;
  readonly latenciesMs: readonly Millis[];
  readonly slow: boolean;
}

export type LivenessInput =
  | { readonly kind: 'frame' }
  | { readonly kind: 'server-ping' }
  | { readonly kind: 'pong'; readonly payload: string }
  | { readonly kind: 'tick' };

export type LivenessEffect =
  | { readonly kind: 'ping'; readonly payload: string }
  | { readonly kind: 'degraded'; readonly reason: 'pong_missed' | 'latency' }
  | { readonly kind: 'recovered' }
  | { readonly kind: 'dead'; readonly reason: 'pong_timeout' | 'silence' };

/** Frames that arrived since the ping prove the inbound half only, so they buy this many further misses, not immunity. */
const MISSES_EXCUSED_BY_INBOUND = 2;

/** A link that has just opened counts as heard from. */
export function openedLiveness(policy: LivenessPolicy, nowMs: Millis): LivenessState {
  return {
    verdict: 'HEALTHY',
    lastFrameAtMs: nowMs,
    lastServerPingAtMs: nowMs,
    nextPingAtMs: policy.ping === undefined ? undefined : nowMs + policy.ping.everyMs,
    outstanding: undefined,
    missed: 0,
    latenciesMs: [],
    slow: false,
  };
}

/** When the clock must next be looked at. */
export function livenessDeadline(policy: LivenessPolicy, state: LivenessState): Millis | undefined {
  if (state.verdict === 'DEAD') return undefined;
  const pongDue =
    state.outstanding === undefined || policy.ping === undefined
      ? undefined
      : state.outstanding.sentAtMs + policy.ping.timeoutMs;
  const watchdog =
    policy.watchdog === undefined ? undefined : watchedSince(policy.watchdog.of, state) + policy.watchdog.silenceMs;
  return earliest(pongDue ?? state.nextPingAtMs, watchdog);
}

/** Judges one link. A pong counts only for the ping it answers; `DEAD` is final for the link. */
export function stepLiveness(
  policy: LivenessPolicy,
  state: LivenessState,
  input: LivenessInput,
  nowMs: Millis,
): Step<LivenessState, LivenessEffect> {
  if (state.verdict === 'DEAD') return { state, effects: [] };
  switch (input.kind) {
    case 'frame':
      return { state: { ...state, lastFrameAtMs: nowMs }, effects: [] };
    case 'server-ping':
      return { state: { ...state, lastFrameAtMs: nowMs, lastServerPingAtMs: nowMs }, effects: [] };
    case 'pong':
      return onPong(policy, state, input.payload, nowMs);
    case 'tick':
      return onTick(policy, state, nowMs);
  }
}

function watchedSince(of: 'ping' | 'any', state: LivenessState): Millis {
  return of === 'ping' ? state.lastServerPingAtMs : state.lastFrameAtMs;
}

function onPong(
  policy: LivenessPolicy,
  state: LivenessState,
  payload: string,
  nowMs: Millis,
): Step<LivenessState, LivenessEffect> {
  const heard = { ...state, lastFrameAtMs: nowMs };
  if (state.outstanding?.payload !== payload) return { state: heard, effects: [] };
  const latenciesMs = [...state.latenciesMs, nowMs - state.outstanding.sentAtMs].slice(-policy.latency.samples);
  const mean = latenciesMs.reduce((sum, ms) => sum + ms, 0) / latenciesMs.length;
  const slow = latenciesMs.length >= policy.latency.samples && mean > policy.latency.slowMs;
  const next: LivenessState = {
    ...heard,
    outstanding: undefined,
    missed: 0,
    latenciesMs,
    slow,
    verdict: slow ? 'DEGRADED' : 'HEALTHY',
  };
  if (slow && !state.slow) return { state: next, effects: [{ kind: 'degraded', reason: 'latency' }] };
  return { state: next, effects: state.verdict === 'DEGRADED' && !slow ? [{ kind: 'recovered' }] : [] };
}

function onTick(policy: LivenessPolicy, state: LivenessState, nowMs: Millis): Step<LivenessState, LivenessEffect> {
  const watchdog = policy.watchdog;
  if (watchdog !== undefined && nowMs >= watchedSince(watchdog.of, state) + watchdog.silenceMs) {
    return { state: { ...state, verdict: 'DEAD' }, effects: [{ kind: 'dead', reason: 'silence' }] };
  }
  const ping = policy.ping;
  if (ping === undefined) return { state, effects: [] };
  if (state.outstanding !== undefined) {
    return nowMs < state.outstanding.sentAtMs + ping.timeoutMs
      ? { state, effects: [] }
      : onMissed(ping, state, state.outstanding.sentAtMs);
  }
  if (state.nextPingAtMs === undefined || nowMs < state.nextPingAtMs) return { state, effects: [] };
  // S4's payload. It names the ping, so a pong can be tied to it; the number is the monotonic clock, not a date.
  const payload = `hb-${String(Math.floor(nowMs))}`;
  return {
    state: { ...state, outstanding: { payload, sentAtMs: nowMs }, nextPingAtMs: nowMs + ping.everyMs },
    effects: [{ kind: 'ping', payload }],
  };
}

function onMissed(
  ping: NonNullable<LivenessPolicy['ping']>,
  state: LivenessState,
  sentAtMs: Millis,
): Step<LivenessState, LivenessEffect> {
  const missed = state.missed + 1;
  const limit = ping.maxMissed + (state.lastFrameAtMs > sentAtMs ? MISSES_EXCUSED_BY_INBOUND : 0);
  if (missed >= limit)
    return { state: { ...state, missed, verdict: 'DEAD' }, effects: [{ kind: 'dead', reason: 'pong_timeout' }] };
  const next: LivenessState = { ...state, missed, outstanding: undefined, verdict: 'DEGRADED' };
  return { state: next, effects: state.verdict === 'HEALTHY' ? [{ kind: 'degraded', reason: 'pong_missed' }] : [] };
}
