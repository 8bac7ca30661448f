/** No window of w ms sees more than capacity + w / refillEveryMs permits. */
export interface Bucket {
  readonly capacity: number;
  readonly refillEveryMs: number;
}

export type Permit =
  | { readonly kind: 'granted' }
  | { readonly kind: 'wait'; readonly ms: number; readonly why: 'rate' | 'hold' | 'breaker' }
  | { readonly kind: 'fenced' };

/**
 * Limits that outlive a leader: how often an OAuth client dials and asks for tokens, how long nobody may (Retry-After),
 * and whether its circuit breaker is open. A new leader inherits all of it. Throws HoldfastError HF_STORE_UNAVAILABLE.
 */
export interface SharedLimits {
  permit(lease: string, epoch: number, kind: 'dial' | 'token', bucket: Bucket): Promise<Permit>;
  /** One bucket for everybody behind one egress address, whatever the client. */
  egress(name: string, bucket: Bucket): Promise<Permit>;
  /** Nobody of this client dials for so long. The longest one stands. */
  hold(lease: string, epoch: number, ms: number): Promise<void>;
  /** The breaker is open for so long; 0: closed. */
  breaker(lease: string, epoch: number, ms: number): Promise<void>;
}

/** One replica restrains itself in core/dialing/dial-queue.ts; there is nobody to share it with. */
export const noSharedLimits: SharedLimits = {
  permit: () => Promise.resolve({ kind: 'granted' }),
  egress: () => Promise.resolve({ kind: 'granted' }),
  hold: () => Promise.resolve(),
  breaker: () => Promise.resolve(),
};
