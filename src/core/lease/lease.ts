/**
 * Who leads: one lease in one replica, as leader, standby, heir and everything between (docs/leadership.md). This
 * folder never talks to the store and has no timer: src/sidecar/leadership drives it and performs its effects through
 * src/coordination/leases.ts. The ranking of candidates and the escape of an unfit leader are here as well; whether a
 * replica is fit is leadership's judgement.
 */

import { onDrained, onHandOver, onTransferred, onWarm } from './lease-hand-over.ts';
import {
  beginLeading,
  leadingDeadline,
  onDoubt,
  onLink,
  onNotRenewed,
  onRenewed,
  tickLeading,
} from './lease-leader.ts';
import {
  contend,
  onNotAcquired,
  onNotice,
  onObserved,
  onProof,
  standbyDeadline,
  tickStandby,
} from './lease-standby.ts';
import { DRAIN_LIMIT_MS, TRANSFER_LIMIT_MS } from './lease-model.ts';
import type { LeaseDraft, LeaseEffect, LeaseInput, LeasePolicy, LeaseState } from './lease-model.ts';
import { unreachable, type Step } from '../step.ts';
import type { Millis } from '../units.ts';

export type { LeaseEffect, LeaseInput, LeasePolicy, LeaseState, LeaseView } from './lease-model.ts';

export const newLease: LeaseState = {
  role: { kind: 'standby' },
  gen: 0,
  floor: 0,
  watch: undefined,
  rank: 0,
  quarantineUntilMs: -Infinity,
  looking: false,
  nextLookMs: -Infinity,
  contendAtMs: undefined,
  nextProofMs: -Infinity,
  proving: false,
  goneSinceMs: undefined,
  linked: false,
  aliveConn: undefined,
  lastIncarnation: undefined,
  forgot: false,
  distrustUntilMs: -Infinity,
  expecting: undefined,
};

/**
 * Steps one lease of one replica: standby, leader, and everything between (docs/leadership.md). Safety rests on three
 * things: nothing is done at or after `deadlineMs` (asked at each use with `leaseOpen`), the store refuses every epoch
 * but the newest, and a replica that cannot know that the last holder has stopped waits one ttl. Not guaranteed: that a
 * process stopped between the question and the deed does nothing late; the epoch bounds the harm of that.
 */
export function stepLease(
  policy: LeasePolicy,
  state: LeaseState,
  input: LeaseInput,
  nowMs: Millis,
): Step<LeaseState, LeaseEffect> {
  const draft: LeaseDraft = { policy, nowMs, s: state, out: [] };
  apply(draft, input);
  return { state: draft.s, effects: draft.out };
}

/** Returns whether the lease allows acting in its name at this instant. */
export function leaseOpen(state: LeaseState, nowMs: Millis): boolean {
  return nowMs < leaseOpenUntil(state);
}

/** Returns the instant before which the lease allows acting in its name; -Infinity: it does not. */
export function leaseOpenUntil({ role }: LeaseState): Millis {
  return role.kind === 'leading' && role.open ? role.deadlineMs : -Infinity;
}

/** Returns when the machine must next look at the clock. */
export function leaseDeadline(state: LeaseState): Millis | undefined {
  switch (state.role.kind) {
    case 'leading':
      return leadingDeadline(state.role, state.linked);
    case 'standby':
      return standbyDeadline(state);
    case 'acquiring':
    case 'retired':
      return undefined;
  }
}

function apply(draft: LeaseDraft, input: LeaseInput): void {
  switch (input.kind) {
    case 'tick':
      return draft.s.role.kind === 'leading'
        ? tickLeading(draft, draft.s.role, input.slackMs)
        : tickStandby(draft, input.unit);
    case 'link':
      return onLink(draft, input.state);
    case 'observed':
      return onObserved(draft, input);
    case 'look-failed':
      draft.s = { ...draft.s, looking: false };
      return;
    case 'proof':
      return onProof(draft, input);
    case 'broken':
      return contend(draft);
    case 'acquired':
      // Answer to an abandoned attempt: release the lock, start no term.
      if (draft.s.role.kind !== 'acquiring' || draft.s.role.gen !== input.gen)
        return void draft.out.push({ kind: 'release', token: input.token });
      return beginLeading(draft, { ...input, sentAtMs: draft.s.role.sentAtMs }, 'acquired');
    case 'not-acquired':
      return onNotAcquired(draft, input.gen, input.why);
    case 'renewed':
      return onRenewed(draft, input);
    case 'not-renewed':
      return onNotRenewed(draft, input.gen, input.why);
    case 'notice':
      return onNotice(draft);
    case 'hand-over':
      return onHandOver(draft, input);
    case 'doubt':
      return onDoubt(draft);
    case 'warm':
      return onWarm(draft, input.heir, input.token);
    case 'drained':
      return onDrained(draft, input.epoch);
    case 'transferred':
      return onTransferred(draft, input.epoch, input.ok);
    case 'accepted':
      draft.s = {
        ...draft.s,
        expecting: {
          token: input.token,
          untilMs: draft.nowMs + DRAIN_LIMIT_MS + TRANSFER_LIMIT_MS + draft.policy.ttlMs * 2,
        },
      };
      return;
    default:
      return unreachable(input);
  }
}
