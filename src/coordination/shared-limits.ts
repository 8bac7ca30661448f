/** Policy of one bucket: no window of w ms sees more than capacity + w / refillEveryMs permits. */
export interface Bucket {
  readonly capacity: number;
  readonly refillEveryMs: number;
}

export type Permit =
  | { readonly kind: 'granted' }
  | { readonly kind: 'wait'; readonly ms: number; readonly why: 'rate' | 'hold' | 'breaker' }
  | { readonly kind: 'fenced' };

/**
 * Limits that outlive a leader: how often an OAuth client dials and asks for tokens, its pause (Retry-After), and
 * whether its circuit breaker is open. A new leader inherits all of it. Throws HoldfastError HF_STORE_UNAVAILABLE.
 */
export interface SharedLimits {
  permit(lease: string, epoch: number, kind: 'dial' | 'token', bucket: Bucket): Promise<Permit>;
  /** Asks the bucket that all clients behind one egress address share. */
  egress(name: string, bucket: Bucket): Promise<Permit>;
  /** Pauses this client's dialing for so long. The longest pause wins. */
  hold(lease: string, epoch: number, ms: number): Promise<void>;
  /** Keeps the breaker open for so long; 0: closed. */
  breaker(lease: string, epoch: number, ms: number): Promise<void>;
}

/** Grants everything: one replica limits itself in core/dialing/dial-queue.ts; no other replica shares the limits. */
export const noSharedLimits: SharedLimits = {
  permit: () => Promise.resolve({ kind: 'granted' }),
  egress: () => Promise.resolve({ kind: 'granted' }),
  hold: () => Promise.resolve(),
  breaker: () => Promise.resolve(),
};
