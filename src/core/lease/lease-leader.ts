import { lose, onStepOverdue } from './lease-hand-over.ts';
import {
  LEASE_RETRY_MS,
  ORPHAN_SOCKETS_MS,
  REFUSED_SOCKETS_MS,
  quarantine,
  type LeaseDraft,
  type Leading,
  type LeaseInput,
  type LeasePolicy,
  type LeaseView,
} from './lease-model.ts';
import { earliest, type Millis } from '../units.ts';

/** Allowance of the Redlock page for clocks that run at different rates, as a share of the ttl. */
const DRIFT_SHARE = 0.01;
/** Allowance of the Redlock page for the resolution in which Redis lets keys expire. */
const DRIFT_MS: Millis = 2;
/** Renewals are spread by this share to either side. */
const RENEW_SPREAD_SHARE = 0.05;

/**
 * Returns the instant at which the leader must have stopped, from the instant at which the command that set the key was
 * *sent*.
 */
function leaseDeadlineFrom(policy: LeasePolicy, sentAtMs: Millis): Millis {
  return sentAtMs + policy.ttlMs * (1 - DRIFT_SHARE) - DRIFT_MS - policy.marginMs;
}

/** Returns when a leader must next look at the clock. */
export function leadingDeadline(role: Leading, linked: boolean): Millis | undefined {
  return earliest(
    role.open || (role.started && !role.socketsClosed) ? role.deadlineMs : undefined,
    linked && role.renewal === undefined && role.handOver?.step !== 'transferring' ? role.nextRenewMs : undefined,
    orphanAtMs(role),
    role.handOver?.untilMs,
  );
}

function orphanAtMs(role: Leading): Millis | undefined {
  return role.linkLostAtMs === undefined || role.socketsClosed
    ? undefined
    : role.linkLostAtMs + (role.refused ? REFUSED_SOCKETS_MS : ORPHAN_SOCKETS_MS);
}

interface Won {
  readonly token: string;
  readonly epoch: number;
  readonly storeMs: number;
  readonly incarnation: string;
  readonly sentAtMs: Millis;
  readonly unit: number;
  /** Rest of the key's life, where another replica set it. */
  readonly pttlMs?: Millis;
}

/** Begins to lead with a lease that was won; opens it only before its deadline and while the store is connected. */
export function beginLeading(draft: LeaseDraft, won: Won, how: 'acquired' | 'transferred'): void {
  const { policy, nowMs } = draft;
  const deadlineMs = leaseDeadlineFrom(policy, won.sentAtMs);
  const role: Leading = {
    kind: 'leading',
    token: won.token,
    epoch: won.epoch,
    how,
    deadlineMs,
    endsAtStoreMs: won.storeMs + (won.pttlMs ?? policy.ttlMs),
    open: false,
    started: false,
    renewal: undefined,
    nextRenewMs: nextRenew(policy, won.sentAtMs, won.unit),
    linkLostAtMs: draft.s.linked ? undefined : nowMs,
    refused: false,
    socketsClosed: false,
    handOver: undefined,
    incarnation: won.incarnation,
    forgot: draft.s.forgot,
  };
  draft.s = {
    ...draft.s,
    role,
    floor: Math.max(draft.s.floor, won.epoch),
    expecting: undefined,
    watch: undefined,
    goneSinceMs: undefined,
    contendAtMs: undefined,
    forgot: false,
  };
  // An answer that came after its own deadline: the store has the lease as ours, but it may not be used until a renewal
  // confirms it.
  if (nowMs >= deadlineMs || !draft.s.linked) return;
  draft.s = { ...draft.s, role: { ...role, open: true, started: true } };
  draft.out.push({ kind: 'lead', epoch: won.epoch, how, forgot: role.forgot });
}

/**
 * Begins with a lock that carries the token this replica offered to take over with: one renewal of its own sets the
 * deadline, then it leads.
 */
export function beginWithToken(draft: LeaseDraft, token: string, view: LeaseView): void {
  beginLeading(
    draft,
    {
      token,
      epoch: view.epoch,
      storeMs: view.storeMs,
      incarnation: view.incarnation,
      sentAtMs: -Infinity,
      unit: 0.5,
      pttlMs: view.pttlMs,
    },
    'transferred',
  );
  if (draft.s.role.kind === 'leading') renew(draft, draft.s.role);
}

function nextRenew(policy: LeasePolicy, fromMs: Millis, unit: number): Millis {
  return fromMs + policy.renewEveryMs * (1 - RENEW_SPREAD_SHARE + 2 * RENEW_SPREAD_SHARE * unit);
}

function renew(draft: LeaseDraft, role: Leading): void {
  const gen = draft.s.gen + 1;
  draft.s = { ...draft.s, gen, role: { ...role, renewal: { gen, sentAtMs: draft.nowMs } } };
  // A store that does not know us is ours to fill only while no replica can have replaced us: not after our connection
  // was away, and not past our own deadline, whatever the store's clock says (it may have been set back).
  const sure = role.linkLostAtMs === undefined && draft.nowMs < role.deadlineMs;
  const notAfterStoreMs = sure ? role.endsAtStoreMs : 0;
  draft.out.push({ kind: 'renew', gen, token: role.token, epoch: role.epoch, notAfterStoreMs });
}

/** Looks at the leader's clock: renewals that are due, its deadline, steps of a hand-over. */
export function tickLeading(draft: LeaseDraft, before: Leading, slackMs: Millis): void {
  let role = before;
  if (draft.nowMs >= role.deadlineMs) role = closeSockets(draft, shut(draft, role, 'expired'));
  const orphanMs = orphanAtMs(role);
  if (orphanMs !== undefined && draft.nowMs >= orphanMs) role = closeSockets(draft, role);
  draft.s = { ...draft.s, role };
  // Inputs that may end the term come first: a renewal sent after a release would take the lock back.
  onStepOverdue(draft);
  const after = draft.s.role;
  if (after.kind !== 'leading' || after.handOver?.step === 'transferring') return;
  if (draft.s.linked && after.renewal === undefined && draft.nowMs >= after.nextRenewMs - slackMs) renew(draft, after);
}

function shut(draft: LeaseDraft, role: Leading, why: 'expired' | 'link_lost' | 'doubt'): Leading {
  if (!role.open) return role;
  draft.out.push({ kind: 'shut', why });
  // The epoch that was named to an heir was good for the time until now; a leader that is open again names another, or
  // none.
  const handOver =
    role.handOver === undefined || role.handOver.step === 'transferring'
      ? role.handOver
      : { ...role.handOver, nextEpoch: 0 };
  return { ...role, open: false, handOver };
}

function closeSockets(draft: LeaseDraft, role: Leading): Leading {
  if (role.socketsClosed || !role.started) return role;
  draft.out.push({ kind: 'close-sockets' });
  return { ...role, socketsClosed: true };
}

/** Takes in the state of the connection to the store. */
export function onLink(draft: LeaseDraft, state: 'up' | 'lost' | 'refused'): void {
  const { role } = draft.s;
  if (state === 'up') {
    draft.s = {
      ...draft.s,
      linked: true,
      looking: false,
      proving: false,
      nextLookMs: draft.nowMs,
      goneSinceMs: undefined,
    };
    if (role.kind === 'leading') renew(draft, { ...role, renewal: undefined, refused: false });
    return;
  }
  // A replica that was away does not know what happened meanwhile: the incumbent goes first.
  draft.s = { ...draft.s, linked: false, contendAtMs: undefined, watch: undefined, aliveConn: undefined };
  // An attempt without an answer may have won: its key expires by itself.
  if (role.kind === 'acquiring') draft.s = { ...draft.s, role: { kind: 'standby' } };
  if (role.kind !== 'leading') return;
  const refused = state === 'refused';
  const lost = shut(
    draft,
    { ...role, renewal: undefined, linkLostAtMs: role.linkLostAtMs ?? draft.nowMs, refused },
    'link_lost',
  );
  draft.s = { ...draft.s, role: lost };
}

/** Stops acting until the store confirms that the lease is ours. */
export function onDoubt(draft: LeaseDraft): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || !role.open) return;
  const doubting = shut(draft, role, 'doubt');
  draft.s = { ...draft.s, role: doubting };
  if (draft.s.linked) renew(draft, doubting);
}

/** Takes the store's answer that the lease is renewed. */
export function onRenewed(draft: LeaseDraft, input: Extract<LeaseInput, { kind: 'renewed' }>): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.renewal?.gen !== input.gen) return;
  const { sentAtMs } = role.renewal;
  const renewed: Leading = {
    ...role,
    deadlineMs: Math.max(role.deadlineMs, leaseDeadlineFrom(draft.policy, sentAtMs)),
    endsAtStoreMs: input.storeMs + draft.policy.ttlMs,
    renewal: undefined,
    nextRenewMs: nextRenew(draft.policy, sentAtMs, input.unit),
    linkLostAtMs: undefined,
    incarnation: input.incarnation,
  };
  // Too late to be used: asked again at once, because only a fresh question gives a fresh deadline.
  if (draft.nowMs >= renewed.deadlineMs) {
    draft.s = { ...draft.s, role: { ...renewed, nextRenewMs: draft.nowMs } };
    return;
  }
  // Also when the deadline had passed and no tick had noticed: each caller that asked meanwhile was refused.
  const wasShut = !role.open || draft.nowMs >= role.deadlineMs;
  const storeLostData = input.forgotten || input.incarnation !== role.incarnation;
  draft.s = { ...draft.s, role: continueLeading(draft, renewed, { wasShut, storeLostData }) };
}

/** Continues with a new deadline: leading begins, is opened again, or goes on. */
function continueLeading(
  draft: LeaseDraft,
  role: Leading,
  { wasShut, storeLostData }: { readonly wasShut: boolean; readonly storeLostData: boolean },
): Leading {
  // The heir may act since the transfer was sent.
  if (role.handOver?.step === 'transferring') return { ...role, open: false };
  if (!role.started) {
    draft.out.push({ kind: 'lead', epoch: role.epoch, how: role.how, forgot: role.forgot });
    return { ...role, started: true, open: true, socketsClosed: false };
  }
  if (wasShut || storeLostData) draft.out.push({ kind: 'reopen', storeLostData });
  return wasShut ? { ...role, open: true, socketsClosed: false } : role;
}

/** Takes that the lease was not renewed: refused, forgotten by the store, or no answer. */
export function onNotRenewed(draft: LeaseDraft, gen: number, why: 'lost' | 'forgotten' | 'failed'): void {
  const { role } = draft.s;
  if (role.kind !== 'leading' || role.renewal?.gen !== gen) return;
  if (why === 'failed') {
    draft.s = { ...draft.s, role: { ...role, renewal: undefined, nextRenewMs: draft.nowMs + LEASE_RETRY_MS } };
    return;
  }
  lose(draft, role, why === 'lost' ? 'taken_over' : 'store_lost_data');
  // The store forgot us and our own time is over: another replica may act, so this one waits like all others.
  if (why === 'forgotten') quarantine(draft, 'store_changed');
}
