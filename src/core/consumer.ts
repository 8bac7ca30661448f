import { backoffDelay, type BackoffPolicy } from './backoff.ts';
import type { Step } from './step.ts';
import type { Millis } from './units.ts';

/**
 * What one answer of the consumer means for one event (docs/consumer-protocol.md, "Push: answers"). `uncounted` retries never lead to the
 * dead letters: down is not poison.
 */
export type Answer =
  | { readonly kind: 'ack' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'dead-letter'; readonly reason: string }
  | { readonly kind: 'retry'; readonly counted: boolean; readonly reason: string; readonly retryAfterMs?: Millis }
  /** Every event would fail alike: hold the stream, ask again later, dead-letter nothing. */
  | { readonly kind: 'hold'; readonly reason: HoldReason; readonly retryAfterMs?: Millis };

export type HoldReason =
  | 'consumer_down'
  | 'consumer_rejected'
  | 'consumer_retired'
  /** The consumer's name resolves to an address that this installation does not allow. */
  | 'consumer_address_refused'
  | 'route_missing'
  | 'storm_guard';

/** Statuses of HTTP push. 404 is retried (Knative), never dropped (unlike Dapr): the app may still be starting. */
export function answerOfStatus(status: number, retryAfterMs: Millis | undefined): Answer {
  if (status >= 200 && status < 300) return { kind: 'ack' };
  if (status === 401 || status === 403 || status === 405) return { kind: 'hold', reason: 'consumer_rejected' };
  if (status === 404) return { kind: 'hold', reason: 'route_missing' };
  if (status === 409) return { kind: 'retry', counted: false, reason: 'http_409' };
  if (status === 410) return { kind: 'hold', reason: 'consumer_retired' };
  if (
    status === 408 ||
    status === 425 ||
    status === 429 ||
    status >= 500 ||
    status < 200 ||
    (status >= 300 && status < 400)
  ) {
    const after = (status === 429 || status === 503) && retryAfterMs !== undefined ? { retryAfterMs } : {};
    return { kind: 'retry', counted: status !== 429, reason: `http_${String(status)}`, ...after };
  }
  return { kind: 'dead-letter', reason: `http_${String(status)}` };
}

/** Dapr's body statuses, plus DEADLETTER. Anything unknown counts as SUCCESS, as with Dapr. */
export function answerOfBodyStatus(status: unknown): Answer {
  if (status === 'RETRY') return { kind: 'retry', counted: true, reason: 'status_retry' };
  if (status === 'DROP') return { kind: 'drop' };
  if (status === 'DEADLETTER') return { kind: 'dead-letter', reason: 'status_deadletter' };
  return { kind: 'ack' };
}

export interface ConsumerPolicy {
  readonly maxAttempts: number;
  readonly backoff: BackoffPolicy;
  /** Longest Retry-After honoured. */
  readonly retryAfterMaxMs: Millis;
  /** Dead letters in a row, or their share of a minute's outcomes, that hold the stream: a bad deploy must not drain it. */
  readonly storm: {
    readonly consecutive: number;
    readonly sharePercent: number;
    readonly minSamples: number;
    readonly windowMs: Millis;
  };
}

export interface ConsumerState {
  readonly hold:
    | { readonly reason: HoldReason; readonly untilMs: Millis; readonly attempt: number; readonly sinceMs: Millis }
    | undefined;
  readonly deadInARow: number;
  readonly windowStartMs: Millis;
  readonly settledInWindow: number;
  readonly deadInWindow: number;
  /** After a hold one event goes first; the rest follows its success. */
  readonly probing: boolean;
}

export const readyConsumer: ConsumerState = {
  hold: undefined,
  deadInARow: 0,
  windowStartMs: 0,
  settledInWindow: 0,
  deadInWindow: 0,
  probing: false,
};

export type ConsumerEffect =
  | { readonly kind: 'held'; readonly reason: HoldReason }
  | { readonly kind: 'released' }
  /** Hold on: instead of being dead-lettered the event goes again later. */
  | { readonly kind: 'spare' };

/** May deliveries start now, and how many at once? */
export function consumerAllows(state: ConsumerState, nowMs: Millis): 'all' | 'one' | 'none' {
  if (state.hold !== undefined) return nowMs >= state.hold.untilMs ? 'one' : 'none';
  return state.probing ? 'one' : 'all';
}

/** The delay before this event goes again. @param faults counted failures so far, this one included; >= 0. */
export function redeliveryDelay(
  policy: ConsumerPolicy,
  faults: number,
  retryAfterMs: Millis | undefined,
  unit: number,
): Millis {
  const backoff = backoffDelay(policy.backoff, Math.max(0, faults - 1), unit);
  return Math.max(backoff, Math.min(retryAfterMs ?? 0, policy.retryAfterMaxMs));
}

/** Takes note of one outcome and decides whether the stream is held or released. */
export function stepConsumer(
  policy: ConsumerPolicy,
  state: ConsumerState,
  answer: Answer,
  at: { readonly nowMs: Millis; readonly unit: number },
): Step<ConsumerState, ConsumerEffect> {
  switch (answer.kind) {
    case 'ack':
    case 'drop':
      return settled(state, at.nowMs, policy);
    case 'retry':
      return answered(state);
    case 'hold':
      return held(policy, state, answer, at);
    case 'dead-letter':
      return onDeadLetter(policy, state, at);
  }
}

function settled(state: ConsumerState, nowMs: Millis, policy: ConsumerPolicy): Step<ConsumerState, ConsumerEffect> {
  const counted = counting(state, nowMs, policy);
  const next = {
    ...counted,
    hold: undefined,
    probing: false,
    deadInARow: 0,
    settledInWindow: counted.settledInWindow + 1,
  };
  return { state: next, effects: state.hold === undefined ? [] : [{ kind: 'released' }] };
}

/** Whoever answers is not down, whatever the answer is. */
function answered(state: ConsumerState): Step<ConsumerState, ConsumerEffect> {
  if (state.hold?.reason !== 'consumer_down') return { state, effects: [] };
  return { state: { ...state, hold: undefined, probing: false }, effects: [{ kind: 'released' }] };
}

function counting(state: ConsumerState, nowMs: Millis, policy: ConsumerPolicy): ConsumerState {
  if (nowMs - state.windowStartMs < policy.storm.windowMs) return state;
  return { ...state, windowStartMs: nowMs, settledInWindow: 0, deadInWindow: 0 };
}

function held(
  policy: ConsumerPolicy,
  state: ConsumerState,
  { reason, retryAfterMs }: { readonly reason: HoldReason; readonly retryAfterMs?: Millis },
  at: { readonly nowMs: Millis; readonly unit: number },
): Step<ConsumerState, ConsumerEffect> {
  const attempt = state.hold === undefined ? 0 : state.hold.attempt + 1;
  const untilMs = at.nowMs + Math.max(backoffDelay(policy.backoff, attempt, at.unit), retryAfterMs ?? 0);
  const sinceMs = state.hold?.sinceMs ?? at.nowMs;
  const effects: ConsumerEffect[] = state.hold?.reason === reason ? [] : [{ kind: 'held', reason }];
  return { state: { ...state, hold: { reason, untilMs, attempt, sinceMs }, probing: true }, effects };
}

function onDeadLetter(
  policy: ConsumerPolicy,
  state: ConsumerState,
  at: { readonly nowMs: Millis; readonly unit: number },
): Step<ConsumerState, ConsumerEffect> {
  const counted = counting(state, at.nowMs, policy);
  const deadInARow = counted.deadInARow + 1;
  const dead = counted.deadInWindow + 1;
  const total = counted.settledInWindow + dead;
  const wasDown = answered(counted);
  const storm =
    deadInARow > policy.storm.consecutive ||
    (total >= policy.storm.minSamples && dead * 100 > total * policy.storm.sharePercent);
  if (!storm) return { state: { ...wasDown.state, deadInARow, deadInWindow: dead }, effects: wasDown.effects };
  const step = held(policy, counted, { reason: 'storm_guard' }, at);
  return { state: step.state, effects: [{ kind: 'spare' }, ...step.effects] };
}
