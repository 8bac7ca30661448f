import { backoffDelay, type BackoffPolicy } from '../dialing/backoff.ts';
import type { Millis } from '../units.ts';

/**
 * Policy of when settled entries are written: one write in flight, at most every `everyMs` (`everyLargeMs` while the
 * record is large), at once when it is urgent (draining, or delivery waits for it) or when `urgentAfter` entries wait.
 */
export interface CheckpointPolicy {
  readonly everyMs: Millis;
  readonly everyLargeMs: Millis;
  readonly urgentAfter: number;
  readonly backoff: BackoffPolicy;
}

export interface CheckpointSchedule {
  readonly writing: boolean;
  readonly notBeforeMs: Millis;
  readonly failures: number;
  readonly fenced: boolean;
  /** True when the last record was large: then only urgency makes the next one come sooner. */
  readonly large: boolean;
}

export const freshCheckpoint: CheckpointSchedule = {
  writing: false,
  notBeforeMs: 0,
  failures: 0,
  fenced: false,
  large: false,
};

/**
 * Returns whether a checkpoint is to be written now. @param waiting settled entries that it would cover and the stored
 * one does not.
 */
export function checkpointDue(
  policy: CheckpointPolicy,
  state: CheckpointSchedule,
  waiting: number,
  at: { readonly nowMs: Millis; readonly urgent: boolean },
): boolean {
  if (state.fenced || state.writing || waiting <= 0) return false;
  const urgent = (at.urgent || (!state.large && waiting >= policy.urgentAfter)) && state.failures === 0;
  return urgent || at.nowMs >= state.notBeforeMs;
}

/** Notes that a write begins. @param large the record is so large that it must not be written at every turn. */
export function checkpointWriting(
  policy: CheckpointPolicy,
  state: CheckpointSchedule,
  at: { readonly nowMs: Millis; readonly large: boolean },
): CheckpointSchedule {
  const { nowMs, large } = at;
  return { ...state, writing: true, large, notBeforeMs: nowMs + (large ? policy.everyLargeMs : policy.everyMs) };
}

/**
 * Takes in the store's answer. A refused epoch is final: another replica leads, and this process must stop delivering.
 */
export function checkpointAnswered(
  policy: CheckpointPolicy,
  state: CheckpointSchedule,
  answer: 'stored' | 'fenced' | 'failed',
  at: { readonly nowMs: Millis; readonly unit: number },
): CheckpointSchedule {
  if (answer === 'stored') return { ...state, writing: false, failures: 0 };
  if (answer === 'fenced') return { ...state, writing: false, fenced: true };
  return {
    ...state,
    writing: false,
    failures: state.failures + 1,
    notBeforeMs: at.nowMs + backoffDelay(policy.backoff, state.failures, at.unit),
  };
}

/** Returns when `checkpointDue` must be asked again; undefined: not by time alone. */
export function checkpointDeadline(state: CheckpointSchedule, waiting: number): Millis | undefined {
  return state.fenced || state.writing || waiting <= 0 ? undefined : state.notBeforeMs;
}
