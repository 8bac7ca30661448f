import type { LeasePolicy } from '../../core/lease/lease.ts';
import type { Unfit } from './fitness.ts';

/** Holds one lease's streams while this replica leads. Calls come in order; `lead` and `lost` alternate. */
export interface Candidate {
  readonly lease: string;
  readonly client: string;
  readonly policy: LeasePolicy;
  /** True while it could lead: its consumer is there. */
  readonly fit: boolean;
  /** True when the token endpoint refused this replica's credentials the last time that it asked. */
  readonly refused: boolean;
  /** Returns why, as the leader, it should give way to another replica; undefined: it need not. */
  unfit(): Unfit | undefined;
  /** Begins a term. `forgot`: the store lost data while we watched; what it has no record of may have been there. */
  lead(epoch: number, won: { readonly how: 'acquired' | 'transferred'; readonly forgot: boolean }): void;
  shut(why: string): void;
  reopen(storeLostData: boolean): void;
  closeSockets(): void;
  lost(why: string): void;
  drain(limitMs: number): Promise<void>;
  /**
   * Makes ready to lead with this epoch; `prove`: only if the token endpoint takes our credentials. @returns false when
   * it could not.
   */
  warm(epoch: number, prove: boolean): Promise<boolean>;
}
