/** Faults that a simulated platform can be told to make. Counters count down; flags stay until reset. */
export interface Faults {
  /** Refuse the next upgrades: status, Retry-After seconds, how many. */
  upgrade: { status: number; retryAfter?: number | undefined; times: number } | undefined;
  token:
    | {
        status: number;
        retryAfter?: number | undefined;
        times: number;
        body?: string | undefined;
        delayMs?: number | undefined;
      }
    | undefined;
  rest: { status: number; times: number } | undefined;
  /** Value of expires_in in the answer (absent, 0, -1, "3600", …) instead of the true life. */
  expiresIn: unknown;
  omitExpiresIn: boolean;
  /** Events on offer before the asked position are replayed too. */
  replayExtra: number;
  /** The asked position itself is not repeated. */
  exclusive: boolean;
  /** Reaction to a position older than the oldest event that is kept. */
  expiredAs: 'status' | 'control' | 'silent';
  /** Swallow everything: no bytes out, none read. */
  halfOpen: boolean;
  stopPings: boolean;
  stopPongs: boolean;
  /** subscribe / reconnect acknowledgements: on time, after so many ms, or never. */
  ackDelayMs: number;
  ackNever: boolean;
  refresh: 'ack' | 'error' | 'ignore';
  /** Sign that a connection gets when its token ends. */
  onTokenEnd: 'close1008' | 'empty-batches' | 'drop' | 'nothing';
  skewMs: number;
  tenantCap: number;
  secondSocket: 'allow' | 'evict' | 'reject';
  /** Number of next generated events that are kept in the journal but not sent live. */
  hideNext: number;
  /** Number of next generated events that are sent twice. */
  duplicateNext: number;
  /** Number of next generated pairs that are sent in the wrong order. */
  swapNext: number;
  /** Events are sent as one JSON array per generator tick. */
  batches: boolean;
}

/** Returns the state without faults. */
export function faithful(): Faults {
  return {
    upgrade: undefined,
    token: undefined,
    rest: undefined,
    expiresIn: undefined,
    omitExpiresIn: false,
    replayExtra: 0,
    exclusive: false,
    expiredAs: 'status',
    halfOpen: false,
    stopPings: false,
    stopPongs: false,
    ackDelayMs: 0,
    ackNever: false,
    refresh: 'ack',
    onTokenEnd: 'close1008',
    skewMs: 0,
    tenantCap: Infinity,
    secondSocket: 'allow',
    hideNext: 0,
    duplicateNext: 0,
    swapNext: 0,
    batches: false,
  };
}
