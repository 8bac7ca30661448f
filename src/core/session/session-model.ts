import type { BackoffPolicy } from '../dialing/backoff.ts';
import type { DispositionTables, Failure, Reason } from './classify-failure.ts';
import type { LivenessPolicy, LivenessState } from './liveness.ts';
import type { Millis } from '../units.ts';

/**
 * Policy of a stream's life, made from one endpoint and one configuration. Data only; the session never asks which
 * platform it is.
 */
export interface SessionPolicy {
  readonly dialTimeoutMs: Millis;
  /** After a polite close, the wait for the peer before the socket is terminated. */
  readonly closeTimeoutMs: Millis;
  readonly clientFrames: 'forbidden' | 'allowed';
  /**
   * The endpoint wants a subscribe or reconnect frame; with `ackTimeoutMs` the link is ready only once it is
   * acknowledged.
   */
  readonly hello: { readonly ackTimeoutMs: Millis | undefined; readonly reconnectOnly: boolean } | undefined;
  readonly liveness: LivenessPolicy;
  readonly backoff: BackoffPolicy;
  readonly extendedBackoff: BackoffPolicy;
  /** Failed attempts in a row before `onExhausted`; 0 = unlimited. */
  readonly maxAttempts: number;
  /** Length of one episode of failures before `onExhausted`, from its first failure. */
  readonly maxWindowMs: Millis | undefined;
  readonly onExhausted: 'breaker' | 'fatal';
  /** A quiet stream counts as recovered after this long with a living link and no event. */
  readonly stableMs: Millis;
  readonly rotation: 'in-stream' | 'overlap';
  readonly inStream: {
    readonly ackTimeoutMs: Millis;
    readonly retryMs: Millis;
    readonly fallBackBeforeExpiryMs: Millis;
  };
  /** How long two links stay open together in a planned change. */
  readonly overlapMs: Millis;
  readonly emptyBatchLimit: number;
  /** On a dead link, try a close with 1001 first (S0) instead of terminating at once. */
  readonly closeDeadWith1001: boolean;
  readonly tables: DispositionTables;
}

export interface TokenRef {
  readonly id: string;
  readonly expiresAtMs: Millis;
}

/** One socket. `gen` is never reused, so a late answer of an abandoned socket is recognised. */
export interface Link {
  readonly gen: number;
  readonly token: TokenRef;
  readonly phase: 'dialing' | 'acking' | 'open' | 'closing';
  readonly purpose: DialPurpose;
  readonly resuming: boolean;
  readonly dialedAtMs: Millis;
  readonly openedAtMs: Millis | undefined;
  /** End of the current phase: dial timeout, ack timeout, close timeout. */
  readonly deadlineMs: Millis | undefined;
  readonly liveness: LivenessState | undefined;
  readonly sawEvent: boolean;
  readonly emptyBatches: number;
  readonly closingFor: Reason | undefined;
  /** Set while an in-stream refresh was sent and is not yet acknowledged. */
  readonly refreshing: { readonly token: TokenRef; readonly untilMs: Millis } | undefined;
}

export type DialPurpose = 'first' | 'resume' | 'rotate' | 'maintenance' | 'gap';

export type Phase =
  | { readonly kind: 'idle' }
  | { readonly kind: 'backoff'; readonly untilMs: Millis; readonly reason: Reason }
  | { readonly kind: 'asking'; readonly purpose: DialPurpose }
  | { readonly kind: 'linked' }
  /** No retry until a token or the configuration changes. */
  | { readonly kind: 'halted'; readonly reason: Reason };

export interface SessionState {
  readonly goal: 'run' | 'park' | 'stop';
  readonly phase: Phase;
  readonly gen: number;
  readonly main: Link | undefined;
  /** The second link of a planned overlap. */
  readonly next: Link | undefined;
  /** A planned overlap that waits for the dial queue, or for its retry time. */
  readonly change: { readonly purpose: DialPurpose; readonly asked: boolean; readonly notBeforeMs: Millis } | undefined;
  /** The main link is given up at this instant: the overlap is over. */
  readonly handOverAtMs: Millis | undefined;
  readonly staged: TokenRef | undefined;
  readonly attempt: number;
  readonly episodeSinceMs: Millis | undefined;
  /** True when this episode's redial without delay is used up. */
  readonly redialedAtOnce: boolean;
  /** The last dial that was neither the first nor one of a planned overlap. */
  readonly redialedAtMs: Millis | undefined;
  /** The last time that a dial of a planned overlap failed. */
  readonly refusedAtMs: Millis | undefined;
  /** The latest intervals of the server's pings, kept for the next link. */
  readonly pingIntervalsMs: readonly Millis[];
  readonly authFailures: number;
  readonly frameFaults: number;
  readonly positionExpired: boolean;
  readonly everOpened: boolean;
  readonly interrupted: boolean;
  /** Reason why no link is open. */
  readonly downFor: Reason | undefined;
  readonly totals: {
    readonly attempts: number;
    readonly successes: number;
    readonly latencySumMs: Millis;
    readonly reconnects: number;
  };
}

export type Control =
  | 'subscribe-ack'
  | 'reconnect-ack'
  | 'refresh-ack'
  | 'refresh-error'
  | 'token-mismatch'
  | 'position-expired'
  | 'closing-soon'
  | 'rate-limited'
  | 'heartbeat'
  | 'unknown';

export type SessionInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'park' }
  | { readonly kind: 'stop'; readonly reason: Reason }
  | { readonly kind: 'admitted'; readonly token: TokenRef; readonly resuming: boolean }
  | { readonly kind: 'opened'; readonly gen: number }
  | { readonly kind: 'ended'; readonly gen: number; readonly failure: Failure; readonly unit: number }
  | { readonly kind: 'heard'; readonly gen: number; readonly what: 'frame' | 'server-ping' }
  | { readonly kind: 'pong'; readonly gen: number; readonly payload: string }
  | { readonly kind: 'event'; readonly gen: number }
  | { readonly kind: 'empty-batch'; readonly gen: number }
  | { readonly kind: 'control'; readonly gen: number; readonly control: Control; readonly unit: number }
  | { readonly kind: 'token-staged'; readonly token: TokenRef }
  | { readonly kind: 'redial'; readonly purpose: 'gap' }
  | { readonly kind: 'tick'; readonly unit: number };

export type SessionEffect =
  | { readonly kind: 'ask'; readonly purpose: DialPurpose }
  | { readonly kind: 'cancel-ask' }
  | {
      readonly kind: 'dial';
      readonly gen: number;
      readonly token: TokenRef;
      readonly purpose: DialPurpose;
      readonly reconnect: boolean;
      /** True when the last position was refused as too old: ask for the oldest on offer. */
      readonly oldest: boolean;
      readonly attempt: number;
    }
  | { readonly kind: 'hello'; readonly gen: number; readonly reconnect: boolean; readonly attempt: number }
  | { readonly kind: 'refresh'; readonly gen: number; readonly token: TokenRef }
  | { readonly kind: 'ping'; readonly gen: number; readonly payload: string }
  | { readonly kind: 'close'; readonly gen: number; readonly code: number; readonly reason: Reason }
  | { readonly kind: 'terminate'; readonly gen: number; readonly reason: Reason }
  | { readonly kind: 'report'; readonly outcome: 'ok' | 'failed' | 'neutral' }
  /** No stream of this OAuth client dials before the pause ends (Retry-After). */
  | { readonly kind: 'hold'; readonly forMs: Millis }
  | { readonly kind: 'trip-breaker' }
  | { readonly kind: 'token-rejected'; readonly id: string }
  | { readonly kind: 'token-suspect'; readonly id: string }
  | { readonly kind: 'token-adopted'; readonly id: string }
  | { readonly kind: 'interrupted'; readonly reason: Reason }
  | {
      readonly kind: 'ready';
      readonly gen: number;
      readonly purpose: DialPurpose;
      readonly latencyMs: Millis;
      readonly acknowledged: boolean;
    }
  | {
      readonly kind: 'promoted';
      readonly gen: number;
      readonly retired: number | undefined;
      readonly purpose: DialPurpose;
    }
  | {
      readonly kind: 'attempt-failed';
      readonly attempt: number;
      readonly reason: Reason;
      readonly retryInMs: Millis;
      readonly timeout: boolean;
      readonly latencyMs: Millis;
    }
  | {
      readonly kind: 'health';
      readonly gen: number;
      readonly verdict: 'degraded' | 'recovered' | 'dead';
      readonly reason: string;
    }
  | { readonly kind: 'halted'; readonly reason: Reason }
  | { readonly kind: 'fatal'; readonly reason: Reason };
