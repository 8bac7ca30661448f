import type { Reason } from './classify-failure.ts';
import type { DialPurpose, Link, SessionEffect, SessionPolicy, SessionState } from './session-model.ts';
import type { Millis } from '../units.ts';

/** One step under construction: a private copy of the state and the effects so far, in order. */
export interface SessionDraft {
  readonly policy: SessionPolicy;
  readonly nowMs: Millis;
  s: SessionState;
  readonly out: SessionEffect[];
}

/** Returns the link of this generation, unless it was abandoned: results of abandoned links are ignored. */
export function linkOf(state: SessionState, gen: number): Link | undefined {
  if (state.main?.gen === gen) return state.main;
  return state.next?.gen === gen ? state.next : undefined;
}

/** Returns whether the gate still waits for the report of this dial. */
export function isConnecting({ phase }: Link): boolean {
  return phase === 'dialing' || phase === 'acking';
}

/** Puts a changed link back in its place, main or next. */
export function putLink(draft: SessionDraft, link: Link): void {
  draft.s = draft.s.main?.gen === link.gen ? { ...draft.s, main: link } : { ...draft.s, next: link };
}

/** Asks the driver for a dial, for this purpose. */
export function ask(draft: SessionDraft, purpose: DialPurpose): void {
  draft.s = { ...draft.s, phase: { kind: 'asking', purpose } };
  draft.out.push({ kind: 'ask', purpose });
}

/**
 * Closes with a handshake that may take `closeTimeoutMs`; a link that is not open yet has none, so it is terminated.
 */
export function closeLink(draft: SessionDraft, link: Link, code: number, reason: Reason): void {
  if (link.phase === 'closing') return;
  if (link.phase === 'dialing') {
    draft.out.push({ kind: 'terminate', gen: link.gen, reason }, { kind: 'report', outcome: 'neutral' });
  } else {
    if (link.phase === 'acking') draft.out.push({ kind: 'report', outcome: 'neutral' });
    draft.out.push({ kind: 'close', gen: link.gen, code, reason });
  }
  putLink(draft, {
    ...link,
    phase: 'closing',
    closingFor: reason,
    deadlineMs: draft.nowMs + draft.policy.closeTimeoutMs,
    refreshing: undefined,
  });
}

/** Notes that everything of this stream uses the token now. */
export function adoptToken(draft: SessionDraft, id: string): void {
  if (draft.s.staged?.id === id) draft.s = { ...draft.s, staged: undefined };
  draft.out.push({ kind: 'token-adopted', id });
}

/** Ends an episode of failures: retry counters begin anew. */
export function resetEpisode(draft: SessionDraft): void {
  draft.s = {
    ...draft.s,
    attempt: 0,
    episodeSinceMs: undefined,
    redialedAtOnce: false,
    positionExpired: false,
    authFailures: 0,
    frameFaults: 0,
  };
}
