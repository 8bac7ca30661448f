import { backoffDelay, type BackoffPolicy } from '../dialing/backoff.ts';
import type { Step } from '../step.ts';
import type { Millis } from '../units.ts';

/** Characters of an unknown word that are repeated in a warning. */
const WORD_SHOWN_CHARS = 32;
/** This many different events answered with unknown words hold the stream: the consumer speaks another language. */
const UNKNOWN_HOLDS = 5;
/**
 * A consumer that is down is looked for this often; doubled each time it takes a connection and then loses the event,
 * up to PROBE_MAX_MS.
 */
const PROBE_EVERY_MS: Millis = 500;
/** Bounds the doubled PROBE_EVERY_MS: a consumer that is back is found within this time. */
const PROBE_MAX_MS: Millis = 5000;
/**
 * While the stream is held, an event that was spared as often as this and is refused again becomes a dead letter: one
 * that is poison must make way.
 */
const SPARED_LIMIT = 8;

/**
 * Meaning of a consumer's answer for one event (docs/consumer-protocol.md, "Push: answers"). `uncounted` retries never
 * lead to the dead letters: down is not poison.
 */
export type Answer =
  | { readonly kind: 'ack' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'dead-letter'; readonly reason: string }
  | { readonly kind: 'retry'; readonly counted: boolean; readonly reason: string; readonly retryAfterMs?: Millis }
  /** A 2xx whose `status` is an unknown word. */
  | { readonly kind: 'unknown'; readonly word: string }
  /** Every event would fail alike: hold the stream, ask again later, dead-letter nothing. */
  | { readonly kind: 'hold'; readonly reason: HoldReason; readonly retryAfterMs?: Millis };

/** Why delivery of a stream is held. A closed vocabulary for log, audit field, metric label, status and condition. */
export const HOLD_REASONS = [
  'consumer_down',
  'consumer_rejected',
  'consumer_retired',
  /** The consumer's name resolves to an address that this installation does not allow. */
  'consumer_address_refused',
  'consumer_throttled',
  'consumer_answer_unknown',
  'route_missing',
  'storm_guard',
] as const;
export type HoldReason = (typeof HOLD_REASONS)[number];

/**
 * The 4xx that do not speak of the event. 404 is retried (Knative), never dropped (unlike Dapr): the app may still be
 * starting.
 */
const STATUSES: Readonly<Partial<Record<number, Answer>>> = {
  401: { kind: 'hold', reason: 'consumer_rejected' },
  403: { kind: 'hold', reason: 'consumer_rejected' },
  404: { kind: 'hold', reason: 'route_missing' },
  405: { kind: 'hold', reason: 'consumer_rejected' },
  408: { kind: 'retry', counted: true, reason: 'http_408' },
  409: { kind: 'retry', counted: false, reason: 'http_409' },
  410: { kind: 'hold', reason: 'consumer_retired' },
  425: { kind: 'retry', counted: true, reason: 'http_425' },
  429: { kind: 'retry', counted: false, reason: 'http_429' },
};

/** Returns the meaning of an HTTP push status. 429 with Retry-After concerns the whole consumer. */
export function answerOfStatus(status: number, retryAfterMs: Millis | undefined): Answer {
  if (status >= 200 && status < 300) return { kind: 'ack' };
  if (status === 429 && retryAfterMs !== undefined) return { kind: 'hold', reason: 'consumer_throttled', retryAfterMs };
  const listed = STATUSES[status];
  if (listed !== undefined) return listed;
  const reason = `http_${String(status)}`;
  if (status < 400 || status >= 500) {
    const after = status === 503 && retryAfterMs !== undefined ? { retryAfterMs } : {};
    return { kind: 'retry', counted: true, reason, ...after };
  }
  return { kind: 'dead-letter', reason };
}

const WORDS: Readonly<Record<string, Answer>> = {
  SUCCESS: { kind: 'ack' },
  OK: { kind: 'ack' },
  ACCEPTED: { kind: 'ack' },
  DONE: { kind: 'ack' },
  RETRY: { kind: 'retry', counted: true, reason: 'status_retry' },
  FAIL: { kind: 'retry', counted: true, reason: 'status_retry' },
  FAILED: { kind: 'retry', counted: true, reason: 'status_retry' },
  ERROR: { kind: 'retry', counted: true, reason: 'status_retry' },
  DROP: { kind: 'drop' },
  DEADLETTER: { kind: 'dead-letter', reason: 'status_deadletter' },
};

/**
 * Returns the meaning of `status` in a 2xx body, without case: Dapr's words, DEADLETTER, and their common neighbours.
 * Another word is no acknowledgement; a value that is not a string is ignored.
 */
export function answerOfBodyStatus(status: unknown): Answer {
  if (typeof status !== 'string') return { kind: 'ack' };
  const word = status.toUpperCase();
  const known = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
  return known ?? { kind: 'unknown', word: status.slice(0, WORD_SHOWN_CHARS) };
}

export interface ConsumerPolicy {
  readonly maxAttempts: number;
  /** Number of connections lost under one event alone that makes it a dead letter. */
  readonly crashLimit: number;
  readonly backoff: BackoffPolicy;
  /** Longest Retry-After that is honoured. */
  readonly retryAfterMaxMs: Millis;
  /**
   * Number of dead letters in a row, or their share of a minute's outcomes, that holds the stream: a bad deploy must
   * not drain it.
   */
  readonly storm: {
    readonly consecutive: number;
    readonly sharePercent: number;
    readonly minSamples: number;
    readonly windowMs: Millis;
  };
}

export interface ConsumerHealth {
  readonly hold:
    | {
        readonly reason: HoldReason;
        readonly untilMs: Millis;
        readonly attempt: number;
        readonly sinceMs: Millis;
        /** consumer_down only: state of the probe for the consumer. */
        readonly probe: 'due' | 'asked' | 'passed';
      }
    | undefined;
  /** The last different events that died since an event was taken. */
  readonly dead: readonly number[];
  readonly windowStartMs: Millis;
  readonly settledInWindow: number;
  readonly deadInWindow: number;
  /** After a hold one event goes first; the rest follows its success. */
  readonly probing: boolean;
  /** Events answered with an unknown word since one was acknowledged. */
  readonly unknown: readonly number[];
  /** The event that was spared last, and how often in a row. */
  readonly spared: { readonly event: number; readonly times: number };
}

export const readyConsumer: ConsumerHealth = {
  hold: undefined,
  dead: [],
  windowStartMs: 0,
  settledInWindow: 0,
  deadInWindow: 0,
  probing: false,
  unknown: [],
  spared: { event: 0, times: 0 },
};

export type ConsumerEffect =
  | { readonly kind: 'held'; readonly reason: HoldReason }
  | { readonly kind: 'released' }
  /** Hold the stream: instead of being dead-lettered the event goes again later. */
  | { readonly kind: 'spare' };

/**
 * Returns whether deliveries may start now, and how many at once. `probe`: first look whether the consumer is there.
 */
export function consumerAllows(state: ConsumerHealth, nowMs: Millis): 'all' | 'one' | 'none' | 'probe' {
  const { hold } = state;
  if (hold === undefined) return state.probing ? 'one' : 'all';
  if (hold.reason !== 'consumer_down') return nowMs >= hold.untilMs ? 'one' : 'none';
  if (hold.probe === 'passed') return 'one';
  return hold.probe === 'due' && nowMs >= hold.untilMs ? 'probe' : 'none';
}

/** Returns when the answer of `consumerAllows` changes without an outside reason; undefined: not by time alone. */
export function consumerDeadline({ hold }: ConsumerHealth, nowMs: Millis): Millis | undefined {
  const waits = hold !== undefined && hold.untilMs > nowMs && hold.probe === 'due';
  return waits ? hold.untilMs : undefined;
}

/** Notes that a probe for the consumer is under way. */
export function consumerProbed(state: ConsumerHealth): ConsumerHealth {
  return state.hold === undefined ? state : { ...state, hold: { ...state.hold, probe: 'asked' } };
}

/** Takes in the probe's result: found, one event goes; else another probe follows. */
export function consumerFound(state: ConsumerHealth, there: boolean, nowMs: Millis): ConsumerHealth {
  const { hold } = state;
  if (hold?.reason !== 'consumer_down') return state;
  return {
    ...state,
    hold: there ? { ...hold, probe: 'passed' } : { ...hold, probe: 'due', untilMs: nowMs + PROBE_EVERY_MS },
  };
}

/** Returns the delay before this event goes again. @param faults counted failures so far, this one included; >= 0. */
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
  state: ConsumerHealth,
  answer: Answer,
  at: { readonly nowMs: Millis; readonly unit: number; readonly event: number },
): Step<ConsumerHealth, ConsumerEffect> {
  switch (answer.kind) {
    case 'ack':
    case 'drop':
      return settled(state, at.nowMs, policy);
    case 'retry':
      return answered(state);
    case 'unknown':
      return onUnknown(policy, state, at);
    case 'hold':
      return held(policy, state, answer, at);
    case 'dead-letter':
      return onDeadLetter(policy, state, at);
  }
}

function settled(state: ConsumerHealth, nowMs: Millis, policy: ConsumerPolicy): Step<ConsumerHealth, ConsumerEffect> {
  const counted = counting(state, nowMs, policy);
  const next = {
    ...counted,
    hold: undefined,
    probing: false,
    unknown: NOTHING,
    dead: NOTHING,
    settledInWindow: counted.settledInWindow + 1,
  };
  return { state: next, effects: state.hold === undefined ? [] : [{ kind: 'released' }] };
}

/** Notes an answer: a consumer that answers is not down, whatever the answer is. */
function answered(state: ConsumerHealth): Step<ConsumerHealth, ConsumerEffect> {
  if (state.hold?.reason !== 'consumer_down') return { state, effects: [] };
  return { state: { ...state, hold: undefined, probing: false }, effects: [{ kind: 'released' }] };
}

const NOTHING: readonly number[] = [];

function counting(state: ConsumerHealth, nowMs: Millis, policy: ConsumerPolicy): ConsumerHealth {
  if (nowMs - state.windowStartMs < policy.storm.windowMs) return state;
  return { ...state, windowStartMs: nowMs, settledInWindow: 0, deadInWindow: 0 };
}

function held(
  policy: ConsumerPolicy,
  state: ConsumerHealth,
  { reason, retryAfterMs }: { readonly reason: HoldReason; readonly retryAfterMs?: Millis },
  at: { readonly nowMs: Millis; readonly unit: number },
): Step<ConsumerHealth, ConsumerEffect> {
  const attempt = state.hold === undefined ? 0 : state.hold.attempt + 1;
  const delayMs =
    reason === 'consumer_down'
      ? Math.min(PROBE_MAX_MS, PROBE_EVERY_MS * 2 ** Math.min(attempt, 10))
      : Math.max(backoffDelay(policy.backoff, attempt, at.unit), Math.min(retryAfterMs ?? 0, policy.retryAfterMaxMs));
  const sinceMs = state.hold?.sinceMs ?? at.nowMs;
  const effects: ConsumerEffect[] = state.hold?.reason === reason ? [] : [{ kind: 'held', reason }];
  const hold = { reason, untilMs: at.nowMs + delayMs, attempt, sinceMs, probe: 'due' as const };
  return { state: { ...state, hold, probing: true }, effects };
}

/** Notes an unknown word. It is counted per event, so that one odd answer of one handler does not hold the stream. */
function onUnknown(
  policy: ConsumerPolicy,
  state: ConsumerHealth,
  at: { readonly nowMs: Millis; readonly unit: number; readonly event: number },
): Step<ConsumerHealth, ConsumerEffect> {
  const unknown = state.unknown.includes(at.event) ? state.unknown : [...state.unknown, at.event].slice(-UNKNOWN_HOLDS);
  const there = answered({ ...state, unknown });
  if (unknown.length < UNKNOWN_HOLDS) return there;
  const step = held(policy, there.state, { reason: 'consumer_answer_unknown' }, at);
  return { state: step.state, effects: [{ kind: 'spare' }, ...step.effects] };
}

function onDeadLetter(
  policy: ConsumerPolicy,
  state: ConsumerHealth,
  at: { readonly nowMs: Millis; readonly unit: number; readonly event: number },
): Step<ConsumerHealth, ConsumerEffect> {
  const counted = counting(state, at.nowMs, policy);
  // An event that is refused again and again, because the store does not take its letter or it was spared, is one
  // event.
  const known = counted.dead.includes(at.event);
  const inARow = known ? counted.dead : [...counted.dead, at.event].slice(-policy.storm.consecutive - 1);
  const dead = counted.deadInWindow + (known ? 0 : 1);
  const total = counted.settledInWindow + dead;
  const wasDown = answered(counted);
  const storm =
    inARow.length > policy.storm.consecutive ||
    (total >= policy.storm.minSamples && dead * 100 > total * policy.storm.sharePercent);
  if (!storm) return { state: { ...wasDown.state, dead: inARow, deadInWindow: dead }, effects: wasDown.effects };
  const times = counted.spared.event === at.event ? counted.spared.times + 1 : 1;
  const spared = { event: at.event, times };
  const step = held(policy, { ...counted, dead: inARow, spared }, { reason: 'storm_guard' }, at);
  return { state: step.state, effects: times > SPARED_LIMIT ? step.effects : [{ kind: 'spare' }, ...step.effects] };
}
