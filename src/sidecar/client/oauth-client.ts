/**
 * The second floor of the sidecar: one OAuth client while its replica leads. Its files ask for tokens, queue and limit
 * connection attempts, and keep the streams' places in the tenant's quota. They never dial or read a stream (stream),
 * never decide who leads (leadership), and compute no limit themselves: token machine and dial queue are core's,
 * requests upstream's, shared limits the store's.
 */

import type { ClientPlan, StreamPlan } from '../../config/plan.ts';
import { earliest } from '../../core/units.ts';
import { DeadlineTimer } from '../runtime/deadline-timer.ts';
import type { Deps } from '../runtime/environment.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';
import type { ClientPort, ClientStream } from './client-port.ts';
import { DialGate } from './dial-gate.ts';
import { SharedPermits } from './shared-permits.ts';
import { StreamQuota } from './stream-quota.ts';
import { TokenManager } from './token-manager.ts';
import type { SharedToken } from './token-source.ts';

/**
 * Drives one OAuth client for one term: its streams' places in the tenant's pool, the gate that their dials pass, the
 * token that they dial with. One turn reads the notes of the three and passes them on to the streams.
 */
export class OauthClient implements ClientPort {
  readonly plan: ClientPlan;
  readonly lease: LeaseGrant;
  readonly #deps: Deps;
  readonly #streams = new Map<string, ClientStream>();
  readonly #quota: StreamQuota;
  readonly #gate: DialGate;
  readonly #tokens: TokenManager;
  readonly #timer: DeadlineTimer;
  #turnDue = false;
  #stopped = false;

  constructor(plan: ClientPlan, deps: Deps, lease: LeaseGrant) {
    this.plan = plan;
    this.#deps = deps;
    this.lease = lease;
    const wake = (): void => {
      this.#soon();
    };
    const permits = new SharedPermits(plan, deps, lease.epoch);
    this.#quota = new StreamQuota(plan, deps, wake);
    this.#gate = new DialGate(plan, deps, lease, { permits, wake });
    this.#tokens = new TokenManager(plan, deps, lease, { permits, wake });
    this.#timer = new DeadlineTimer(deps.schedule, () => {
      this.#tick();
    });
  }

  /** Takes over a token (see `TokenManager.start`), and begins. */
  start(proven: SharedToken | undefined): Promise<void> {
    return this.#tokens.start(proven);
  }

  /** True while no stream of this client may dial, whichever replica leads it. */
  get restrained(): boolean {
    return this.#gate.restrained;
  }

  /** Returns how long the token endpoint has refused our credentials, ms; undefined: it does not. */
  get refusedForMs(): number | undefined {
    return this.#tokens.refusedForMs;
  }

  /** Goes on when the lease is open again: waiting dials may go, and values that could not be stored are stored. */
  reopen(): void {
    this.#tokens.share();
    this.#tick();
  }

  /** @param keep the streams go on under another leader. */
  stop(keep: boolean): void {
    this.#stopped = true;
    this.#quota.stop(keep);
    this.#gate.stop();
    this.#tokens.stop();
    this.#timer.clear();
  }

  add(stream: ClientStream): void {
    this.#streams.set(stream.plan.name, stream);
  }

  /** Asks for a place in the tenant's pool; with the place the stream queues for the gate. */
  ask(stream: StreamPlan): void {
    this.#quota.want(stream.name);
  }

  /** Gives up the stream's place: it will not be connected in this term. */
  leave(stream: StreamPlan): void {
    this.#quota.leave(stream.name);
  }

  cancel(stream: StreamPlan): void {
    this.#quota.cancel(stream.name);
    this.#gate.cancel(stream.name);
  }

  report(outcome: 'ok' | 'failed' | 'neutral'): void {
    this.#gate.report(outcome);
  }

  hold(forMs: number): void {
    this.#gate.hold(forMs);
  }

  tripBreaker(): void {
    this.#gate.trip();
  }

  tokenRejected(id: string): void {
    this.#tokens.rejected(id);
  }

  tokenSuspect(id: string): void {
    this.#tokens.suspect(id);
  }

  tokenAdopted(id: string): void {
    const others = [...this.#streams.values()].some(
      (stream) => stream.tokenInUse !== undefined && stream.tokenInUse !== id,
    );
    if (!others) this.#tokens.adopted(id);
  }

  tokenText(id: string): string | undefined {
    return this.#tokens.text(id);
  }

  rest(path: string): Promise<string | undefined> {
    return this.#tokens.rest(path);
  }

  status(): Record<string, unknown> {
    const nowMs = this.#deps.nowMs();
    return {
      name: this.plan.name,
      platform: this.plan.platform,
      region: this.plan.region,
      epoch: this.lease.epoch,
      ...this.#tokens.status(nowMs),
      ...this.#gate.status(nowMs),
      waitingForPool: this.#quota.waiting,
    };
  }

  // --- the driver ---

  /** Looks at the clock, and takes a turn. Only a leader whose lease is open asks for tokens. */
  #tick(): void {
    if (!this.#stopped && this.lease.isOpen(this.#deps.nowMs())) this.#tokens.tick();
    this.#turn();
  }

  #soon(): void {
    if (this.#turnDue || this.#stopped) return;
    this.#turnDue = true;
    queueMicrotask(() => {
      this.#turnDue = false;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#stopped) return;
    const nowMs = this.#deps.nowMs();
    for (const { kind, stream } of this.#quota.takeNotes())
      if (kind === 'revoked') this.#streams.get(stream)?.preempted();
      else if (this.#streams.has(stream)) this.#gate.queue(stream);
    for (const token of this.#tokens.takeStaged())
      for (const stream of this.#streams.values()) stream.tokenStaged(token);
    this.#pump(nowMs);
    // Asked at each use: the lease may have ended since the turn began.
    const granted = this.#gate.takeGranted(this.#deps.nowMs());
    for (const { stream, token } of granted) this.#streams.get(stream)?.admitted(token);
    this.#arm(nowMs);
  }

  /** Lets waiting dials go: a token good enough first, then the gate. */
  #pump(nowMs: number): void {
    if (!this.#gate.waiting || !this.lease.mayDial(nowMs)) return;
    const { minRemainingAtDialMs, minRemainingAtRedialMs } = this.plan.tokenPolicy;
    const connected = [...this.#streams.values()].some((stream) => stream.tokenInUse !== undefined);
    const token = this.#tokens.serve(connected ? minRemainingAtRedialMs : minRemainingAtDialMs, nowMs);
    if (token !== undefined && !this.#tokens.checking) this.#gate.pump(token, nowMs);
  }

  #arm(nowMs: number): void {
    this.#timer.set(
      earliest(
        this.lease.isOpen(nowMs) ? this.#tokens.deadline() : undefined,
        this.lease.mayDial(nowMs) ? this.#gate.deadline() : undefined,
      ),
    );
  }
}
