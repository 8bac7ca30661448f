import type { Sighting } from '../../coordination/leases.ts';
import { alive, type Member } from '../../core/lease/candidate-ranking.ts';
import { noEscape, type EscapeState } from '../../core/lease/escape.ts';
import { leaseOpenUntil, newLease, type LeaseState } from '../../core/lease/lease.ts';
import type { HeldLease } from '../runtime/lease-grant.ts';
import type { Candidate } from './candidate.ts';
import type { Unfit } from './fitness.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** The record of a lease that the election writes and terms read. */
export type HeldRecord = Writable<HeldLease>;

/** The election's record of one lease: its machine's state, and what was seen of the other replicas. */
export interface LeaseEntry {
  readonly candidate: Candidate;
  readonly held: HeldRecord;
  state: LeaseState;
  members: readonly Member[];
  holder: string;
  /** The replica that had it before this one. */
  previous: string;
  lastHandOver: { readonly at: string; readonly to: string } | undefined;
  movedAtMs: number;
  /** The store's clock and ours at the last look at the members. */
  seenAt: { readonly storeMs: number; readonly nowMs: number };
  /** Hand-overs tried because this replica was unfit. */
  escape: EscapeState;
  /** The last hand-over, if it was in vain: why it was tried, and how many replicas were asked. */
  kept: { readonly why: Unfit; readonly asked: number } | undefined;
  /** True when heirs must prove their credentials: ours are refused. */
  proving: boolean;
}

/** Returns the record of a lease that this replica takes part in from now on. */
export function newEntry(candidate: Candidate, held: HeldRecord, nowMs: number): LeaseEntry {
  return {
    candidate,
    held,
    state: newLease,
    members: [],
    holder: '',
    previous: '',
    lastHandOver: undefined,
    movedAtMs: -Infinity,
    seenAt: { storeMs: 0, nowMs },
    escape: noEscape,
    kept: undefined,
    proving: false,
  };
}

/**
 * Writes a state, and with it the right to act in the lease's name; no other function writes either.
 * @param own the id of this replica.
 */
export function commit(entry: LeaseEntry, state: LeaseState, own: string): void {
  const { role } = state;
  const leading = role.kind === 'leading';
  entry.state = state;
  entry.held.epoch = leading ? role.epoch : 0;
  entry.held.openUntilMs = leaseOpenUntil(state);
  entry.held.holder = leading && role.started ? own : entry.holder;
}

/** Takes in what a look at the lease showed of its members. */
export function noteMembers(entry: LeaseEntry, { members, view }: Sighting, nowMs: number): void {
  entry.members = members;
  entry.seenAt = { storeMs: view.storeMs, nowMs };
}

/** Returns the replicas that take part now; always this one, once the store has it on its list. */
export function aliveMembers(entry: LeaseEntry, own: string, nowMs: number): readonly Member[] {
  const there = alive(entry.members, storeMsOf(entry, nowMs), entry.candidate.policy.ttlMs);
  const self = entry.members.find((member) => member.id === own);
  return self === undefined || there.includes(self) ? there : [...there, self];
}

/** Returns the replicas that took part and stopped renewing their record. */
export function goneMembers(entry: LeaseEntry, own: string, nowMs: number): readonly Member[] {
  const there = aliveMembers(entry, own, nowMs);
  return entry.members.filter((member) => !there.includes(member));
}

/**
 * Returns the store's clock now, as far as it is known from the last look at this lease. While the store is away no
 * replica can renew: none grows older.
 */
function storeMsOf({ seenAt, state }: LeaseEntry, nowMs: number): number {
  return seenAt.storeMs + (state.linked ? nowMs - seenAt.nowMs : 0);
}
