import type { Millis } from '../units.ts';

/** Reaction of the session to a failure. Decided by tables, never by message text. */
export type Disposition =
  | 'retry' //            ordinary backoff
  | 'throttled' //        extended backoff, and no stream of this OAuth client dials before Retry-After ends
  | 'reauthenticate' //   one forced refresh and one retry; again => auth-failed, slow retries
  | 'forbidden' //        no loop: wait for another token or configuration
  | 'position-expired' // resume from the oldest on offer, gap event first
  | 'frames-forbidden' // reconnect once with client frames off; again => halt
  | 'final'; //           the platform declares it over (only where a profile lists it)

/** Why something happened: one closed vocabulary for log, metric label, audit field and status. */
export const REASONS = [
  'connect_failed',
  'private_address',
  'dial_timeout',
  'upgrade_refused',
  'protocol_error',
  'ack_timeout',
  'closed_by_platform',
  'closed_abnormally',
  'pong_timeout',
  'silence',
  'auth_failed',
  'token_expired',
  'token_unavailable',
  'forbidden',
  'rate_limited',
  'overloaded',
  'position_expired',
  'client_frames_forbidden',
  'platform_final',
  'empty_batches',
  'gap_resume',
  'rotation',
  'maintenance_notice',
  'cooldown',
  'parked',
  'suspended',
  'shutdown',
  'fenced',
  'lease_lost',
  'preempted',
  'exhausted',
] as const;
export type Reason = (typeof REASONS)[number];

/** How an attempt or a link ended, as facts. */
export interface Failure {
  readonly stage: 'dial' | 'upgrade' | 'subscribe' | 'stream';
  /** HTTP status of a refused upgrade. */
  readonly status?: number;
  /** WebSocket close code as received; 1006 when there was none. */
  readonly closeCode?: number;
  /** Stable error code of the transport (`WS_ERR_…`, `ECONNREFUSED`, …). */
  readonly error?: string;
  readonly retryAfterMs?: Millis;
  /** Set when the failure was our own verdict (watchdog, ack timeout, empty batches). */
  readonly reason?: Reason;
}

export interface DispositionTables {
  readonly closeCodes: Readonly<Record<number, Disposition>>;
  readonly statuses: Readonly<Record<number, Disposition>>;
}

/**
 * Close codes (platforms 4.7). Left out on purpose, hence `retry`: 1000 and 1001 from the server (S1 stops there, which
 * is an outage after maintenance), 1006, 1011, 1012.
 */
export const COMMON_CLOSE_CODES: Readonly<Record<number, Disposition>> = {
  401: 'reauthenticate', //  no legal close code, but S1 saw it; the socket shell reports the number it refused
  1002: 'frames-forbidden',
  1008: 'reauthenticate', // S0, S2: token expired or policy
  1013: 'throttled', //      S0, S2: try again later
  3000: 'reauthenticate', // registered: unauthorized
  3003: 'forbidden',
  4001: 'reauthenticate',
  4003: 'forbidden',
  4401: 'reauthenticate',
  4403: 'forbidden',
  4429: 'throttled',
};

/** HTTP statuses of an upgrade. Left out on purpose, hence `retry`: 408, 413, 5xx. */
export const COMMON_STATUSES: Readonly<Record<number, Disposition>> = {
  400: 'position-expired', // only when a position was asked for; the session passes that on
  401: 'reauthenticate',
  403: 'forbidden',
  404: 'position-expired',
  410: 'position-expired',
  429: 'throttled',
};

/** The close code of a link that ended without a close frame. */
const NO_CLOSE_FRAME = 1006;

export interface FailureVerdict {
  readonly disposition: Disposition;
  readonly reason: Reason;
}

/** Classifies a failure. `resuming` says whether the dial asked for a position, without which none can have expired. */
export function classifyFailure(tables: DispositionTables, failure: Failure, resuming: boolean): FailureVerdict {
  if (failure.reason !== undefined) return { disposition: 'retry', reason: failure.reason };
  if (failure.status !== undefined) return ofStatus(tables.statuses[failure.status] ?? 'retry', failure, resuming);
  if (failure.closeCode !== undefined) return ofCloseCode(tables, failure.closeCode, failure.error);
  if (failure.error === 'HF_PRIVATE_ADDRESS') return { disposition: 'retry', reason: 'private_address' };
  return { disposition: 'retry', reason: failure.stage === 'dial' ? 'connect_failed' : 'closed_abnormally' };
}

const REASON_OF: Readonly<Partial<Record<Disposition, Reason>>> = {
  throttled: 'overloaded',
  reauthenticate: 'auth_failed',
  forbidden: 'forbidden',
  'position-expired': 'position_expired',
  'frames-forbidden': 'client_frames_forbidden',
  final: 'platform_final',
};

function ofCloseCode(tables: DispositionTables, closeCode: number, error: string | undefined): FailureVerdict {
  const abnormal = closeCode === NO_CLOSE_FRAME;
  // `ws` reports a broken frame as 1006; the cause is only in the error code (measured).
  if (abnormal && error !== undefined) return { disposition: 'retry', reason: 'protocol_error' };
  const disposition = tables.closeCodes[closeCode] ?? 'retry';
  return { disposition, reason: REASON_OF[disposition] ?? (abnormal ? 'closed_abnormally' : 'closed_by_platform') };
}

function ofStatus(disposition: Disposition, failure: Failure, resuming: boolean): FailureVerdict {
  if (disposition === 'position-expired' && !resuming) return { disposition: 'retry', reason: 'upgrade_refused' };
  if (disposition === 'throttled') return { disposition, reason: 'rate_limited' };
  if (disposition === 'retry' && failure.status === 503 && failure.retryAfterMs !== undefined)
    return { disposition: 'throttled', reason: 'overloaded' };
  return { disposition, reason: REASON_OF[disposition] ?? 'upgrade_refused' };
}
