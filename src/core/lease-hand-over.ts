import { DRAIN_LIMIT_MS, TRANSFER_LIMIT_MS, WARM_LIMIT_MS, type HandOver, type LeaseDraft, type Leading, type LossReason } from './lease-types.ts';

/** Planned changes of leader: offer, warm, drain, transfer; any step that is missing falls back to release, and that to expiry. */

/** No longer the leader, for whatever reason. */
export function lose(draft: LeaseDraft, role: Leading, why: LossReason): void {
  if (role.started) draft.out.push({ kind: 'lost', why });
  const final = role.handOver?.final === true;
  draft.s = { ...draft.s, role: { kind: final ? 'retired' : 'standby' }, watch: undefined, looking: false, proving: false, nextLookMs: draft.nowMs, contendAtMs: undefined };
}

export function onHandOver(draft: LeaseDraft, heirs: readonly string[], final: boolean): void {
  const { role } = draft.s;
  if (role.kind === 'standby' || role.kind === 'acquiring') {
    if (final) draft.s = { ...draft.s, role: { kind: 'retired' } };
    return;
  }
  if (role.kind !== 'leading') return;
  if (role.handOver !== undefined) {
    draft.s = { ...draft.s, role: { ...role, handOver: { ...role.handOver, final: final || role.handOver.final } } };
    return;
  }
  // Without a heir a lease is only given up when we stop.
  if (heirs.length === 0 && !final) return;
  // Nothing was begun: there is nothing to hand over, only a key to give back.
  if (!role.started) return release(draft, { ...role, handOver: { step: 'draining', nextEpoch: 0, heir: undefined, heirToken: undefined, untilMs: draft.nowMs, final } });
  offerNext(draft, role, heirs, final);
}

function offerNext(draft: LeaseDraft, role: Leading, heirs: readonly string[], final: boolean): void {
  const [heir, ...rest] = heirs;
  if (heir === undefined) {
    if (final) return drain(draft, role, { nextEpoch: 0, heir: undefined, heirToken: undefined, final });
    draft.s = { ...draft.s, role: { ...role, handOver: undefined } };
    return;
  }
  // Not below what the store's clock gave others whom the store has forgotten, and never ahead of that clock.
  const nextEpoch = Math.max(role.epoch + 1, Math.floor(role.endsAtStoreMs - draft.policy.ttlMs));
  draft.s = { ...draft.s, role: { ...role, handOver: { step: 'offering', nextEpoch, heir, rest, untilMs: draft.nowMs + WARM_LIMIT_MS, final } } };
  draft.out.push({ kind: 'offer', heir, nextEpoch });
}

function drain(draft: LeaseDraft, role: Leading, to: { readonly nextEpoch: number; readonly heir: string | undefined; readonly heirToken: string | undefined; readonly final: boolean }): void {
  draft.s = { ...draft.s, role: { ...role, handOver: { step: 'draining', ...to, untilMs: draft.nowMs + DRAIN_LIMIT_MS } } };
  draft.out.push({ kind: 'drain', limitMs: DRAIN_LIMIT_MS });
}

export function onWarm(draft: LeaseDraft, heir: string, token: string): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.handOver?.step !== 'offering' || role.handOver.heir !== heir) return;
  drain(draft, role, { nextEpoch: role.handOver.nextEpoch, heir, heirToken: token, final: role.handOver.final });
}

export function onDrained(draft: LeaseDraft): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.handOver?.step !== 'draining') return;
  const { nextEpoch, heir, heirToken, final } = role.handOver;
  if (heir === undefined || heirToken === undefined) return release(draft, role);
  const handOver: HandOver = { step: 'transferring', heir, untilMs: draft.nowMs + TRANSFER_LIMIT_MS, final };
  // From the moment of sending the heir may act: we may not, whatever the answer will be.
  draft.s = { ...draft.s, role: { ...role, open: false, handOver } };
  draft.out.push({ kind: 'transfer', token: role.token, epoch: role.epoch, nextEpoch, heir, heirToken });
}

export function onTransferred(draft: LeaseDraft, ok: boolean): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.handOver?.step !== 'transferring') return;
  // Without an answer it may have happened all the same: giving back by compare hurts nobody.
  if (!ok) return release(draft, role);
  lose(draft, role, 'handed_over');
}

/** Everything is drained: give the key back; when that fails it expires. */
function release(draft: LeaseDraft, role: Leading): void {
  draft.out.push({ kind: 'release', token: role.token });
  lose(draft, role, 'released');
}

/** Looks whether the current step took too long. */
export function onStepOverdue(draft: LeaseDraft): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.handOver === undefined || draft.nowMs < role.handOver.untilMs) return;
  const { handOver } = role;
  switch (handOver.step) {
    case 'offering':
      return offerNext(draft, role, handOver.rest, handOver.final);
    case 'draining':
      return onDrained(draft);
    case 'transferring':
      return release(draft, role);
  }
}
