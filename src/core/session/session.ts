/**
 * The life of one stream's connection: its machine, the planned changes, failures and their meaning, liveness. Pure:
 * the same inputs give the same effects. This folder never opens a socket, and knows no positions, payloads, tokens'
 * texts or consumer: src/sidecar/stream performs its effects, the dial queue (core/dialing) decides when it may dial.
 */

import type { Reason } from './classify-failure.ts';
import { stepLiveness, livenessDeadline, openedLiveness, type LivenessInput } from './liveness.ts';
import { adoptToken, ask, closeLink, linkOf, putLink, resetEpisode, type SessionDraft } from './session-draft.ts';
import { onEnded } from './session-failures.ts';
import { beginChange, onStaged, onTickChange, promote } from './session-changes.ts';
import type {
  DialPurpose,
  Link,
  Phase,
  SessionEffect,
  SessionInput,
  SessionPolicy,
  SessionState,
} from './session-model.ts';
import { unreachable, type Step } from '../step.ts';
import { earliest, type Millis } from '../units.ts';

export type { SessionState, SessionEffect, SessionInput, SessionPolicy } from './session-model.ts';

/** An overlap ends at least this long before the old token does. */
const HAND_OVER_BEFORE_EXPIRY_MS: Millis = 100;
/** Stands for chance where the input brings none. Only a tick finds a link dead, and it brings its own. */
const NO_UNIT = 0.5;

export const idleSession: SessionState = {
  goal: 'stop',
  phase: { kind: 'idle' },
  gen: 0,
  main: undefined,
  next: undefined,
  change: undefined,
  handOverAtMs: undefined,
  staged: undefined,
  attempt: 0,
  episodeSinceMs: undefined,
  redialedAtOnce: false,
  redialedAtMs: undefined,
  refusedAtMs: undefined,
  pingIntervalsMs: [],
  authFailures: 0,
  frameFaults: 0,
  positionExpired: false,
  everOpened: false,
  interrupted: false,
  downFor: undefined,
  totals: { attempts: 0, successes: 0, latencySumMs: 0, reconnects: 0 },
};

/** Steps a session: dial, open, live, drain, close, and the overlap of two links in a planned change. */
export function stepSession(
  policy: SessionPolicy,
  state: SessionState,
  input: SessionInput,
  nowMs: Millis,
): Step<SessionState, SessionEffect> {
  const draft: SessionDraft = { policy, nowMs, s: state, out: [] };
  apply(draft, input);
  return { state: draft.s, effects: draft.out };
}

/** Returns when the session must next look at the clock. */
export function sessionDeadline(policy: SessionPolicy, state: SessionState): Millis | undefined {
  const link = (one: Link | undefined): Millis | undefined =>
    one === undefined
      ? undefined
      : earliest(
          one.deadlineMs,
          one.refreshing?.untilMs,
          one.liveness && one.phase === 'open' ? livenessDeadline(policy.liveness, one.liveness) : undefined,
        );
  return earliest(
    state.phase.kind === 'backoff' ? state.phase.untilMs : undefined,
    link(state.main),
    link(state.next),
    state.handOverAtMs,
    state.change !== undefined && !state.change.asked ? state.change.notBeforeMs : undefined,
    recoveredAtMs(policy, state),
  );
}

/**
 * Returns when the main link will have been open for so long that an episode of failures is over without an event;
 * undefined: there is no episode, or no open link.
 */
function recoveredAtMs({ stableMs }: SessionPolicy, state: SessionState): Millis | undefined {
  const { main } = state;
  const unsettled = state.attempt > 0 || state.authFailures > 0 || state.frameFaults > 0;
  if (!unsettled || main?.phase !== 'open' || main.openedAtMs === undefined) return undefined;
  return main.openedAtMs + stableMs;
}

function apply(draft: SessionDraft, input: SessionInput): void {
  switch (input.kind) {
    case 'start':
      return onStart(draft);
    case 'park':
      return leave(draft, 'park', 'parked');
    case 'stop':
      return leave(draft, 'stop', input.reason);
    case 'admitted':
      return onAdmitted(draft, input.token, input.resuming);
    case 'opened':
      return onOpened(draft, input.gen);
    case 'ended':
      return onEnded(draft, input.gen, input.failure, input.unit);
    case 'heard':
      return onLiveness(draft, input.gen, { kind: input.what }, NO_UNIT);
    case 'pong':
      return onLiveness(draft, input.gen, { kind: 'pong', payload: input.payload }, NO_UNIT);
    case 'event':
      return onEvent(draft, input.gen);
    case 'empty-batch':
      return onEmptyBatch(draft, input.gen);
    case 'control':
      return onControl(draft, input);
    case 'token-staged':
      return onStaged(draft, input.token);
    case 'redial':
      return onRedial(draft);
    case 'tick':
      return onTick(draft, input.unit);
    default:
      return unreachable(input);
  }
}

function onStart(draft: SessionDraft): void {
  if (draft.s.goal === 'run' && draft.s.phase.kind !== 'halted') return;
  draft.s = { ...draft.s, goal: 'run' };
  if (draft.s.main === undefined || draft.s.phase.kind !== 'linked')
    ask(draft, draft.s.everOpened ? 'resume' : 'first');
}

/** Stops or parks: links are closed politely, nothing is asked for any more. */
function leave(draft: SessionDraft, goal: 'park' | 'stop', reason: Reason): void {
  if (draft.s.goal === goal) return;
  const { s } = draft;
  const lost = goal === 'park' && s.goal === 'run' && s.phase.kind === 'linked' && !s.interrupted;
  if (askedFor(s) !== undefined) draft.out.push({ kind: 'cancel-ask' });
  draft.s = { ...s, goal, change: undefined, handOverAtMs: undefined, phase: phaseWithoutDial(s) };
  for (const link of [s.next, s.main]) if (link !== undefined) closeLink(draft, link, 1000, reason);
  if (lost) {
    draft.s = { ...draft.s, interrupted: true };
    draft.out.push({ kind: 'interrupted', reason });
  }
}

/** Returns the phase of a session that dials no more: no wait goes on, a link is still there until it is closed. */
function phaseWithoutDial({ main, phase }: SessionState): Phase {
  const waiting = phase.kind === 'backoff' || phase.kind === 'asking';
  return waiting || main === undefined ? { kind: 'idle' } : phase;
}

/** Returns the purpose of the dial that the gate was asked for: a planned change first; undefined: it was not asked. */
function askedFor({ change, phase }: SessionState): DialPurpose | undefined {
  if (change?.asked === true) return change.purpose;
  return phase.kind === 'asking' ? phase.purpose : undefined;
}

function onAdmitted(draft: SessionDraft, token: Link['token'], resuming: boolean): void {
  const { s } = draft;
  const purpose = askedFor(s);
  if (purpose === undefined || s.goal !== 'run') {
    draft.out.push({ kind: 'report', outcome: 'neutral' });
    return;
  }
  const gen = s.gen + 1;
  const link: Link = {
    gen,
    token,
    phase: 'dialing',
    purpose,
    resuming,
    dialedAtMs: draft.nowMs,
    openedAtMs: undefined,
    deadlineMs: draft.nowMs + draft.policy.dialTimeoutMs,
    liveness: undefined,
    sawEvent: false,
    emptyBatches: 0,
    closingFor: undefined,
    refreshing: undefined,
  };
  const totals = { ...s.totals, attempts: s.totals.attempts + 1 };
  const redialedAtMs = s.totals.attempts === 0 ? undefined : draft.nowMs;
  draft.s =
    s.change?.asked === true
      ? { ...s, gen, next: link, totals, change: undefined }
      : { ...s, gen, main: link, totals, redialedAtMs, phase: { kind: 'linked' } };
  draft.out.push({
    kind: 'dial',
    gen,
    token,
    purpose,
    reconnect: s.everOpened || resuming,
    oldest: s.positionExpired,
    attempt: s.attempt,
  });
}

function onOpened(draft: SessionDraft, gen: number): void {
  const link = linkOf(draft.s, gen);
  if (link?.phase !== 'dialing') return;
  const opened: Link = { ...link, openedAtMs: draft.nowMs, deadlineMs: undefined };
  const reconnect = draft.s.everOpened || link.resuming;
  const hello = helloFor(draft, reconnect);
  if (hello === undefined) return onReady(draft, opened, false);
  draft.out.push({ kind: 'hello', gen, reconnect, attempt: draft.s.attempt });
  if (hello.ackTimeoutMs === undefined) return onReady(draft, opened, false);
  putLink(draft, { ...opened, phase: 'acking', deadlineMs: draft.nowMs + hello.ackTimeoutMs });
}

/** Returns the frame with which a link begins; undefined: none is sent. */
function helloFor({ policy, s }: SessionDraft, reconnect: boolean): SessionPolicy['hello'] {
  const { hello } = policy;
  // Without its acknowledged hello an endpoint sends nothing; only one that needs no acknowledgement can be left out.
  const leftOut = s.frameFaults > 0 && hello?.ackTimeoutMs === undefined;
  return leftOut || (hello?.reconnectOnly === true && !reconnect) ? undefined : hello;
}

function onReady(draft: SessionDraft, link: Link, acknowledged: boolean): void {
  const ready: Link = {
    ...link,
    phase: 'open',
    deadlineMs: undefined,
    liveness: openedLiveness(draft.policy.liveness, draft.nowMs, draft.s.pingIntervalsMs),
  };
  putLink(draft, ready);
  const latencyMs = draft.nowMs - link.dialedAtMs;
  const { totals } = draft.s;
  const reconnects = totals.reconnects + (draft.s.everOpened ? 1 : 0);
  draft.s = {
    ...draft.s,
    everOpened: true,
    totals: { ...totals, successes: totals.successes + 1, latencySumMs: totals.latencySumMs + latencyMs, reconnects },
  };
  draft.out.push(
    { kind: 'report', outcome: 'ok' },
    { kind: 'ready', gen: link.gen, purpose: link.purpose, latencyMs, acknowledged },
  );
  if (draft.s.main?.gen === link.gen) {
    draft.s = { ...draft.s, interrupted: false, downFor: undefined };
    adoptToken(draft, link.token.id);
    // A token may have been staged while this link was dialing with the old one.
    if (draft.s.staged !== undefined && draft.s.staged.id !== link.token.id) onStaged(draft, draft.s.staged);
  } else {
    // The old link must not meet its token's end inside the overlap.
    const tokenEndMs = (draft.s.main?.token.expiresAtMs ?? Infinity) - HAND_OVER_BEFORE_EXPIRY_MS;
    draft.s = {
      ...draft.s,
      handOverAtMs: Math.max(draft.nowMs, Math.min(draft.nowMs + draft.policy.overlapMs, tokenEndMs)),
    };
  }
}

function onLiveness(draft: SessionDraft, gen: number, input: LivenessInput, unit: number): void {
  const link = linkOf(draft.s, gen);
  if (link?.liveness === undefined || link.phase !== 'open') return;
  const step = stepLiveness(draft.policy.liveness, link.liveness, input, draft.nowMs);
  putLink(draft, { ...link, liveness: step.state });
  if (input.kind === 'server-ping') draft.s = { ...draft.s, pingIntervalsMs: step.state.pingIntervalsMs };
  for (const effect of step.effects) {
    switch (effect.kind) {
      case 'ping':
        draft.out.push({ kind: 'ping', gen, payload: effect.payload });
        break;
      case 'recovered':
        draft.out.push({ kind: 'health', gen, verdict: 'recovered', reason: 'pong' });
        break;
      case 'degraded':
        draft.out.push({ kind: 'health', gen, verdict: 'degraded', reason: effect.reason });
        break;
      case 'dead':
        draft.out.push({ kind: 'health', gen, verdict: 'dead', reason: effect.reason });
        // Perhaps the server pings less often now: intervals that none of this link confirms are not carried on, or an
        // idle stream would be cut for ever.
        if (effect.reason === 'silence' && !step.state.measured) draft.s = { ...draft.s, pingIntervalsMs: [] };
        // Dead sockets are terminated: a close handshake without a peer keeps them CLOSING (S4). S0 asks for a 1001
        // first.
        if (draft.policy.closeDeadWith1001) draft.out.push({ kind: 'close', gen, code: 1001, reason: effect.reason });
        else draft.out.push({ kind: 'terminate', gen, reason: effect.reason });
        return onEnded(draft, gen, { stage: 'stream', reason: effect.reason }, unit);
      default:
        unreachable(effect);
    }
  }
}

/**
 * Takes that an event came. It alone resets the retry counter, never a handshake (S2): a server that accepts and drops
 * must not be hammered.
 */
function onEvent(draft: SessionDraft, gen: number): void {
  const link = linkOf(draft.s, gen);
  if (link === undefined) return;
  putLink(draft, { ...link, sawEvent: true, emptyBatches: 0 });
  resetEpisode(draft);
}

function onEmptyBatch(draft: SessionDraft, gen: number): void {
  const link = linkOf(draft.s, gen);
  if (link?.phase !== 'open') return;
  const emptyBatches = link.emptyBatches + 1;
  putLink(draft, { ...link, emptyBatches });
  if (emptyBatches < draft.policy.emptyBatchLimit || draft.s.main?.gen !== gen) return;
  draft.out.push(
    { kind: 'token-suspect', id: link.token.id },
    { kind: 'close', gen, code: 1000, reason: 'empty_batches' },
  );
  onEnded(draft, gen, { stage: 'stream', reason: 'empty_batches' }, NO_UNIT);
}

function onControl(draft: SessionDraft, input: Extract<SessionInput, { kind: 'control' }>): void {
  const link = linkOf(draft.s, input.gen);
  if (link === undefined) return;
  switch (input.control) {
    case 'subscribe-ack':
    case 'reconnect-ack':
      return link.phase === 'acking' ? onReady(draft, link, true) : undefined;
    case 'refresh-ack':
      if (link.refreshing === undefined) return undefined;
      putLink(draft, { ...link, token: link.refreshing.token, refreshing: undefined });
      return adoptToken(draft, link.refreshing.token.id);
    case 'refresh-error':
      return link.refreshing === undefined
        ? undefined
        : putLink(draft, { ...link, refreshing: { ...link.refreshing, untilMs: draft.nowMs } });
    case 'token-mismatch':
      draft.out.push({ kind: 'token-suspect', id: link.token.id });
      return undefined;
    case 'closing-soon':
      return draft.s.main?.gen === input.gen ? beginChange(draft, 'maintenance') : undefined;
    case 'position-expired':
      draft.s = { ...draft.s, positionExpired: true };
      return undefined;
    case 'rate-limited':
      draft.out.push({ kind: 'close', gen: input.gen, code: 1000, reason: 'rate_limited' });
      return onEnded(draft, input.gen, { stage: 'stream', closeCode: 1013 }, input.unit);
    case 'heartbeat':
    case 'unknown':
      return undefined;
    default:
      return unreachable(input.control);
  }
}

/**
 * Dials again because numbers are missing: asks the platform once more from the last good position before they become a
 * gap.
 */
function onRedial(draft: SessionDraft): void {
  const link = draft.s.main;
  if (link === undefined || draft.s.goal !== 'run' || link.phase === 'dialing') return;
  // A planned successor is under way and asks from the same position: it answers the question.
  if (draft.s.next !== undefined) return promote(draft);
  draft.out.push({ kind: 'close', gen: link.gen, code: 1000, reason: 'gap_resume' });
  if (link.phase === 'acking') draft.out.push({ kind: 'report', outcome: 'neutral' });
  if (draft.s.change?.asked === true) draft.out.push({ kind: 'cancel-ask' });
  draft.s = { ...draft.s, main: undefined, change: undefined, downFor: 'gap_resume' };
  ask(draft, 'gap');
}

function onTick(draft: SessionDraft, unit: number): void {
  const { s, nowMs } = draft;
  if (s.phase.kind === 'backoff' && nowMs >= s.phase.untilMs) ask(draft, s.everOpened ? 'resume' : 'first');
  tickLinks(draft, unit);
  onTickChange(draft);
  const endsAtMs = recoveredAtMs(draft.policy, draft.s);
  if (endsAtMs !== undefined && nowMs >= endsAtMs) resetEpisode(draft);
}

function tickLinks(draft: SessionDraft, unit: number): void {
  for (const gen of [draft.s.next?.gen, draft.s.main?.gen]) {
    const link = gen === undefined ? undefined : linkOf(draft.s, gen);
    if (link === undefined) continue;
    if (link.deadlineMs !== undefined && draft.nowMs >= link.deadlineMs) onLinkDeadline(draft, link, unit);
    else onLiveness(draft, link.gen, { kind: 'tick' }, unit);
  }
}

function onLinkDeadline(draft: SessionDraft, link: Link, unit: number): void {
  const reason =
    link.phase === 'dialing'
      ? 'dial_timeout'
      : link.phase === 'acking'
        ? 'ack_timeout'
        : (link.closingFor ?? 'shutdown');
  draft.out.push({ kind: 'terminate', gen: link.gen, reason });
  onEnded(draft, link.gen, { stage: link.phase === 'dialing' ? 'dial' : 'subscribe', reason }, unit);
}
