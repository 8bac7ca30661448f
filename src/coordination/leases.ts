import type { LeaseView } from '../core/lease/lease.ts';
import type { Member } from '../core/lease/candidate-ranking.ts';
import type { RedisConnectionState } from './redis/redis-connection.ts';

/** View of one lease that a standby or leader gets. */
export interface Sighting {
  readonly view: LeaseView;
  readonly members: readonly Member[];
  /** The replica that has it, by the name it gave; empty: none ever did. */
  readonly holder: string;
}

/** Data that a replica reports of itself with every call. */
export interface SelfReport {
  readonly id: string;
  readonly revision: string;
  readonly load: number;
  readonly ready: boolean;
  /** Leases for which the token endpoint refused this replica's credentials when it last asked. */
  readonly refusedLeases: readonly string[];
}

export interface RenewRequest {
  readonly lease: string;
  readonly token: string;
  readonly epoch: number;
  readonly notAfterStoreMs: number;
}

export type RenewAnswer =
  | { readonly kind: 'renewed'; readonly storeMs: number; readonly incarnation: string; readonly forgotten: boolean }
  | { readonly kind: 'lost' }
  /** The store does not know us any more, and our own time is over. */
  | { readonly kind: 'forgotten' };

export type AcquireAnswer =
  | {
      readonly kind: 'won';
      readonly token: string;
      readonly epoch: number;
      readonly storeMs: number;
      readonly incarnation: string;
    }
  | { readonly kind: 'held' }
  | { readonly kind: 'quarantine' };

/** Data that `/status` shows of a lease. */
export interface LeaseFacts {
  readonly role: 'leader' | 'standby' | 'retired';
  /** True while the lease allows acting in its name. */
  readonly open: boolean;
  readonly epoch: number;
  readonly remainingMs: number | undefined;
  readonly holder: string;
  readonly rank: number;
  /** The replica that would get the lease now. */
  readonly heir: string | undefined;
  /** Replicas that take part now. */
  readonly members: readonly string[];
  /** Replicas that took part in the last minutes and stopped renewing their record without leaving. */
  readonly gone: readonly string[];
  /** Set when this leader cannot do its work, and no other replica was found that can. */
  readonly unfit: { readonly why: string; readonly asked: number; readonly nextTryMs: number } | undefined;
  readonly quarantineMs: number | undefined;
  readonly lastHandOver: { readonly at: string; readonly to: string } | undefined;
  readonly linked: boolean;
  readonly observed: boolean;
}

/** Messages between the replicas of one store; they may be lost, only speed depends on them. */
export type Notice =
  | { readonly kind: 'changed'; readonly lease: string }
  /** `prove`: the heir answers only if the token endpoint takes its credentials; the leader's were refused. */
  | {
      readonly kind: 'offer';
      readonly lease: string;
      readonly heir: string;
      readonly epoch: number;
      readonly prove: boolean;
    }
  | { readonly kind: 'warm'; readonly lease: string; readonly heir: string; readonly token: string }
  /** Asks the leader of that epoch to hand over; the request does not apply to a later one. */
  | { readonly kind: 'hand-over'; readonly lease: string; readonly epoch: number }
  | { readonly kind: 'dead'; readonly connection: string };

/**
 * Leadership in a shared store. Two adapters: Redis (any number of replicas) and local (one replica, always the
 * leader). Every method may throw HoldfastError HF_STORE_UNAVAILABLE; nothing is retried inside; every call may be made
 * twice with the same effect as once.
 */
export interface Leases {
  /**
   * Lead of the store's clock over this process's wall clock, ms, by the last answer; 0 while it is not known, and with
   * a store of our own.
   */
  readonly storeAheadMs: number;
  onLink(listener: (state: RedisConnectionState) => void): void;
  onNotice(listener: (notice: Notice) => void): void;
  observe(leases: readonly string[], self: SelfReport): Promise<ReadonlyMap<string, Sighting>>;
  /**
   * Tries to take the lease. @param want the data set and the last holder as they were watched for a ttl; others are
   * refused unless the last holder stopped cleanly.
   */
  acquire(
    lease: string,
    want: {
      readonly ttlMs: number;
      readonly incarnation: string;
      readonly floor: number;
      readonly fenceToken: string;
      readonly beat: string;
    },
    self: SelfReport,
  ): Promise<AcquireAnswer>;
  renew(requests: readonly RenewRequest[], ttlMs: number, self: SelfReport): Promise<ReadonlyMap<string, RenewAnswer>>;
  /** Returns whether these connections of holders are gone; undefined: the store does not tell. */
  gone(conns: readonly string[]): Promise<ReadonlyMap<string, boolean> | undefined>;
  /** Removes exactly this holder's lock. @returns false when a newer holder is there. */
  break(
    lease: string,
    of: { readonly token: string; readonly conn: string | undefined; readonly beat: string },
  ): Promise<boolean>;
  release(lease: string, token: string): Promise<boolean>;
  transfer(
    lease: string,
    from: { readonly token: string; readonly epoch: number },
    to: { readonly heir: string; readonly token: string; readonly epoch: number },
    ttlMs: number,
  ): Promise<boolean>;
  publish(notice: Notice): Promise<void>;
  /** Takes this replica off the list of candidates. */
  leave(leases: readonly string[], id: string): Promise<void>;
}
