import type { StreamPlan } from '../../config/plan.ts';
import type { SessionEffect, TokenRef } from '../../core/session/session-model.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';

/** The services that a stream gets from its OAuth client: a place among the dials, a token, the lease. */
export interface ClientPort {
  ask(plan: StreamPlan): void;
  cancel(plan: StreamPlan): void;
  report(outcome: Extract<SessionEffect, { kind: 'report' }>['outcome']): void;
  hold(forMs: number): void;
  tripBreaker(): void;
  tokenRejected(id: string): void;
  tokenSuspect(id: string): void;
  tokenAdopted(id: string): void;
  /** Returns the secret text of a token; undefined when it was retired. */
  tokenText(id: string): string | undefined;
  /** Ends what the stream asked for: it needs nothing any more. */
  leave(plan: StreamPlan): void;
  /** The right of this term to act in the lease's name. */
  readonly lease: LeaseGrant;
  /** Asks (GET) a REST path of the platform; undefined unless the answer was 200. */
  rest(path: string): Promise<string | undefined>;
  /** True while gate, breaker or Retry-After keep the client from dialing. */
  readonly restrained: boolean;
}

/** The services that a client gets from each of its streams. */
export interface ClientStream {
  readonly plan: StreamPlan;
  admitted(token: TokenRef): void;
  tokenStaged(token: TokenRef): void;
  /** Gives the stream's place to a more important stream. */
  preempted(): void;
  /** The token of its open link; undefined while it has none. */
  readonly tokenInUse: string | undefined;
}
