import type { LeaseFacts } from '../../coordination/leases.ts';
import type { EscapeState } from '../../core/lease/escape.ts';
import { leaseOpen, type LeaseState } from '../../core/lease/lease.ts';
import { heirsOf, type Member } from '../../core/lease/candidate-ranking.ts';

/** One lease as the election keeps it. */
interface Known {
  readonly state: LeaseState;
  readonly holder: string;
  readonly alive: readonly Member[];
  readonly gone: readonly Member[];
  readonly kept: { readonly why: string; readonly asked: number } | undefined;
  readonly escape: EscapeState;
  readonly lastHandOver: { readonly at: string; readonly to: string } | undefined;
}

export function handingOver({ role }: LeaseState): boolean {
  return role.kind === 'leading' && role.handOver !== undefined;
}

/** What `/status` and the metrics show of a lease. */
export function leaseStatus(
  known: Known | undefined,
  { own, lease, nowMs }: { readonly own: string; readonly lease: string; readonly nowMs: number },
): LeaseFacts {
  if (known === undefined)
    return {
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
  const { state, alive } = known;
  const { role } = state;
  const leading = role.kind === 'leading' && role.started;
  return {
    role: leading ? 'leader' : role.kind === 'retired' ? 'retired' : 'standby',
    open: leaseOpen(state, nowMs),
    epoch: leading ? role.epoch : state.floor,
    remainingMs: leading ? Math.max(0, Math.round(role.deadlineMs - nowMs)) : undefined,
    holder: leading ? own : known.holder,
    rank: state.rank,
    heir: leading ? heirsOf(own, lease, alive)[0] : undefined,
    members: alive.map((member) => member.id),
    gone: known.gone.map((member) => member.id),
    unfit:
      leading && known.kept !== undefined
        ? { ...known.kept, nextTryMs: Math.max(0, Math.round(known.escape.nextMs - nowMs)) }
        : undefined,
    quarantineMs: leading ? undefined : positive(state.quarantineUntilMs - nowMs),
    lastHandOver: known.lastHandOver,
    linked: state.linked,
    observed: leading || state.watch !== undefined,
  };
}

function positive(ms: number): number | undefined {
  return ms > 0 && Number.isFinite(ms) ? Math.round(ms) : undefined;
}
