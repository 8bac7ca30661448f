import {
  DRAIN_LIMIT_MS,
  TRANSFER_LIMIT_MS,
  WARM_LIMIT_MS,
  type HandOver,
  type LeaseDraft,
  type LeaseInput,
  type Leading,
  type LossReason,
} from './lease-model.ts';
import type { Millis } from '../units.ts';

/**
 * Planned changes of leader: offer, warm, drain, transfer; any step that is missing falls back to release, and that to
 * expiry.
 */

/** Ends the leader's role, for whatever reason. */
export function lose(draft: LeaseDraft, role: Leading, why: LossReason): void {
  if (role.started) draft.out.push({ kind: 'lost', why });
  const final = role.handOver?.final === true;
  draft.s = {
    ...draft.s,
    role: { kind: final ? 'retired' : 'standby' },
    watch: undefined,
    looking: false,
    proving: false,
    nextLookMs: draft.nowMs,
    contendAtMs: undefined,
  };
}

type Order = Extract<LeaseInput, { kind: 'hand-over' }>;

/** Takes the order to give the lease away; a standby only retires, if the order is final. */
export function onHandOver(draft: LeaseDraft, order: Order): void {
  const { role } = draft.s;
  if (role.kind === 'standby' || role.kind === 'acquiring') {
    if (order.final) draft.s = { ...draft.s, role: { kind: 'retired' }, contendAtMs: undefined };
    return;
  }
  if (role.kind !== 'leading') return;
  if (role.handOver !== undefined) return hurry(draft, role, role.handOver, order);
  // Without an heir a lease is only given up when the replica stops.
  if (order.heirs.length === 0 && !order.final) return;
  // Nothing was begun: there is nothing to hand over, only a key to give back.
  if (!role.started)
    return release(draft, {
      ...role,
      handOver: {
        step: 'draining',
        nextEpoch: 0,
        heir: undefined,
        heirToken: undefined,
        untilMs: draft.nowMs,
        final: order.final,
      },
    });
  offerNext(draft, role, order);
}

/** Takes a second order while one is carried out: it may make it final, and end the search for an heir. */
function hurry(draft: LeaseDraft, role: Leading, handOver: HandOver, order: Order): void {
  const final = order.final || handOver.final;
  if (handOver.step === 'offering' && order.heirs.length === 0 && final)
    return drain(draft, role, { ...NOBODY, final, drainMs: order.drainMs });
  draft.s = { ...draft.s, role: { ...role, handOver: { ...handOver, final } } };
}

const NOBODY = { nextEpoch: 0, heir: undefined, heirToken: undefined };

function offerNext(
  draft: LeaseDraft,
  role: Leading,
  { heirs, final, drainMs }: Pick<Order, 'heirs' | 'final' | 'drainMs'>,
): void {
  // Past its deadline a leader does not know what the store's clock gave other replicas meanwhile: the epoch it would
  // name may be below one that was given.
  const [heir, ...rest] = role.open && draft.nowMs < role.deadlineMs ? heirs : [];
  if (heir === undefined) {
    if (final) return drain(draft, role, { ...NOBODY, final, drainMs });
    draft.s = { ...draft.s, role: { ...role, handOver: undefined } };
    return;
  }
  // Not below what the store's clock gave replicas that the store has forgotten, and never ahead of that clock.
  const nextEpoch = Math.max(role.epoch + 1, Math.floor(role.endsAtStoreMs - draft.policy.ttlMs));
  draft.s = {
    ...draft.s,
    role: {
      ...role,
      handOver: { step: 'offering', nextEpoch, heir, rest, untilMs: draft.nowMs + WARM_LIMIT_MS, final, drainMs },
    },
  };
  draft.out.push({ kind: 'offer', heir, nextEpoch });
}

function drain(
  draft: LeaseDraft,
  role: Leading,
  to: {
    readonly nextEpoch: number;
    readonly heir: string | undefined;
    readonly heirToken: string | undefined;
    readonly final: boolean;
    readonly drainMs: Millis;
  },
): void {
  const { drainMs, ...rest } = to;
  const limitMs = Math.min(DRAIN_LIMIT_MS, drainMs);
  draft.s = { ...draft.s, role: { ...role, handOver: { step: 'draining', ...rest, untilMs: draft.nowMs + limitMs } } };
  draft.out.push({ kind: 'drain', limitMs });
}

/** Takes the heir's word that it is ready, and its token; the drain begins. */
export function onWarm(draft: LeaseDraft, heir: string, token: string): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.handOver?.step !== 'offering' || role.handOver.heir !== heir) return;
  const { nextEpoch, final, drainMs } = role.handOver;
  drain(draft, role, { nextEpoch, heir, heirToken: token, final, drainMs });
}

/** Transfers the lease to a warm heir, or gives it back. */
export function onDrained(draft: LeaseDraft, epoch: number): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.epoch !== epoch || role.handOver?.step !== 'draining') return;
  const { nextEpoch, heir, heirToken, final } = role.handOver;
  if (heir === undefined || heirToken === undefined || nextEpoch === 0 || draft.nowMs >= role.deadlineMs)
    return release(draft, role);
  const handOver: HandOver = { step: 'transferring', heir, untilMs: draft.nowMs + TRANSFER_LIMIT_MS, final };
  // From the moment of sending the heir may act and this replica may not, whatever the answer will be.
  draft.s = { ...draft.s, role: { ...role, open: false, handOver } };
  draft.out.push({ kind: 'transfer', token: role.token, epoch: role.epoch, nextEpoch, heir, heirToken });
}

/** Takes in whether the store carried the transfer out. */
export function onTransferred(draft: LeaseDraft, epoch: number, ok: boolean): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.epoch !== epoch || role.handOver?.step !== 'transferring') return;
  // Without an answer it may have happened all the same: giving back by compare is harmless.
  if (!ok) return release(draft, role);
  lose(draft, role, 'handed_over');
}

/** Gives the key back, everything being drained; when that fails it expires. */
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
      return offerNext(draft, role, { ...handOver, heirs: handOver.rest });
    case 'draining':
      return onDrained(draft, role.epoch);
    case 'transferring':
      return release(draft, role);
  }
}
