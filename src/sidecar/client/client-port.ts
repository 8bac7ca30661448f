import type { StreamPlan } from '../../config/plan.ts';
import type { SessionEffect, TokenRef } from '../../core/session/session-model.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';

/** What a stream needs of its OAuth client: a place among the dials, a token, the lease. */
export interface ClientPort {
  ask(plan: StreamPlan): void;
  cancel(plan: StreamPlan): void;
  report(outcome: Extract<SessionEffect, { kind: 'report' }>['outcome']): void;
  hold(forMs: number): void;
  tripBreaker(): void;
  tokenRejected(id: string): void;
  tokenSuspect(id: string): void;
  tokenAdopted(id: string): void;
  /** The secret text of a token; undefined when it was retired. */
  tokenText(id: string): string | undefined;
  /** The stream needs nothing any more. */
  leave(plan: StreamPlan): void;
  /** The right of this term to act in the lease's name. */
  readonly lease: LeaseGrant;
  /** GET of a REST path of the platform; undefined when it did not answer 200. */
  rest(path: string): Promise<string | undefined>;
  /** Gate, breaker or Retry-After keep the client from dialing. */
  readonly restrained: boolean;
}

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
