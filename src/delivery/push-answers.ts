import { answerOfBodyStatus, answerOfStatus, type Answer } from '../core/events/consumer-health.ts';
import type { OutboxEntry } from '../core/events/outbox.ts';
import { eventIdOf, type Parcel } from './envelope.ts';

/** Outcome of one POST. */
export type Posted =
  /** `text`: the body of a 2xx that has one. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly retryAfterMs: number | undefined;
      readonly text: string | undefined;
    }
  /** The connection existed and was lost before the answer came. */
  | { readonly kind: 'lost'; readonly code: string }
  /** There is no connection: refused, no such name, no route. */
  | { readonly kind: 'down'; readonly code: string }
  /** The consumer is there, and gives no answer in time, or an unreadable one. */
  | { readonly kind: 'failed'; readonly reason: 'ack_timeout' | 'bad_answer' };

const RETRY_MISSING: Answer = { kind: 'retry', counted: true, reason: 'missing_in_batch_answer' };

/** Returns the answer for each entry of a request. */
export function pushAnswers(
  entries: readonly OutboxEntry<Parcel>[],
  posted: Extract<Posted, { kind: 'answer' | 'failed' }>,
  batch: boolean,
): readonly Answer[] {
  if (posted.kind === 'failed') return entries.map(() => ({ kind: 'retry', counted: true, reason: posted.reason }));
  const whole = answerOfStatus(posted.status, posted.retryAfterMs);
  if (whole.kind !== 'ack' || posted.text === undefined) return entries.map(() => whole);
  return batch ? batchAnswers(entries, posted.text) : [answerOfBodyStatus(statusIn(posted.text))];
}

/**
 * Reads a batch's answer. 2xx with an empty body: all are taken. With a Dapr bulk list: each by its id, a missing one
 * is a retry, and a failure un-acks the later ones of its key.
 */
function batchAnswers(entries: readonly OutboxEntry<Parcel>[], text: string): readonly Answer[] {
  const list = statusesIn(text);
  if (list === undefined) return entries.map(() => ({ kind: 'ack' as const }));
  const failedKeys = new Set<string>();
  return entries.map((entry) => {
    if (failedKeys.has(entry.key)) return { kind: 'retry', counted: false, reason: 'after_failed_entry' };
    const id = eventIdOf(entry.item);
    const answer = list.has(id) ? answerOfBodyStatus(list.get(id)) : RETRY_MISSING;
    if (answer.kind === 'retry' || answer.kind === 'unknown') failedKeys.add(entry.key);
    return answer;
  });
}

/** Returns the `status` of each entry of a Dapr bulk answer, by id; undefined: the body is no such answer. */
function statusesIn(text: string): ReadonlyMap<string, unknown> | undefined {
  const statuses = memberOf(parse(text), 'statuses');
  if (!Array.isArray(statuses)) return undefined;
  const out = new Map<string, unknown>();
  for (const one of statuses as unknown[]) {
    const id = hasMember(one, 'entryId') ? one.entryId : memberOf(one, 'id');
    if (typeof id === 'string') out.set(id, memberOf(one, 'status'));
  }
  return out;
}

function statusIn(text: string): unknown {
  return memberOf(parse(text), 'status');
}

function memberOf(value: unknown, name: string): unknown {
  return hasMember(value, name) ? value[name] : undefined;
}

function hasMember<N extends string>(value: unknown, name: N): value is Record<N, unknown> {
  return typeof value === 'object' && value !== null && name in value;
}

function parse(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a 2xx whose body is no JSON is an acknowledgement
  }
}
