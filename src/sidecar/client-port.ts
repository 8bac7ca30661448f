import type { StreamPlan } from '../config/resolve.ts';
import type { TokenRef } from '../core/session-types.ts';

/** What a client needs of each of its streams. */
export interface ClientStream {
  readonly plan: StreamPlan;
  admitted(token: TokenRef): void;
  tokenStaged(token: TokenRef): void;
  /** Its place is needed by a more important one. */
  preempted(): void;
  /** The token of its open link; undefined while it has none. */
  readonly tokenInUse: string | undefined;
}

/** What a term of office knows of its lease. */
export interface LeaseView {
  open(): boolean;
  /** Also before the lease is ours, where an heir connects first. */
  mayDial(): boolean;
  /** The store refused us: ask it whose the lease is. */
  doubt(): void;
}
