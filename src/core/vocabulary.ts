import { HOLD_REASONS } from './events/consumer-health.ts';

/**
 * Closed vocabularies of metric labels. Every series of a closed label exists at 0 from the start of the process:
 * `increase()` of Prometheus does not see the first count of a series that is born with it.
 */

/** Causes of gaps. */
export const GAP_CAUSES = ['sequence_gap', 'sequence_restarted', 'retention_exceeded', 'no_replay'] as const;
export type GapCause = (typeof GAP_CAUSES)[number];

/** Why events wait for the consumer: a hold, or (pull) that no consumer is connected. */
export const HELD_REASONS = [...HOLD_REASONS, 'consumer_absent'] as const;
export type HeldReason = (typeof HELD_REASONS)[number];

/** Answers of the store to a checkpoint. */
export const CHECKPOINT_RESULTS = ['stored', 'fenced', 'regressed', 'failed'] as const;

/** Why events became dead letters. `http_4xx`: a refusal by a status that has no word of its own here. */
export const DEAD_LETTER_REASONS = [
  'attempts_exhausted',
  'consumer_crash',
  'http_400',
  'http_413',
  'http_422',
  'http_4xx',
  'status_deadletter',
  'terminated',
  'other',
] as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

/**
 * Returns the label of a dead letter's reason, which may carry the consumer's own words after a colon and any status.
 */
export function deadLetterLabel(reason: string): DeadLetterReason {
  const word = reason.split(':')[0] ?? '';
  const known = DEAD_LETTER_REASONS.find((one) => one === word);
  return known ?? (/^http_4\d\d$/.test(word) ? 'http_4xx' : 'other');
}
