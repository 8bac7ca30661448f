import { adoptToken, isConnecting, putLink, type SessionDraft } from './session-draft.ts';
import type { DialPurpose, Link, TokenRef } from './session-model.ts';

/**
 * Begins a planned change: token rotation or a maintenance notice. One mechanism, overlap: a second link is opened and
 * becomes the main one, then the first is closed; positions tell duplicates apart. Where the endpoint can take a new
 * token in the stream, that is tried first.
 */
export function beginChange(draft: SessionDraft, purpose: DialPurpose): void {
  const { s } = draft;
  if (s.goal !== 'run' || s.next !== undefined || s.change?.asked === true || s.main?.phase !== 'open') return;
  draft.s = { ...s, change: { purpose, asked: true, notBeforeMs: draft.nowMs } };
  draft.out.push({ kind: 'ask', purpose });
}

/** Takes a validated token; links that use an older one change over. */
export function onStaged(draft: SessionDraft, token: TokenRef): void {
  draft.s = { ...draft.s, staged: token };
  const { main, phase } = draft.s;
  if (phase.kind === 'halted' && (phase.reason === 'forbidden' || phase.reason === 'auth_failed')) {
    draft.s = { ...draft.s, phase: { kind: 'asking', purpose: 'resume' } };
    draft.out.push({ kind: 'ask', purpose: 'resume' });
    return;
  }
  if (main === undefined || main.token.id === token.id) {
    draft.out.push({ kind: 'token-adopted', id: token.id });
    draft.s = { ...draft.s, staged: undefined };
    return;
  }
  if (main.phase !== 'open') return; // the dial's own end, or its readiness, comes back here
  if (draft.policy.rotation === 'in-stream' && draft.policy.clientFrames === 'allowed')
    refreshInStream(draft, main, token);
  else beginChange(draft, 'rotate');
}

function refreshInStream(draft: SessionDraft, main: Link, token: TokenRef): void {
  putLink(draft, { ...main, refreshing: { token, untilMs: draft.nowMs + draft.policy.inStream.ackTimeoutMs } });
  draft.out.push({ kind: 'refresh', gen: main.gen, token });
}

/** Looks at the clock for everything planned: an unacknowledged refresh, a retry of a change, the end of an overlap. */
export function onTickChange(draft: SessionDraft): void {
  const { nowMs } = draft;
  if (draft.s.handOverAtMs !== undefined && nowMs >= draft.s.handOverAtMs) promote(draft);
  const { main } = draft.s;
  if (main?.refreshing !== undefined && nowMs >= main.refreshing.untilMs)
    onRefreshUnanswered(draft, main, main.refreshing.token);
  const { change } = draft.s;
  if (change !== undefined && !change.asked && nowMs >= change.notBeforeMs) retryChange(draft, change.purpose);
}

function retryChange(draft: SessionDraft, purpose: DialPurpose): void {
  draft.s = { ...draft.s, change: undefined };
  const { staged } = draft.s;
  if (purpose === 'rotate' && staged !== undefined) return onStaged(draft, staged);
  beginChange(draft, purpose);
}

/** Keeps the old token in use; tries again later, with an overlap before the old token ends. */
function onRefreshUnanswered(draft: SessionDraft, main: Link, token: TokenRef): void {
  putLink(draft, { ...main, refreshing: undefined });
  const fallBackAtMs = main.token.expiresAtMs - draft.policy.inStream.fallBackBeforeExpiryMs;
  const retryAtMs = draft.nowMs + draft.policy.inStream.retryMs;
  if (retryAtMs >= fallBackAtMs) return beginChange(draft, 'rotate');
  draft.s = { ...draft.s, staged: token, change: { purpose: 'rotate', asked: false, notBeforeMs: retryAtMs } };
}

/**
 * Makes the next link the main one; closes the old one politely. The old link may still deliver what is on the wire
 * (duplicates are dropped).
 */
export function promote(draft: SessionDraft): void {
  const { main, next } = draft.s;
  if (next === undefined) return;
  draft.s = {
    ...draft.s,
    main: next,
    next: undefined,
    handOverAtMs: undefined,
    phase: { kind: 'linked' },
    interrupted: false,
    downFor: next.phase === 'open' ? undefined : draft.s.downFor,
  };
  if (main !== undefined) retire(draft, main, next.purpose);
  draft.out.push({ kind: 'promoted', gen: next.gen, retired: main?.gen, purpose: next.purpose });
  if (next.phase !== 'open') return;
  adoptToken(draft, next.token.id);
  // Another token may have been staged during the overlap.
  if (draft.s.staged !== undefined) onStaged(draft, draft.s.staged);
}

function retire(draft: SessionDraft, link: Link, purpose: DialPurpose): void {
  if (isConnecting(link)) draft.out.push({ kind: 'report', outcome: 'neutral' });
  if (link.phase === 'closing') return;
  const reason = purpose === 'rotate' ? 'rotation' : 'maintenance_notice';
  draft.out.push({ kind: 'close', gen: link.gen, code: 1000, reason });
}
