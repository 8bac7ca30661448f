import type { LeaseFacts } from '../../coordination/leases.ts';
import type { EscapeState } from '../../core/lease/escape.ts';
import { leaseOpen, type LeaseState } from '../../core/lease/lease.ts';
import { heirsOf, type Member } from '../../core/lease/candidate-ranking.ts';

/** The election's record of one lease. */
interface Known {
  readonly state: LeaseState;
  readonly holder: string;
  readonly alive: readonly Member[];
  readonly gone: readonly Member[];
  readonly kept: { readonly why: string; readonly asked: number } | undefined;
  readonly escape: EscapeState;
  readonly lastHandOver: { readonly at: string; readonly to: string } | undefined;
}

/** Returns whether the lease is being given to another replica. */
export function handingOver({ role }: LeaseState): boolean {
  return role.kind === 'leading' && role.handOver !== undefined;
}

/** Returns what `/status` and the metrics show of a lease. */
export function leaseStatus(
  known: Known | undefined,
  { own, lease, nowMs }: { readonly own: string; readonly lease: string; readonly nowMs: number },
): LeaseFacts {
  if (known === undefined) return UNKNOWN;
  const { state, alive } = known;
  const { role } = state;
  const common = {
    open: leaseOpen(state, nowMs),
    rank: state.rank,
    members: alive.map((member) => member.id),
    gone: known.gone.map((member) => member.id),
    lastHandOver: known.lastHandOver,
    linked: state.linked,
  };
  if (role.kind === 'leading' && role.started)
    return {
      ...common,
      role: 'leader',
      epoch: role.epoch,
      remainingMs: Math.max(0, Math.round(role.deadlineMs - nowMs)),
      holder: own,
      heir: heirsOf(own, lease, alive)[0],
      unfit: known.kept && { ...known.kept, nextTryMs: Math.max(0, Math.round(known.escape.nextMs - nowMs)) },
      quarantineMs: undefined,
      observed: true,
    };
  return {
    ...common,
    role: role.kind === 'retired' ? 'retired' : 'standby',
    epoch: state.floor,
    remainingMs: undefined,
    holder: known.holder,
    heir: undefined,
    unfit: undefined,
    quarantineMs: positive(state.quarantineUntilMs - nowMs),
    observed: state.watch !== undefined,
  };
}

/** A lease that this replica takes no part in. */
const UNKNOWN: LeaseFacts = {
  role: 'standby',
  open: false,
  epoch: 0,
  remainingMs: undefined,
  holder: '',
  rank: 0,
  heir: undefined,
  members: [],
  gone: [],
  unfit: undefined,
  quarantineMs: undefined,
  lastHandOver: undefined,
  linked: false,
  observed: false,
};

function positive(ms: number): number | undefined {
  return ms > 0 && Number.isFinite(ms) ? Math.round(ms) : undefined;
}
