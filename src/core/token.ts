import { backoffDelay, type BackoffPolicy } from './dialing/backoff.ts';
import { unreachable, type Step } from './step.ts';
import { earliest, type Millis } from './units.ts';

/**
 * The hard floors must not make a short-lived token loop: they never exceed this share of its life (a 300 s token
 * would never be good enough).
 */
const FLOOR_SHARE = 0.2;

export interface TokenPolicy {
  readonly rotateAtPercent: number;
  readonly leadMs: Millis;
  readonly minRemainingAtDialMs: Millis;
  readonly minRemainingAtRedialMs: Millis;
  /** True: a REST path is asked with the new token before anything uses it. */
  readonly validate: boolean;
  /** S4: after a failed validation keep the old token and try again in 30 s. */
  readonly retryInvalidMs: Millis;
  /** Between two requests for tokens; refreshing too early is rate limited by the platforms. */
  readonly minIntervalMs: Millis;
  readonly backoff: BackoffPolicy;
}

/**
 * A token by name only: the string itself never enters core. All instants are monotonic, counted from the moment of
 * asking.
 */
export interface Token {
  readonly id: string;
  readonly askedAtMs: Millis;
  readonly expiresAtMs: Millis;
}

export interface TokenState {
  readonly active: Token | undefined;
  /** The next token: fetched and validated, not yet taken over by every stream. New dials use it already. */
  readonly staging: Token | undefined;
  readonly work:
    | { readonly kind: 'idle' }
    | { readonly kind: 'fetching'; readonly gen: number }
    | { readonly kind: 'validating'; readonly gen: number; readonly token: Token }
    | { readonly kind: 'waiting'; readonly untilMs: Millis };
  readonly gen: number;
  readonly attempt: number;
  readonly lastAskedAtMs: Millis | undefined;
  /** True when a stream cannot go on without a fresh token. */
  readonly wanted: boolean;
  readonly failure: TokenFailure | undefined;
  /** Since when the token endpoint refuses these credentials; other failures in between leave it. */
  readonly refusedSinceMs: Millis | undefined;
}

/** Why there is no token: a closed vocabulary. */
export const TOKEN_FAILURES = [
  'invalid_credentials',
  'invalid_grant',
  'forbidden',
  'throttled',
  'unreachable',
  /** The host's name resolves to an address that this installation does not allow. */
  'private_address',
  'bad_answer',
  'not_valid',
] as const;
export type TokenFailure = (typeof TOKEN_FAILURES)[number];

export type TokenInput =
  | { readonly kind: 'need'; readonly minRemainingMs: Millis }
  | { readonly kind: 'tick' }
  | { readonly kind: 'fetched'; readonly gen: number; readonly token: Token }
  | { readonly kind: 'validated'; readonly gen: number; readonly ok: boolean }
  | {
      readonly kind: 'failed';
      readonly gen: number;
      readonly failure: TokenFailure;
      readonly retryAfterMs?: Millis;
      readonly unit: number;
    }
  | { readonly kind: 'rejected'; readonly id: string }
  | { readonly kind: 'adopted'; readonly id: string }
  | { readonly kind: 'secret-changed' };

export type TokenEffect =
  | { readonly kind: 'fetch'; readonly gen: number }
  | { readonly kind: 'validate'; readonly gen: number; readonly id: string }
  | { readonly kind: 'staged'; readonly id: string }
  | { readonly kind: 'retired'; readonly id: string }
  /** The staging token is now the only one in use. */
  | { readonly kind: 'rotated'; readonly id: string }
  | { readonly kind: 'refresh-failed'; readonly failure: TokenFailure; readonly retryInMs: Millis }
  | { readonly kind: 'mismatch'; readonly id: string };

export const noToken: TokenState = {
  active: undefined,
  staging: undefined,
  work: { kind: 'idle' },
  gen: 0,
  attempt: 0,
  lastAskedAtMs: undefined,
  wanted: false,
  failure: undefined,
  refusedSinceMs: undefined,
};

/** Failures that say that these credentials are no good: others may have better ones. */
const REFUSALS: ReadonlySet<TokenFailure> = new Set<TokenFailure>([
  'invalid_credentials',
  'invalid_grant',
  'forbidden',
]);

/** Returns whether the failure means that the token endpoint refused the credentials. */
export function credentialsRefused(failure: TokenFailure): boolean {
  return REFUSALS.has(failure);
}

/** Returns the token that new dials use. */
export function currentToken(state: TokenState): Token | undefined {
  return state.staging ?? state.active;
}

/**
 * Returns when rotation is due: at the earlier of `rotateAtPercent` of life and `leadMs` before expiry, never before
 * half the life.
 */
export function rotateAtMs(policy: TokenPolicy, token: Token): Millis {
  const life = token.expiresAtMs - token.askedAtMs;
  const due = Math.min(token.askedAtMs + (life * policy.rotateAtPercent) / 100, token.expiresAtMs - policy.leadMs);
  return Math.max(due, token.askedAtMs + life / 2);
}

/** Returns whether this token is good for a dial now. `minRemainingMs` is one of the policy's floors. */
export function tokenServes(token: Token | undefined, minRemainingMs: Millis, nowMs: Millis): boolean {
  if (token === undefined) return false;
  const floor = Math.min(minRemainingMs, (token.expiresAtMs - token.askedAtMs) * FLOOR_SHARE);
  return token.expiresAtMs - nowMs > floor;
}

/** Returns when the token machine must next look at the clock. */
export function tokenDeadline(policy: TokenPolicy, state: TokenState): Millis | undefined {
  if (state.work.kind === 'waiting') return state.work.untilMs;
  if (state.work.kind !== 'idle') return undefined;
  const token = currentToken(state);
  return earliest(
    token === undefined ? undefined : rotateAtMs(policy, token),
    state.active === undefined ? undefined : state.active.expiresAtMs,
  );
}

/**
 * Steps the token machine. Single flight: at most one request or validation is out at any time; requests that come
 * meanwhile wait for its result.
 */
export function stepToken(
  policy: TokenPolicy,
  state: TokenState,
  input: TokenInput,
  nowMs: Millis,
): Step<TokenState, TokenEffect> {
  switch (input.kind) {
    case 'need':
      return tokenServes(currentToken(state), input.minRemainingMs, nowMs)
        ? { state, effects: [] }
        : fetchWhenAllowed(policy, { ...state, wanted: true }, nowMs);
    case 'tick':
      return onTick(policy, state, nowMs);
    case 'fetched':
      return onFetched(policy, state, input, nowMs);
    case 'validated':
      return onValidated(policy, state, input, nowMs);
    case 'failed':
      return onFailed(policy, state, input, nowMs);
    case 'rejected':
      return onRejected(policy, state, input.id, nowMs);
    case 'adopted':
      return onAdopted(state, input.id);
    case 'secret-changed': {
      const other = { ...state, refusedSinceMs: undefined };
      const eager =
        state.work.kind === 'waiting'
          ? { ...other, work: { kind: 'idle' as const }, attempt: 0, lastAskedAtMs: undefined }
          : other;
      return eager.wanted || eager.failure !== undefined
        ? fetchWhenAllowed(policy, { ...eager, wanted: true }, nowMs)
        : { state: eager, effects: [] };
    }
    default:
      return unreachable(input);
  }
}

function fetchWhenAllowed(policy: TokenPolicy, state: TokenState, nowMs: Millis): Step<TokenState, TokenEffect> {
  if (state.work.kind !== 'idle') return { state, effects: [] };
  const allowedAtMs = state.lastAskedAtMs === undefined ? nowMs : state.lastAskedAtMs + policy.minIntervalMs;
  if (nowMs < allowedAtMs) return { state: { ...state, work: { kind: 'waiting', untilMs: allowedAtMs } }, effects: [] };
  const gen = state.gen + 1;
  return {
    state: { ...state, gen, work: { kind: 'fetching', gen }, lastAskedAtMs: nowMs },
    effects: [{ kind: 'fetch', gen }],
  };
}

function onTick(policy: TokenPolicy, state: TokenState, nowMs: Millis): Step<TokenState, TokenEffect> {
  const effects: TokenEffect[] = [];
  let next = state;
  if (next.active !== undefined && nowMs >= next.active.expiresAtMs) {
    effects.push({ kind: 'retired', id: next.active.id });
    if (next.staging !== undefined) effects.push({ kind: 'rotated', id: next.staging.id });
    next = { ...next, active: next.staging, staging: undefined };
  }
  const due =
    next.work.kind === 'waiting'
      ? nowMs >= next.work.untilMs
      : next.work.kind === 'idle' && rotationDue(policy, next, nowMs);
  if (!due) return { state: next, effects };
  const step = fetchWhenAllowed(policy, { ...next, work: { kind: 'idle' } }, nowMs);
  return { state: step.state, effects: [...effects, ...step.effects] };
}

function rotationDue(policy: TokenPolicy, state: TokenState, nowMs: Millis): boolean {
  const token = currentToken(state);
  return token === undefined ? state.wanted : nowMs >= rotateAtMs(policy, token);
}

function onFetched(
  policy: TokenPolicy,
  state: TokenState,
  input: { readonly gen: number; readonly token: Token },
  nowMs: Millis,
): Step<TokenState, TokenEffect> {
  if (state.work.kind !== 'fetching' || state.work.gen !== input.gen) return { state, effects: [] };
  if (!policy.validate) return stage(state, input.token, nowMs);
  return {
    state: { ...state, work: { kind: 'validating', gen: input.gen, token: input.token } },
    effects: [{ kind: 'validate', gen: input.gen, id: input.token.id }],
  };
}

function onValidated(
  policy: TokenPolicy,
  state: TokenState,
  input: { readonly gen: number; readonly ok: boolean },
  nowMs: Millis,
): Step<TokenState, TokenEffect> {
  if (state.work.kind !== 'validating' || state.work.gen !== input.gen) return { state, effects: [] };
  if (input.ok) return stage(state, state.work.token, nowMs);
  const untilMs = nowMs + policy.retryInvalidMs;
  return {
    state: { ...state, work: { kind: 'waiting', untilMs }, failure: 'not_valid' },
    effects: [
      { kind: 'mismatch', id: state.work.token.id },
      { kind: 'retired', id: state.work.token.id },
      { kind: 'refresh-failed', failure: 'not_valid', retryInMs: policy.retryInvalidMs },
    ],
  };
}

function stage(state: TokenState, token: Token, nowMs: Millis): Step<TokenState, TokenEffect> {
  const fresh = {
    ...state,
    work: { kind: 'idle' as const },
    attempt: 0,
    wanted: false,
    failure: undefined,
    refusedSinceMs: undefined,
  };
  const first = state.active === undefined || nowMs >= state.active.expiresAtMs;
  const retired: TokenEffect[] = state.staging === undefined ? [] : [{ kind: 'retired', id: state.staging.id }];
  const next = first ? { ...fresh, active: token, staging: undefined } : { ...fresh, staging: token };
  return { state: next, effects: [...retired, { kind: 'staged', id: token.id }] };
}

function onFailed(
  policy: TokenPolicy,
  state: TokenState,
  input: {
    readonly gen: number;
    readonly failure: TokenFailure;
    readonly retryAfterMs?: Millis;
    readonly unit: number;
  },
  nowMs: Millis,
): Step<TokenState, TokenEffect> {
  const mine = (state.work.kind === 'fetching' || state.work.kind === 'validating') && state.work.gen === input.gen;
  if (!mine) return { state, effects: [] };
  // A failed refresh has its own counter: it must not use up a stream's retry (S0).
  const retryInMs = Math.max(input.retryAfterMs ?? 0, backoffDelay(policy.backoff, state.attempt, input.unit));
  return {
    state: {
      ...state,
      work: { kind: 'waiting', untilMs: nowMs + retryInMs },
      attempt: state.attempt + 1,
      failure: input.failure,
      refusedSinceMs: state.refusedSinceMs ?? (credentialsRefused(input.failure) ? nowMs : undefined),
    },
    effects: [{ kind: 'refresh-failed', failure: input.failure, retryInMs }],
  };
}

function onRejected(policy: TokenPolicy, state: TokenState, id: string, nowMs: Millis): Step<TokenState, TokenEffect> {
  if (state.staging?.id === id) {
    const step = fetchWhenAllowed(policy, { ...state, staging: undefined, wanted: true }, nowMs);
    return { state: step.state, effects: [{ kind: 'retired', id }, ...step.effects] };
  }
  if (state.active?.id !== id) return { state, effects: [] };
  if (state.staging !== undefined) {
    return {
      state: { ...state, active: state.staging, staging: undefined },
      effects: [
        { kind: 'retired', id },
        { kind: 'rotated', id: state.staging.id },
      ],
    };
  }
  const step = fetchWhenAllowed(policy, { ...state, active: undefined, wanted: true }, nowMs);
  return { state: step.state, effects: [{ kind: 'retired', id }, ...step.effects] };
}

function onAdopted(state: TokenState, id: string): Step<TokenState, TokenEffect> {
  if (state.staging?.id !== id) return { state, effects: [] };
  const retired: TokenEffect[] = state.active === undefined ? [] : [{ kind: 'retired', id: state.active.id }];
  return {
    state: { ...state, active: state.staging, staging: undefined },
    effects: [...retired, { kind: 'rotated', id }],
  };
}
