import { backoffDelay } from '../dialing/backoff.ts';
import { classifyFailure, type Failure, type Reason, type FailureVerdict } from './classify-failure.ts';
import { promote } from './session-changes.ts';
import { ask, isConnecting, linkOf, type SessionDraft } from './session-draft.ts';
import type { Link } from './session-model.ts';
import type { Millis } from '../units.ts';

/** Spreads redials without delay over this time. */
const AT_ONCE_JITTER_MS: Millis = 100;
/** Time before a redial without delay in which there was no other one, and no refusal. */
const AT_ONCE_QUIET_MS: Millis = 60_000;

/** Takes that a dial failed or a link is gone. Called once per generation; `error` followed by `close` counts once. */
export function onEnded(draft: SessionDraft, gen: number, failure: Failure, unit: number): void {
  const link = linkOf(draft.s, gen);
  if (link === undefined) return;
  if (draft.s.next?.gen === gen) onNextEnded(draft, link, failure);
  else onMainEnded(draft, link, failure, unit);
}

function onMainEnded(draft: SessionDraft, link: Link, failure: Failure, unit: number): void {
  const verdict = verdictOf(draft, link, failure);
  draft.s = { ...draft.s, main: undefined };
  if (link.closingFor !== undefined) return onClosedByUs(draft);
  draft.s = { ...draft.s, downFor: verdict.reason };
  reportAttempt(draft, link, verdict, failure);
  if (link.phase === 'open' && draft.s.next?.phase !== 'open') interrupt(draft, verdict.reason);
  // The planned successor is under way: it becomes the main link, ready or not.
  if (draft.s.next !== undefined) return promote(draft);
  if (draft.s.change?.asked === true) draft.out.push({ kind: 'cancel-ask' });
  draft.s = { ...draft.s, change: undefined, phase: { kind: 'idle' } };
  if (draft.s.goal === 'run') react(draft, link, verdict, { unit, retryAfterMs: failure.retryAfterMs });
}

function verdictOf(draft: SessionDraft, link: Link, failure: Failure): FailureVerdict {
  const verdict = classifyFailure(draft.policy.tables, failure, link.resuming && !draft.s.positionExpired);
  // T9: a link that ends once its token is over ended because of the token.
  const tokenOver = draft.nowMs >= link.token.expiresAtMs && failure.status === undefined;
  return tokenOver && verdict.disposition === 'retry'
    ? { disposition: 'reauthenticate', reason: 'token_expired' }
    : verdict;
}

function onClosedByUs(draft: SessionDraft): void {
  draft.s = { ...draft.s, phase: { kind: 'idle' } };
  if (draft.s.goal === 'run') ask(draft, 'resume'); // parked and wanted again before the close was through
}

function interrupt(draft: SessionDraft, reason: Reason): void {
  if (draft.s.interrupted) return;
  draft.s = { ...draft.s, interrupted: true };
  draft.out.push({ kind: 'interrupted', reason });
}

/** Reports an attempt that had not been reported as successful: the gate's slot is freed, and the breaker informed. */
function reportAttempt(draft: SessionDraft, link: Link, verdict: FailureVerdict, failure: Failure): void {
  if (verdict.disposition === 'throttled' && failure.retryAfterMs !== undefined)
    draft.out.push({ kind: 'hold', forMs: failure.retryAfterMs });
  if (isConnecting(link)) {
    const neutral =
      verdict.disposition === 'reauthenticate' ||
      verdict.disposition === 'forbidden' ||
      verdict.disposition === 'position-expired';
    draft.out.push({ kind: 'report', outcome: neutral ? 'neutral' : 'failed' });
  }
}

function onNextEnded(draft: SessionDraft, link: Link, failure: Failure): void {
  const verdict = verdictOf(draft, link, failure);
  reportAttempt(draft, link, verdict, failure);
  draft.s = { ...draft.s, next: undefined, handOverAtMs: undefined };
  if (link.closingFor !== undefined) return;
  draft.s = { ...draft.s, refusedAtMs: draft.nowMs };
  if (verdict.disposition === 'reauthenticate') draft.out.push({ kind: 'token-rejected', id: link.token.id });
  const retryInMs = draft.policy.inStream.retryMs;
  draft.out.push({
    kind: 'attempt-failed',
    attempt: draft.s.attempt,
    reason: verdict.reason,
    retryInMs,
    timeout: isTimeout(verdict.reason),
    latencyMs: draft.nowMs - link.dialedAtMs,
  });
  if (draft.s.goal !== 'run' || draft.s.main === undefined) return;
  // The old link still lives on the old token; the change is tried again, and the token's end would bring the ordinary
  // path.
  draft.s = {
    ...draft.s,
    change: { purpose: link.purpose, asked: false, notBeforeMs: draft.nowMs + Math.min(retryInMs, remaining(draft)) },
  };
}

function remaining(draft: SessionDraft): Millis {
  const main = draft.s.main;
  return main === undefined ? 0 : Math.max(draft.policy.backoff.baseMs, (main.token.expiresAtMs - draft.nowMs) / 2);
}

function react(
  draft: SessionDraft,
  link: Link,
  verdict: FailureVerdict,
  { unit, retryAfterMs }: { readonly unit: number; readonly retryAfterMs: Millis | undefined },
): void {
  switch (verdict.disposition) {
    case 'reauthenticate':
      return reauthenticate(draft, link, verdict, unit);
    case 'forbidden':
      return halt(draft, verdict.reason);
    case 'final':
      return halt(draft, verdict.reason);
    case 'frames-forbidden':
      // Where we send nothing, a 1002 cannot be about our frames.
      if (draft.policy.clientFrames === 'forbidden') return retry(draft, link, verdict, { unit, extended: false });
      draft.s = { ...draft.s, frameFaults: draft.s.frameFaults + 1 };
      return draft.s.frameFaults > 1
        ? halt(draft, verdict.reason)
        : retry(draft, link, verdict, { unit, extended: false });
    case 'position-expired':
      draft.s = { ...draft.s, positionExpired: true };
      return ask(draft, 'resume');
    case 'throttled':
      return retry(draft, link, verdict, { unit, extended: true, notBeforeMs: retryAfterMs });
    case 'retry': {
      const atOnce = retryAfterMs === undefined && mayRedialAtOnce(draft, link, verdict.reason);
      return retry(draft, link, verdict, { unit, extended: false, atOnce, notBeforeMs: retryAfterMs });
    }
  }
}

/**
 * Returns whether the loss of a link is followed by a dial without delay: only where it had been open, and either for a
 * stable minute or without another redial in the last one. Refusals never come here. The gate and the breaker are asked
 * afterwards, as for every dial.
 */
function mayRedialAtOnce({ s, policy, nowMs }: SessionDraft, link: Link, reason: Reason): boolean {
  if (link.phase !== 'open' || link.openedAtMs === undefined || reason === 'empty_batches') return false;
  const longAgo = (atMs: Millis | undefined): boolean => atMs === undefined || nowMs - atMs >= AT_ONCE_QUIET_MS;
  return longAgo(s.refusedAtMs) && (longAgo(s.redialedAtMs) || nowMs - link.openedAtMs >= policy.stableMs);
}

function reauthenticate(draft: SessionDraft, link: Link, verdict: FailureVerdict, unit: number): void {
  draft.out.push({ kind: 'token-rejected', id: link.token.id });
  draft.s = { ...draft.s, authFailures: draft.s.authFailures + 1 };
  // One forced refresh, then one retry at once (through the gate). A second refusal is not cured by hammering.
  if (draft.s.authFailures > 1) return retry(draft, link, verdict, { unit, extended: true });
  draft.out.push({
    kind: 'attempt-failed',
    attempt: draft.s.attempt,
    reason: verdict.reason,
    retryInMs: 0,
    timeout: false,
    latencyMs: draft.nowMs - link.dialedAtMs,
  });
  ask(draft, draft.s.everOpened ? 'resume' : 'first');
}

function halt(draft: SessionDraft, reason: Reason): void {
  draft.s = { ...draft.s, phase: { kind: 'halted', reason } };
  draft.out.push({ kind: 'halted', reason });
}

/** Terms of the next attempt of an episode. */
interface RetryTerms {
  readonly unit: number;
  readonly extended: boolean;
  /** True for an attempt without the delay of the backoff, but with a little jitter. */
  readonly atOnce?: boolean;
  /** From now. */
  readonly notBeforeMs?: Millis | undefined;
}

function retry(draft: SessionDraft, link: Link, verdict: FailureVerdict, how: RetryTerms): void {
  const { policy, nowMs } = draft;
  const attempt = draft.s.attempt;
  const episodeSinceMs = draft.s.episodeSinceMs ?? nowMs;
  const delayMs = retryDelay(draft, how);
  draft.s = {
    ...draft.s,
    attempt: attempt + 1,
    episodeSinceMs,
    redialedAtOnce: draft.s.redialedAtOnce || how.atOnce === true,
    phase: { kind: 'backoff', untilMs: nowMs + delayMs, reason: verdict.reason },
  };
  draft.out.push({
    kind: 'attempt-failed',
    attempt,
    reason: verdict.reason,
    retryInMs: delayMs,
    timeout: isTimeout(verdict.reason),
    latencyMs: nowMs - link.dialedAtMs,
  });
  const outOfAttempts = policy.maxAttempts > 0 && attempt + 1 >= policy.maxAttempts;
  const outOfWindow = policy.maxWindowMs !== undefined && nowMs - episodeSinceMs >= policy.maxWindowMs;
  if (outOfAttempts || outOfWindow) exhaust(draft, verdict.reason);
}

function retryDelay({ policy, s }: SessionDraft, { unit, extended, atOnce, notBeforeMs }: RetryTerms): Millis {
  // The redial at once comes on top of the backoff, which is climbed from its foot.
  const rung = s.redialedAtOnce ? s.attempt - 1 : s.attempt;
  const backoffMs = backoffDelay(extended ? policy.extendedBackoff : policy.backoff, rung, unit);
  const jitteredMs = atOnce === true ? Math.floor(unit * AT_ONCE_JITTER_MS) : Infinity;
  return Math.max(Math.min(backoffMs, jitteredMs), notBeforeMs ?? 0);
}

/** Ends an episode of which no attempt is left. */
function exhaust(draft: SessionDraft, reason: Reason): void {
  if (draft.policy.onExhausted === 'fatal') {
    draft.s = { ...draft.s, phase: { kind: 'halted', reason: 'exhausted' } };
    draft.out.push({ kind: 'fatal', reason });
  } else {
    draft.s = { ...draft.s, attempt: 0, redialedAtOnce: false, episodeSinceMs: undefined };
    draft.out.push({ kind: 'trip-breaker' });
  }
}

function isTimeout(reason: Reason): boolean {
  return reason === 'dial_timeout' || reason === 'ack_timeout' || reason === 'pong_timeout' || reason === 'silence';
}
