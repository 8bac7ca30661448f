import { backoffDelay, type BackoffPolicy } from './backoff.ts';
import type { Millis } from './units.ts';

/** When the settled prefix is written: one write in flight, at most every `everyMs`, at once when it is urgent (draining, or delivery waits for it) or when `urgentAfter` entries wait. */
export interface CheckpointPolicy {
  readonly everyMs: Millis;
  readonly urgentAfter: number;
  readonly backoff: BackoffPolicy;
}

export interface CheckpointState {
  readonly storedOrd: number;
  readonly writing: number | undefined;
  readonly notBeforeMs: Millis;
  readonly failures: number;
  readonly fenced: boolean;
}

export const freshCheckpoint: CheckpointState = {
  storedOrd: 0,
  writing: undefined,
  notBeforeMs: 0,
  failures: 0,
  fenced: false,
};

/** The `ord` to write up to now; undefined: nothing to write, or not yet. */
export function checkpointDue(
  policy: CheckpointPolicy,
  state: CheckpointState,
  floor: number,
  at: { readonly nowMs: Millis; readonly urgent: boolean },
): number | undefined {
  if (state.fenced || state.writing !== undefined || floor <= state.storedOrd) return undefined;
  const urgent = (at.urgent || floor - state.storedOrd >= policy.urgentAfter) && state.failures === 0;
  return urgent || at.nowMs >= state.notBeforeMs ? floor : undefined;
}

export function checkpointWriting(
  policy: CheckpointPolicy,
  state: CheckpointState,
  ord: number,
  nowMs: Millis,
): CheckpointState {
  return { ...state, writing: ord, notBeforeMs: nowMs + policy.everyMs };
}

/** The store's answer. A refused epoch is final: somebody else leads, and this process must stop delivering. */
export function checkpointAnswered(
  policy: CheckpointPolicy,
  state: CheckpointState,
  answer: 'stored' | 'fenced' | 'failed',
  at: { readonly nowMs: Millis; readonly unit: number },
): CheckpointState {
  const ord = state.writing ?? state.storedOrd;
  if (answer === 'stored')
    return { ...state, storedOrd: Math.max(state.storedOrd, ord), writing: undefined, failures: 0 };
  if (answer === 'fenced') return { ...state, writing: undefined, fenced: true };
  return {
    ...state,
    writing: undefined,
    failures: state.failures + 1,
    notBeforeMs: at.nowMs + backoffDelay(policy.backoff, state.failures, at.unit),
  };
}

export function checkpointDeadline(state: CheckpointState, floor: number): Millis | undefined {
  return state.fenced || state.writing !== undefined || floor <= state.storedOrd ? undefined : state.notBeforeMs;
}
