import type { Permit } from '../../coordination/shared-limits.ts';
import type { ClientPlan } from '../../config/plan.ts';
import { breakerShown } from '../../core/dialing/circuit-breaker.ts';
import {
  cancelDial,
  emptyDialQueue,
  grantDials,
  pauseDials,
  queueDial,
  reportDial,
  tripDials,
  type DialQueue,
} from '../../core/dialing/dial-queue.ts';
import type { TokenRef } from '../../core/session/session-model.ts';
import type { Deps } from '../runtime/environment.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';
import { maintenanceCooldownMs } from './maintenance-cooldown.ts';
import { NOT_OPEN_RETRY_MS, type SharedPermits } from './shared-permits.ts';

/** Permission for a stream to dial now, with this token. */
interface GrantedDial {
  readonly stream: string;
  readonly token: TokenRef;
}

interface Answered extends GrantedDial {
  readonly permit: Permit;
}

/**
 * Lets the dials of one client go: first by the calendar and by this replica's gate, breaker and pause, then by the
 * gate that all replicas share, which a new leader inherits.
 */
export class DialGate {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #lease: LeaseGrant;
  readonly #permits: SharedPermits;
  readonly #wake: () => void;
  #dials: DialQueue = emptyDialQueue;
  #answers: Answered[] = [];
  /**
   * When gate, breaker and pause said to ask again; never computed anew at another instant, where the answer could be
   * "now" and nothing would wake the client.
   */
  #lookAtMs: number | undefined;

  constructor(
    plan: ClientPlan,
    deps: Deps,
    lease: LeaseGrant,
    { permits, wake }: { readonly permits: SharedPermits; readonly wake: () => void },
  ) {
    this.#plan = plan;
    this.#deps = deps;
    this.#lease = lease;
    this.#permits = permits;
    this.#wake = wake;
  }

  /** True while some dial waits. */
  get waiting(): boolean {
    return this.#dials.queue.length > 0;
  }

  /** True while no stream of this client may dial, whichever replica leads it. */
  get restrained(): boolean {
    const { breaker, pausedUntilMs } = this.#dials;
    const nowMs = this.#deps.nowMs();
    return breakerShown(breaker, nowMs) !== 'closed' || (pausedUntilMs !== undefined && pausedUntilMs > nowMs);
  }

  deadline(): number | undefined {
    return this.waiting ? this.#lookAtMs : undefined;
  }

  queue(stream: string): void {
    const priority = this.#plan.streams.find(({ name }) => name === stream)?.priority ?? 1;
    this.#dials = queueDial(this.#dials, { stream, priority, askedAtMs: this.#deps.nowMs() });
    this.#wake();
  }

  cancel(stream: string): void {
    this.#dials = cancelDial(this.#dials, stream);
  }

  /** Takes in how a dial that was let go has ended. */
  report(outcome: 'ok' | 'failed' | 'neutral'): void {
    this.#set(reportDial(this.#plan.dialing, this.#dials, outcome, this.#deps.nowMs()));
    this.#wake();
  }

  /** Pauses dialing as the platform asked; all replicas learn of it. */
  hold(forMs: number): void {
    this.#permits.hold(forMs);
    this.#dials = pauseDials(this.#dials, this.#deps.nowMs() + forMs, 'rate_limited');
    this.#wake();
  }

  trip(): void {
    this.#set(tripDials(this.#plan.dialing, this.#dials, this.#deps.nowMs()));
  }

  stop(): void {
    this.#deps.metrics.breakerOpen.set({ client: this.#plan.name }, 0);
  }

  /** Lets waiting dials go as far as this replica's own limits allow, and asks the shared gate about them. */
  pump(token: TokenRef, nowMs: number): void {
    const cooldown = maintenanceCooldownMs(this.#plan.maintenance, this.#deps.nowEpochMs());
    if (cooldown > 0) this.#dials = pauseDials(this.#dials, nowMs + cooldown, 'cooldown');
    const { state, granted, lookAgainAtMs } = grantDials(this.#plan.dialing, this.#dials, nowMs);
    this.#set(state);
    this.#lookAtMs = lookAgainAtMs;
    for (const stream of granted) this.#ask(stream, token);
  }

  #ask(stream: string, token: TokenRef): void {
    this.#permits
      .dial()
      .then((permit) => {
        this.#answers.push({ stream, token, permit });
        this.#wake();
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'the permit was lost');
      });
  }

  /** Returns the dials that the shared gate let go; the others wait again. */
  takeGranted(nowMs: number): readonly GrantedDial[] {
    if (this.#answers.length === 0) return [];
    return this.#answers.splice(0).filter(({ stream, permit }) => {
      if (permit.kind === 'granted' && this.#lease.mayDial(nowMs)) return true;
      this.#refused(permit, nowMs);
      this.queue(stream);
      return false;
    });
  }

  #refused(permit: Permit, nowMs: number): void {
    this.#set(reportDial(this.#plan.dialing, this.#dials, 'neutral', nowMs));
    if (permit.kind === 'fenced') {
      this.#lease.doubt();
      this.#dials = pauseDials(this.#dials, nowMs + NOT_OPEN_RETRY_MS, 'shared_gate');
    }
    if (permit.kind !== 'wait') return;
    if (permit.why === 'breaker') this.#set({ ...this.#dials, breaker: { kind: 'open', untilMs: nowMs + permit.ms } });
    else {
      const cause = permit.why === 'hold' ? 'rate_limited' : 'shared_gate';
      this.#dials = pauseDials(this.#dials, nowMs + permit.ms, cause);
    }
  }

  #set(next: DialQueue): void {
    const before = this.#dials.breaker.kind;
    this.#dials = next;
    const { breaker } = next;
    if (before === breaker.kind) return;
    this.#deps.metrics.breakerOpen.set({ client: this.#plan.name }, breaker.kind === 'closed' ? 0 : 1);
    if (breaker.kind === 'open') {
      this.#permits.breaker(Math.max(0, breaker.untilMs - this.#deps.nowMs()));
      this.#deps.audit.write('breaker.opened', this.#plan.name, { forMs: this.#plan.dialing.breaker.openMs });
    }
    if (breaker.kind === 'closed') {
      this.#permits.breaker(0);
      this.#deps.audit.write('breaker.closed', this.#plan.name);
    }
  }

  status(nowMs: number): Readonly<Record<string, unknown>> {
    const { breaker, pausedUntilMs, pauseCause, queue } = this.#dials;
    return {
      breaker: breakerShown(breaker, nowMs),
      breakerOpenForMs: breaker.kind === 'open' ? Math.max(0, Math.round(breaker.untilMs - nowMs)) : undefined,
      pauseMs: pausedUntilMs === undefined ? undefined : Math.max(0, Math.round(pausedUntilMs - nowMs)),
      pauseReason: pauseCause,
      waiting: queue.map((one) => one.stream),
    };
  }
}
