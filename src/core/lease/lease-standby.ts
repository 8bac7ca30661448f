import { beginWithToken } from './lease-leader.ts';
import {
  CLOCK_TOLERANCE_MS,
  CLOCK_TOLERANCE_SHARE,
  EARLY_TOLERANCE_MS,
  EXPIRY_RANK_MS,
  LEASE_RETRY_MS,
  NOTICE_RANK_MS,
  PROOF_EVERY_MS,
  quarantine,
  RANK_JITTER_MS,
  STALE_LOOK_MS,
  type LeaseDraft,
  type LeaseInput,
  type LeaseState,
  type LeaseView,
  type QuarantineReason,
  type Watch,
} from './lease-model.ts';
import { earliest, type Millis } from '../units.ts';

/** Returns when a standby must next look at the clock. */
export function standbyDeadline(state: LeaseState): Millis | undefined {
  if (!state.linked) return undefined;
  return earliest(
    state.looking ? undefined : state.nextLookMs,
    state.contendAtMs,
    provable(state) ? state.nextProofMs : undefined,
  );
}

/** Looks at the standby's clock: looks, proofs, and tries that are due. */
export function tickStandby(draft: LeaseDraft, unit: number): void {
  if (draft.s.role.kind !== 'standby' || !draft.s.linked) return;
  if (draft.s.contendAtMs !== undefined && draft.nowMs >= draft.s.contendAtMs) return acquire(draft);
  if (!draft.s.looking && draft.nowMs >= draft.s.nextLookMs) look(draft);
  const { watch } = draft.s;
  if (watch !== undefined && provable(draft.s) && draft.nowMs >= draft.s.nextProofMs) {
    draft.s = { ...draft.s, proving: true, nextProofMs: draft.nowMs + proofDistance(draft.s, unit) };
    draft.out.push({ kind: 'prove', conn: watch.conn });
  }
}

/** Returns whether the holder can be proved dead: it named its connection, and has not reported that it stopped. */
function provable(state: LeaseState): boolean {
  const { watch } = state;
  return watch !== undefined && !state.proving && watch.conn !== '' && watch.state === 'held';
}

function proofDistance(state: LeaseState, unit: number): Millis {
  return PROOF_EVERY_MS * (state.goneSinceMs === undefined ? 1 + state.rank : 1) + unit * RANK_JITTER_MS;
}

function look(draft: LeaseDraft): void {
  draft.s = { ...draft.s, looking: true, nextLookMs: draft.nowMs + LEASE_RETRY_MS };
  draft.out.push({ kind: 'observe' });
}

/** Looks now, because the lease changed. */
export function contend(draft: LeaseDraft): void {
  if (draft.s.role.kind !== 'standby') return;
  draft.s = { ...draft.s, goneSinceMs: undefined };
  if (draft.s.linked) look(draft);
}

/** Takes a notice that the lease is free or changed hands. */
export function onNotice(draft: LeaseDraft): void {
  const awaited =
    draft.s.role.kind === 'standby' || (draft.s.role.kind === 'retired' && draft.s.expecting !== undefined);
  if (awaited && draft.s.linked) look(draft);
}

function acquire(draft: LeaseDraft): void {
  const gen = draft.s.gen + 1;
  const { incarnation = '', fenceToken = '', beat = '' } = draft.s.watch ?? {};
  draft.s = { ...draft.s, gen, contendAtMs: undefined, role: { kind: 'acquiring', gen, sentAtMs: draft.nowMs } };
  draft.out.push({ kind: 'acquire', gen, incarnation, fenceToken, beat, floor: draft.s.floor });
}

/** Takes that a try for the lease was in vain. */
export function onNotAcquired(draft: LeaseDraft, gen: number, why: 'held' | 'quarantine' | 'failed'): void {
  const { role } = draft.s;
  if (role.kind !== 'acquiring' || role.gen !== gen) return;
  draft.s = {
    ...draft.s,
    role: { kind: 'standby' },
    looking: false,
    nextLookMs: why === 'held' ? draft.nowMs : draft.nowMs + LEASE_RETRY_MS,
  };
  if (why === 'quarantine') quarantine(draft, 'store_changed');
}

/** Takes the store's view of the lease, and decides whether to believe it and when to try. */
export function onObserved(draft: LeaseDraft, input: Extract<LeaseInput, { kind: 'observed' }>): void {
  const { view, sentAtMs, rank, unit } = input;
  if (draft.nowMs - sentAtMs > STALE_LOOK_MS) {
    draft.s = { ...draft.s, looking: false, nextLookMs: draft.nowMs };
    return;
  }
  draft.s = { ...draft.s, looking: false, rank, floor: Math.max(draft.s.floor, view.epoch) };
  const { role, expecting } = draft.s;
  const transferred = transferredToken(draft.s, view);
  // The transfer came after we had stopped: it must not wait for the ttl.
  if (role.kind === 'retired' && transferred !== undefined) draft.out.push({ kind: 'release', token: transferred });
  if (role.kind !== 'standby') return;
  if (transferred !== undefined) return beginWithToken(draft, transferred, view);
  if (expecting !== undefined && draft.nowMs > expecting.untilMs) draft.s = { ...draft.s, expecting: undefined };
  judge(draft, view, sentAtMs);
  remember(draft, view, sentAtMs);
  if (view.token === undefined) onFree(draft, view, unit);
  else onHeld(draft, view, { unit, sentAtMs });
}

/** Returns the token under which a leader has made the lease ours, as this replica had offered; undefined: none has. */
function transferredToken({ expecting }: LeaseState, view: LeaseView): string | undefined {
  return expecting !== undefined && view.token === expecting.token ? view.token : undefined;
}

/** When the store was asked, and when its answer came. */
interface LookTimes {
  readonly sentAtMs: Millis;
  readonly nowMs: Millis;
}

/** Judges whether the store's answer fits its earlier ones. If not, it may have forgotten a holder that still acts. */
function judge(draft: LeaseDraft, view: LeaseView, sentAtMs: Millis): void {
  const { watch: before, lastIncarnation } = draft.s;
  const moved = lastIncarnation !== undefined && lastIncarnation !== view.incarnation;
  draft.s = { ...draft.s, lastIncarnation: view.incarnation };
  if (moved) {
    // Its record of a clean stop may be older than a holder that it has forgotten.
    draft.s = { ...draft.s, distrustUntilMs: draft.nowMs + draft.policy.ttlMs };
    return quarantine(draft, 'store_changed');
  }
  const why =
    before === undefined
      ? reasonAtFirstLook(view)
      : reasonSinceLastLook(before, view, { sentAtMs, nowMs: draft.nowMs });
  if (why !== undefined) quarantine(draft, why);
}

/**
 * Returns why a first look is not believed: a replica cannot know what was there a moment ago, and believes a clean
 * stop only.
 */
function reasonAtFirstLook(view: LeaseView): QuarantineReason | undefined {
  return view.state === 'released' ? undefined : 'young';
}

/** Returns what does not fit between two looks at the lease; undefined: everything fits. */
function reasonSinceLastLook(before: Watch, view: LeaseView, at: LookTimes): QuarantineReason | undefined {
  if (view.epoch < before.epoch) return 'epoch_lost';
  if (jumped(before, view, at)) return 'clock_jump';
  if (view.token !== undefined || view.state === 'released') return undefined;
  // A replica took or renewed it after the last look, and it is free all the same: before its time, so that replica may
  // still act.
  if (view.fenceToken !== before.fenceToken || view.beat !== before.beat) return 'holder_changed';
  const early = before.token !== undefined && at.nowMs < before.freeFromMs - EARLY_TOLERANCE_MS;
  return early ? 'early_expiry' : undefined;
}

/**
 * Returns whether the store's clock jumped against ours. Each look happened at some time between its question and its
 * answer.
 */
function jumped(before: Watch, view: LeaseView, at: LookTimes): boolean {
  const least = at.sentAtMs - before.seenAtMs;
  const most = at.nowMs - before.sentAtMs;
  const tolerance = CLOCK_TOLERANCE_MS + most * CLOCK_TOLERANCE_SHARE;
  const progress = view.storeMs - before.storeMs;
  return progress < least - tolerance || progress > most + tolerance;
}

function remember(draft: LeaseDraft, view: LeaseView, sentAtMs: Millis): void {
  const before = draft.s.watch;
  const sameBeat =
    before !== undefined &&
    before.incarnation === view.incarnation &&
    before.token === view.token &&
    before.beat === view.beat;
  const sameConn = before !== undefined && before.conn === view.conn && before.fenceToken === view.fenceToken;
  draft.s = {
    ...draft.s,
    goneSinceMs: sameConn && sameBeat ? draft.s.goneSinceMs : undefined,
    watch: {
      ...view,
      freeFromMs: sentAtMs + view.pttlMs,
      beatSinceMs: sameBeat ? before.beatSinceMs : draft.nowMs,
      seenAtMs: draft.nowMs,
      sentAtMs,
    },
  };
}

function onFree(draft: LeaseDraft, view: LeaseView, unit: number): void {
  const { s, nowMs } = draft;
  const jitter = unit * RANK_JITTER_MS;
  const clean = view.state === 'released' && nowMs >= s.distrustUntilMs;
  const contendAtMs = clean
    ? nowMs + s.rank * NOTICE_RANK_MS + (s.rank > 0 ? jitter : 0)
    : Math.max(nowMs, s.quarantineUntilMs) + s.rank * EXPIRY_RANK_MS + jitter;
  // A lease that is seen free again keeps its place: looking must not postpone the try.
  const kept = s.contendAtMs === undefined ? contendAtMs : Math.min(s.contendAtMs, contendAtMs);
  const safe = clean ? kept : Math.max(kept, s.quarantineUntilMs);
  draft.s = { ...s, contendAtMs: safe, nextLookMs: Math.max(safe, nowMs) + LEASE_RETRY_MS };
}

function onHeld(
  draft: LeaseDraft,
  view: LeaseView,
  { unit, sentAtMs }: { readonly unit: number; readonly sentAtMs: Millis },
): void {
  const { s, nowMs, policy } = draft;
  const ageMs = policy.ttlMs + policy.renewEveryMs;
  if (s.watch !== undefined && view.token !== undefined && sentAtMs - s.watch.beatSinceMs >= ageMs) {
    // Its last renewal was sent before we first saw this beat: its deadline has passed, whatever the store's clock does
    // to the key.
    draft.out.push({ kind: 'break', token: view.token, conn: view.conn, beat: view.beat, why: 'no_renewal' });
    draft.s = { ...s, contendAtMs: undefined, nextLookMs: nowMs + LEASE_RETRY_MS };
    return;
  }
  const expiryMs = nowMs + Math.min(view.pttlMs + 1, policy.ttlMs);
  draft.s = { ...s, contendAtMs: undefined, nextLookMs: expiryMs + unit * RANK_JITTER_MS };
}

/** Takes the store's answer whether the holder's connection still exists. */
export function onProof(draft: LeaseDraft, input: Extract<LeaseInput, { kind: 'proof' }>): void {
  draft.s = { ...draft.s, proving: false };
  const { watch, goneSinceMs } = draft.s;
  if (draft.s.role.kind !== 'standby' || watch === undefined || watch.conn !== input.conn || input.gone === undefined)
    return;
  if (!input.gone) {
    draft.s = { ...draft.s, goneSinceMs: undefined, aliveConn: input.conn };
    return;
  }
  // A server that never showed us this connection may show only some: then its absence proves nothing.
  if (draft.s.aliveConn !== input.conn && !watch.formerSelf) return;
  if (goneSinceMs === undefined) {
    // The holder may be between two connections: look again, and at its record too.
    draft.s = { ...draft.s, goneSinceMs: draft.nowMs, nextProofMs: draft.nowMs + PROOF_EVERY_MS };
    look(draft);
    return;
  }
  if (draft.nowMs < goneSinceMs + PROOF_EVERY_MS) return;
  draft.s = { ...draft.s, goneSinceMs: undefined, nextProofMs: draft.nowMs + PROOF_EVERY_MS };
  draft.out.push({
    kind: 'break',
    token: watch.fenceToken,
    conn: watch.conn,
    beat: watch.beat,
    why: 'connection_gone',
  });
}
