import type { Millis } from '../units.ts';

/** Timing of one lease. Relations are checked when the configuration is read: ttl > 2 renewEvery + margin. */
export interface LeasePolicy {
  readonly ttlMs: Millis;
  readonly renewEveryMs: Millis;
  /**
   * Lease margin: the leader stops this long before its key can expire. Covers a difference of clock rates up to margin
   * / ttl.
   */
  readonly marginMs: Millis;
}

/** Time between two tries while the store does not answer; bounds the commands a failing replica sends. */
export const LEASE_RETRY_MS: Millis = 250;
/**
 * Each rank waits this much longer after an expiry, so that one candidate goes first and the others find the lock
 * taken.
 */
export const EXPIRY_RANK_MS: Millis = 150;
/** The same after a notice, which all hear within a millisecond. */
export const NOTICE_RANK_MS: Millis = 30;
/** Random addition to either. */
export const RANK_JITTER_MS: Millis = 20;
/**
 * Distance of two looks at the holder's connection. The first rank looks this often, each further one that much less.
 */
export const PROOF_EVERY_MS: Millis = 250;
/** A holder that lost its own connection closes its sockets after this time: before anybody can have looked twice. */
export const ORPHAN_SOCKETS_MS: Millis = 200;
/**
 * Where nothing listens the store is most likely gone for everybody, and closing would be for nothing: the sockets are
 * kept a little longer. Refused to us alone, a successor is connected 300 to 500 ms after the loss at the earliest: two
 * sockets are open together for less than a second all the same.
 */
export const REFUSED_SOCKETS_MS: Millis = 1000;
/**
 * The store's clock and ours may drift apart this much between two looks, and by CLOCK_TOLERANCE_SHARE of the time
 * between them. Together less than the margin: a jump that goes unnoticed must not outlast it.
 */
export const CLOCK_TOLERANCE_MS: Millis = 250;
/** Share of the time between two looks that is added to CLOCK_TOLERANCE_MS: clocks run at different rates. */
export const CLOCK_TOLERANCE_SHARE = 0.02;
/** A lock that vanishes this much before its expiry vanished early. */
export const EARLY_TOLERANCE_MS: Millis = 50;
/** Time that an heir has to warm up in a planned hand-over. */
export const WARM_LIMIT_MS: Millis = 3000;
/** Time in which a planned hand-over waits for acknowledgements, at most. */
export const DRAIN_LIMIT_MS: Millis = 5000;
/** An answer that took longer tells what was, not what is. */
export const STALE_LOOK_MS: Millis = 1000;
/** Time in which the store must answer the transfer that ends a planned hand-over. */
export const TRANSFER_LIMIT_MS: Millis = 1000;

/** One lease as the store shows it, at one instant. */
export interface LeaseView {
  /** undefined: no replica has the lock. */
  readonly token: string | undefined;
  /** Until the lock expires; Infinity when it never does. */
  readonly pttlMs: Millis;
  /** 0: no fence record. */
  readonly epoch: number;
  /** Token of the fence record: the last one that had the lease. */
  readonly fenceToken: string;
  readonly state: 'none' | 'held' | 'released';
  /**
   * Connection of the holder as the store numbers it, and the server process that gave the number; empty: unknown, no
   * proof possible.
   */
  readonly conn: string;
  /** True when the holder was this very pod, in an earlier life: its process is gone, or we could not be here. */
  readonly formerSelf: boolean;
  /** Changes with every renewal. */
  readonly beat: string;
  /** Changes when the store lost data or another server answers. */
  readonly incarnation: string;
  /** The store's clock. */
  readonly storeMs: number;
}

export interface Watch extends LeaseView {
  /** The earliest instant, by our clock, at which the lock seen can expire. */
  readonly freeFromMs: Millis;
  /** Since when this token and beat have been seen. */
  readonly beatSinceMs: Millis;
  readonly seenAtMs: Millis;
  readonly sentAtMs: Millis;
}

export type HandOver =
  /** `nextEpoch`: the heir's, named with the offer; 0: it is no longer valid, the lease is given back instead. */
  | {
      readonly step: 'offering';
      readonly nextEpoch: number;
      readonly heir: string;
      readonly rest: readonly string[];
      readonly untilMs: Millis;
      readonly final: boolean;
      readonly drainMs: Millis;
    }
  | {
      readonly step: 'draining';
      readonly nextEpoch: number;
      readonly heir: string | undefined;
      readonly heirToken: string | undefined;
      readonly untilMs: Millis;
      readonly final: boolean;
    }
  | { readonly step: 'transferring'; readonly heir: string; readonly untilMs: Millis; readonly final: boolean };

export interface Leading {
  readonly kind: 'leading';
  readonly token: string;
  readonly epoch: number;
  readonly how: 'acquired' | 'transferred';
  /** Instant from which on nothing may be done in the lease's name. Counted from the moment the renewal was sent. */
  readonly deadlineMs: Millis;
  /**
   * The store's clock when the lease of the last renewal ends; the bound of a re-assertion when the store forgot us.
   */
  readonly endsAtStoreMs: number;
  readonly open: boolean;
  /** True once the effect `lead` was given. */
  readonly started: boolean;
  readonly renewal: { readonly gen: number; readonly sentAtMs: Millis } | undefined;
  readonly nextRenewMs: Millis;
  readonly linkLostAtMs: Millis | undefined;
  /**
   * True when the store's host refuses connections. ECONNREFUSED usually means that the store is down for every
   * replica.
   */
  readonly refused: boolean;
  readonly socketsClosed: boolean;
  readonly handOver: HandOver | undefined;
  readonly incarnation: string;
  /**
   * True when, before that, the store had lost records that we had seen: what it has no record of may have been there.
   */
  readonly forgot: boolean;
}

export type LeaseRole =
  | { readonly kind: 'standby' }
  | { readonly kind: 'acquiring'; readonly gen: number; readonly sentAtMs: Millis }
  | Leading
  /** Stopped: gives no lease, takes none. */
  | { readonly kind: 'retired' };

export interface LeaseState {
  readonly role: LeaseRole;
  readonly gen: number;
  /** The highest epoch this process ever saw. */
  readonly floor: number;
  readonly watch: Watch | undefined;
  readonly rank: number;
  /** Instant before which it does not contend, unless the last holder is known to have stopped. */
  readonly quarantineUntilMs: Millis;
  readonly looking: boolean;
  readonly nextLookMs: Millis;
  /** When to try for a lease seen free. */
  readonly contendAtMs: Millis | undefined;
  readonly nextProofMs: Millis;
  readonly proving: boolean;
  /** Instant at which the holder's connection was first missing. */
  readonly goneSinceMs: Millis | undefined;
  readonly linked: boolean;
  /** The holder's connection that was seen alive: only the absence of that one proves anything. */
  readonly aliveConn: string | undefined;
  /** Data set last looked at, also before the connection was lost. */
  readonly lastIncarnation: string | undefined;
  /** True when the store lost data while this process watched, and this process has not led since. */
  readonly forgot: boolean;
  /** Until then not even a clean release is believed: the store went back to an earlier state. */
  readonly distrustUntilMs: Millis;
  /** Token of an accepted offer: the lease may become ours under it without another message. */
  readonly expecting: { readonly token: string; readonly untilMs: Millis } | undefined;
}

export type LossReason = 'taken_over' | 'released' | 'handed_over' | 'store_lost_data';

export type LeaseInput =
  /** `slackMs`: renewals due within it are sent now, so that the leases of one process share a call. */
  | { readonly kind: 'tick'; readonly unit: number; readonly slackMs: Millis }
  | { readonly kind: 'link'; readonly state: 'up' | 'lost' | 'refused' }
  | {
      readonly kind: 'observed';
      readonly view: LeaseView;
      readonly sentAtMs: Millis;
      readonly rank: number;
      readonly unit: number;
    }
  | { readonly kind: 'look-failed' }
  | { readonly kind: 'proof'; readonly conn: string; readonly gone: boolean | undefined }
  | { readonly kind: 'broken' }
  | {
      readonly kind: 'acquired';
      readonly gen: number;
      readonly token: string;
      readonly epoch: number;
      readonly storeMs: number;
      readonly incarnation: string;
      readonly unit: number;
    }
  | { readonly kind: 'not-acquired'; readonly gen: number; readonly why: 'held' | 'quarantine' | 'failed' }
  | {
      readonly kind: 'renewed';
      readonly gen: number;
      readonly storeMs: number;
      readonly incarnation: string;
      readonly unit: number;
      readonly forgotten: boolean;
    }
  | { readonly kind: 'not-renewed'; readonly gen: number; readonly why: 'lost' | 'forgotten' | 'failed' }
  /** A replica published that the lease is free, or changed hands. */
  | { readonly kind: 'notice'; readonly unit: number }
  /** Give the lease away; `final`: and take no other. Heirs best first. */
  | { readonly kind: 'hand-over'; readonly heirs: readonly string[]; readonly final: boolean; readonly drainMs: Millis }
  /** The store refused a call that only a leader may make: it is asked about the lease before anything more is done. */
  | { readonly kind: 'doubt' }
  /** The heir is warm and named the token it will use. */
  | { readonly kind: 'warm'; readonly heir: string; readonly token: string }
  /** Answers carry the epoch they belong to. */
  | { readonly kind: 'drained'; readonly epoch: number }
  | { readonly kind: 'transferred'; readonly epoch: number; readonly ok: boolean }
  | { readonly kind: 'accepted'; readonly token: string };

/** Reason not to believe the store: the last holder may still act. */
export type QuarantineReason =
  'young' | 'store_changed' | 'clock_jump' | 'holder_changed' | 'early_expiry' | 'epoch_lost';

export type LeaseEffect =
  | { readonly kind: 'observe' }
  | { readonly kind: 'prove'; readonly conn: string }
  | {
      readonly kind: 'break';
      readonly token: string;
      readonly conn: string;
      readonly beat: string;
      readonly why: 'connection_gone' | 'no_renewal';
    }
  /** With the state that was watched: the store refuses when it has changed, unless the last holder stopped cleanly. */
  | {
      readonly kind: 'acquire';
      readonly gen: number;
      readonly incarnation: string;
      readonly fenceToken: string;
      readonly beat: string;
      readonly floor: number;
    }
  | {
      readonly kind: 'renew';
      readonly gen: number;
      readonly token: string;
      readonly epoch: number;
      readonly notAfterStoreMs: number;
    }
  | { readonly kind: 'release'; readonly token: string }
  | { readonly kind: 'offer'; readonly heir: string; readonly nextEpoch: number }
  | { readonly kind: 'drain'; readonly limitMs: Millis }
  | {
      readonly kind: 'transfer';
      readonly token: string;
      readonly epoch: number;
      readonly nextEpoch: number;
      readonly heir: string;
      readonly heirToken: string;
    }
  /** Begin: streams may be dialed, events delivered while `leaseOpen`. */
  | {
      readonly kind: 'lead';
      readonly epoch: number;
      readonly how: 'acquired' | 'transferred';
      readonly forgot: boolean;
    }
  | { readonly kind: 'shut'; readonly why: 'expired' | 'link_lost' | 'doubt' }
  | { readonly kind: 'reopen'; readonly storeLostData: boolean }
  /** Sockets must go: at once where streams resume, after a while where the platform fences by itself. */
  | { readonly kind: 'close-sockets' }
  | { readonly kind: 'lost'; readonly why: LossReason }
  | {
      readonly kind: 'quarantined';
      readonly why: QuarantineReason;
      readonly untilMs: Millis;
    };

export interface LeaseDraft {
  readonly policy: LeasePolicy;
  readonly nowMs: Millis;
  s: LeaseState;
  readonly out: LeaseEffect[];
}

/** Waits one ttl, because this replica cannot know that the last holder has stopped. */
export function quarantine(draft: LeaseDraft, why: QuarantineReason): void {
  const untilMs = draft.nowMs + draft.policy.ttlMs;
  draft.s = {
    ...draft.s,
    quarantineUntilMs: untilMs,
    forgot: draft.s.forgot || why === 'store_changed' || why === 'epoch_lost',
  };
  draft.out.push({ kind: 'quarantined', why, untilMs });
}
