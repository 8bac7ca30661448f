/** State of a stream in its tenant's pool. */
export type PoolPlace =
  | { readonly kind: 'granted' }
  /** Place in the queue from 0; look again after `retryMs`. */
  | { readonly kind: 'queued'; readonly place: number; readonly retryMs: number }
  /** A more important stream needs the slot: give it up within `withinMs`. */
  | { readonly kind: 'revoked'; readonly withinMs: number };

export interface PoolRequest {
  readonly tenant: string;
  /** Unique among all streams of the tenant. */
  readonly stream: string;
  /** 0 High, 1 Normal, 2 Low. */
  readonly priority: 0 | 1 | 2;
  readonly limit: number;
}

/**
 * Limits the streams that one tenant has at a time (S4: 50), with a queue by priority, ageing and preemption. Throws
 * HoldfastError HF_STORE_UNAVAILABLE.
 */
export interface StreamPool {
  /** Asks for a slot, or renews it: to be called well within `POOL_SLOT_MS`. */
  admit(request: PoolRequest): Promise<PoolPlace>;
  leave(request: PoolRequest): Promise<void>;
}

/** A slot that nobody renews is free after this. */
export const POOL_PLACE_MS = 15_000;
/** Grants every place: with one replica core/dialing/dial-queue.ts has the queue. */
export const noStreamPool: StreamPool = {
  admit: () => Promise.resolve({ kind: 'granted' }),
  leave: () => Promise.resolve(),
};
