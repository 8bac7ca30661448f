import type { Step } from '../step.ts';
import { earliest, type Millis } from '../units.ts';

export type LivenessVerdict = 'HEALTHY' | 'DEGRADED' | 'DEAD';

/**
 * Signs by which one endpoint shows that it lives. Every part is optional because the platforms differ; at least one
 * should be set.
 */
export interface LivenessPolicy {
  /** Our WebSocket pings. DEGRADED after the first miss, DEAD after `maxMissed`. */
  readonly ping?: { readonly everyMs: Millis; readonly timeoutMs: Millis; readonly maxMissed: number };
  /**
   * Frames that must not stay away for `silenceMs`: the server's pings, or any frame at all. Where it `learns`, the
   * silence after the last sign of life is bounded by the server's own pings as well; `silenceMs` stays the ceiling.
   */
  readonly watchdog?: { readonly of: 'ping' | 'any'; readonly silenceMs: Millis; readonly learns?: boolean };
  /** Round trips kept for the latency window, and the mean above which the link counts as slow (S0: 200 ms). */
  readonly latency: { readonly samples: number; readonly slowMs: Millis };
}

export interface LivenessState {
  readonly verdict: LivenessVerdict;
  readonly lastFrameAtMs: Millis;
  /** The last ping of the server, or the opening. */
  readonly lastServerPingAtMs: Millis;
  /** The last ping of the server on this link. */
  readonly pingedAtMs: Millis | undefined;
  /** The latest intervals between two pings of the server, those of earlier links first. */
  readonly pingIntervalsMs: readonly Millis[];
  /** True when one of them is of this link. */
  readonly measured: boolean;
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

/**
 * Frames that arrived since the ping prove the inbound half only, so they buy this many further misses, not immunity.
 */
const MISSES_EXCUSED_BY_INBOUND = 2;

/** Intervals between the platform's pings that are remembered, to learn which silence means death. */
const INTERVALS_KEPT = 4;
/** Intervals that must be known before a silence is learned from them. */
const INTERVALS_NEEDED = 3;
/** Multiple of the longest remembered interval after which silence means death: pings may be lost or late. */
const INTERVALS_MISSED = 3;
/** Shortest silence that is learned, however often the platform pings. */
const LEARNED_AT_LEAST_MS: Millis = 20_000;

/**
 * Returns the state of a link that has just opened: it counts as heard from. @param pingIntervalsMs intervals that
 * earlier links of this stream have learned.
 */
export function openedLiveness(
  policy: LivenessPolicy,
  nowMs: Millis,
  pingIntervalsMs: readonly Millis[] = [],
): LivenessState {
  return {
    verdict: 'HEALTHY',
    lastFrameAtMs: nowMs,
    lastServerPingAtMs: nowMs,
    pingedAtMs: undefined,
    pingIntervalsMs,
    measured: false,
    nextPingAtMs: policy.ping === undefined ? undefined : nowMs + policy.ping.everyMs,
    outstanding: undefined,
    missed: 0,
    latenciesMs: [],
    slow: false,
  };
}

/** Returns when the clock must next be looked at. */
export function livenessDeadline(policy: LivenessPolicy, state: LivenessState): Millis | undefined {
  if (state.verdict === 'DEAD') return undefined;
  const pongDue =
    state.outstanding === undefined || policy.ping === undefined
      ? undefined
      : state.outstanding.sentAtMs + policy.ping.timeoutMs;
  return earliest(pongDue ?? state.nextPingAtMs, silentAt(policy, state));
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
      return { state: onServerPing(state, nowMs), effects: [] };
    case 'pong':
      return onPong(policy, state, input.payload, nowMs);
    case 'tick':
      return onTick(policy, state, nowMs);
  }
}

function onServerPing(state: LivenessState, nowMs: Millis): LivenessState {
  const heard = { ...state, lastFrameAtMs: nowMs, lastServerPingAtMs: nowMs, pingedAtMs: nowMs };
  if (state.pingedAtMs === undefined) return heard;
  const pingIntervalsMs = [...state.pingIntervalsMs, nowMs - state.pingedAtMs].slice(-INTERVALS_KEPT);
  return { ...heard, pingIntervalsMs, measured: true };
}

/** Returns when silence becomes death, unless a sign of life comes. */
function silentAt({ watchdog }: LivenessPolicy, state: LivenessState): Millis | undefined {
  if (watchdog === undefined) return undefined;
  const watchedSinceMs = watchdog.of === 'ping' ? state.lastServerPingAtMs : state.lastFrameAtMs;
  const learnedMs = watchdog.learns === true ? learnedSilence(state.pingIntervalsMs) : undefined;
  // Any frame shows that the link lives; only the limit of the endpoint insists on pings.
  return earliest(
    watchedSinceMs + watchdog.silenceMs,
    learnedMs === undefined ? undefined : state.lastFrameAtMs + learnedMs,
  );
}

function learnedSilence(intervalsMs: readonly Millis[]): Millis | undefined {
  return intervalsMs.length < INTERVALS_NEEDED
    ? undefined
    : Math.max(LEARNED_AT_LEAST_MS, INTERVALS_MISSED * Math.max(...intervalsMs));
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
  const deadAtMs = silentAt(policy, state);
  if (deadAtMs !== undefined && nowMs >= deadAtMs) {
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
