import type { LeasePolicy } from '../../core/lease/lease.ts';
import type { Unfit } from './fitness.ts';

/** What holds one lease's streams while it leads. Calls come in order; `lead` and `lost` alternate. */
export interface Candidate {
  readonly lease: string;
  readonly client: string;
  readonly policy: LeasePolicy;
  /** It could lead now: its consumer is there. */
  readonly fit: boolean;
  /** The token endpoint refused this replica's credentials when it last asked. */
  readonly refused: boolean;
  /** As the leader: why somebody else should lead. */
  unfit(): Unfit | undefined;
  /** `forgot`: the store lost data while we watched; what it has no record of may have been there. */
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
