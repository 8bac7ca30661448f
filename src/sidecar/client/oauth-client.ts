import type { Agent } from 'undici';
import { PRIVATE_ADDRESS } from '../../config/private-addresses.ts';
import type { ClientPlan, StreamPlan } from '../../config/plan.ts';
import {
  grantDials,
  queueDial,
  cancelDial,
  pauseDials,
  emptyDialQueue,
  reportDial,
  tripDials,
  type DialQueue,
} from '../../core/dialing/dial-queue.ts';
import { breakerShown } from '../../core/dialing/circuit-breaker.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { TokenRef } from '../../core/session/session-model.ts';
import { salted } from '../../core/dialing/backoff.ts';
import {
  currentToken,
  noToken,
  stepToken,
  tokenDeadline,
  tokenServes,
  type TokenEffect,
  type TokenInput,
  type TokenState,
} from '../../core/token.ts';
import { earliest } from '../../core/units.ts';
import { credentialsVersion } from '../../upstream/credentials.ts';
import { call, createAgent } from '../../upstream/http-client.ts';
import type { FetchedToken } from '../../upstream/oauth.ts';
import type { Deps } from '../runtime/environment.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';
import type { ClientStream, ClientPort } from './client-port.ts';
import { maintenanceCooldownMs } from './maintenance-cooldown.ts';
import { SharedPermits } from './shared-permits.ts';
import { StreamQuota } from './stream-quota.ts';
import { DeadlineTimer } from '../runtime/deadline-timer.ts';
import { TokenSource, tokenFailureOf, type SharedToken } from './token-source.ts';

/** Refused by the store or between two leases: asked again after this. */
const NOT_OPEN_RETRY_MS = 500;
/** How often credential files are looked at for a change. */
const SECRETS_EVERY_MS = 5000;
const SECRETS_EVERY_LOOPBACK_MS = 500;
/** Skew above this is a fault worth a record (S4: NTP drift above 60 s). */
const SKEW_FAULT_MS = 60_000;

/** One OAuth client: its token, its gate, its breaker. Drives two pure machines and performs what they decide. */
export class OauthClient implements ClientPort {
  readonly plan: ClientPlan;
  readonly #deps: Deps;
  readonly #streams = new Map<string, ClientStream>();
  readonly #tokens = new Map<string, string>();
  readonly #restAgent: Agent;
  readonly #timer: DeadlineTimer;
  readonly #source: TokenSource;
  readonly #permits: SharedPermits;
  readonly #quota: StreamQuota;
  readonly lease: LeaseGrant;
  #token: TokenState = noToken;
  #dials: DialQueue = emptyDialQueue;
  #serial = 0;
  /**
   * When gate, breaker and hold said to ask again; never computed anew at another instant, where the answer could be
   * "now" and nobody would wake us.
   */
  #lookAtMs: number | undefined;
  #suspect = false;
  #secretsVersion = '';
  #secretsTimer: NodeJS.Timeout | undefined;
  #warnedOddity = false;
  #stopped = false;

  constructor(plan: ClientPlan, deps: Deps, lease: LeaseGrant) {
    this.plan = plan;
    this.#deps = deps;
    this.lease = lease;
    this.#source = new TokenSource(plan, deps, lease.epoch);
    this.#permits = new SharedPermits(plan, deps, lease.epoch);
    this.#quota = new StreamQuota(plan, deps, {
      granted: (stream) => {
        this.#enqueue(stream);
      },
      revoked: (stream) => {
        this.#streams.get(stream)?.preempted();
      },
    });
    this.#restAgent = createAgent(plan);
    this.#timer = new DeadlineTimer(deps.schedule, () => {
      this.#tick();
    });
  }

  /**
   * Takes over the token that proved this replica's credentials, else the last leader's, if it left one, and begins.
   */
  async start(proven: SharedToken | undefined): Promise<void> {
    const shared = proven ?? (await this.#source.shared());
    if (this.#stopped) return;
    if (shared !== undefined && shared.remainingMs > 0) this.#adopt(shared);
    if (proven !== undefined) void this.#source.leave(proven, this.lease);
    this.#secretsTimer = setInterval(
      () => {
        this.#checkSecrets();
      },
      this.plan.loopback ? SECRETS_EVERY_LOOPBACK_MS : SECRETS_EVERY_MS,
    );
    this.#checkSecrets();
  }

  /** Nobody of this client may dial now, wherever it is. */
  get restrained(): boolean {
    const { breaker, pausedUntilMs } = this.#dials;
    return (
      breakerShown(breaker, this.#deps.nowMs()) !== 'closed' ||
      (pausedUntilMs !== undefined && pausedUntilMs > this.#deps.nowMs())
    );
  }

  /** How long the token endpoint has refused our credentials; undefined: it does not. */
  get refusedForMs(): number | undefined {
    const { refusedSinceMs } = this.#token;
    return refusedSinceMs === undefined ? undefined : this.#deps.nowMs() - refusedSinceMs;
  }

  /** The lease is open again: what waited may go on, and what could not be stored is stored. */
  resume(): void {
    this.#source.share();
    this.#tick();
  }

  /** @param keep the streams go on under another leader. */
  stop(keep: boolean): void {
    this.#stopped = true;
    this.#quota.stop(keep);
    this.#deps.metrics.breakerOpen.set({ client: this.plan.name }, 0);
    this.#deps.metrics.tokenExpiry.set({ client: this.plan.name }, 0);
    this.#timer.clear();
    clearInterval(this.#secretsTimer);
    this.#source.close();
    void this.#restAgent.destroy();
  }

  add(stream: ClientStream): void {
    this.#streams.set(stream.plan.name, stream);
  }

  /** A place in the tenant's pool first, then the queue for the gate. */
  ask(stream: StreamPlan): void {
    this.#quota.want(stream.name);
  }

  #enqueue(name: string): void {
    const stream = this.#streams.get(name)?.plan;
    if (stream === undefined || this.#stopped) return;
    this.#dials = queueDial(this.#dials, {
      stream: stream.name,
      priority: stream.priority,
      askedAtMs: this.#deps.nowMs(),
    });
    this.#pump();
  }

  /** It will not be held in this term: its place is for others. */
  leave(stream: StreamPlan): void {
    this.#quota.leave(stream.name);
  }

  cancel(stream: StreamPlan): void {
    this.#quota.cancel(stream.name);
    this.#dials = cancelDial(this.#dials, stream.name);
  }

  report(outcome: 'ok' | 'failed' | 'neutral'): void {
    this.#setAdmission(reportDial(this.plan.dialing, this.#dials, outcome, this.#deps.nowMs()));
    this.#pump();
  }

  hold(forMs: number): void {
    this.#permits.hold(forMs);
    this.#dials = pauseDials(this.#dials, this.#deps.nowMs() + forMs, 'rate_limited');
    this.#pump();
  }

  tripBreaker(): void {
    this.#setAdmission(tripDials(this.plan.dialing, this.#dials, this.#deps.nowMs()));
  }

  tokenRejected(id: string): void {
    this.#dispatch({ kind: 'rejected', id });
  }

  /** Something smells of an expired token: ask a REST path with it; a refusal counts as a rejection. */
  tokenSuspect(id: string): void {
    if (this.#suspect) return;
    this.#suspect = true;
    this.#validate(id)
      .then(
        (ok) => {
          if (!ok) this.#dispatch({ kind: 'rejected', id });
        },
        () => undefined,
      ) // no answer says nothing about the token
      .finally(() => {
        this.#suspect = false;
        this.#pump();
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'token check failed');
      });
  }

  tokenAdopted(id: string): void {
    const others = [...this.#streams.values()].some(
      (stream) => stream.tokenInUse !== undefined && stream.tokenInUse !== id,
    );
    if (others || this.#token.staging?.id !== id) return;
    this.#dispatch({ kind: 'adopted', id });
  }

  tokenText(id: string): string | undefined {
    return this.#tokens.get(id);
  }

  /** GET of a REST path of the platform with the current token; undefined when it did not answer 200. */
  async rest(path: string): Promise<string | undefined> {
    const token = currentToken(this.#token);
    const text = token === undefined ? undefined : this.#tokens.get(token.id);
    if (text === undefined) return undefined;
    const answer = await call(this.#restAgent, this.plan.hosts.api + path, {
      method: 'GET',
      headers: { authorization: `Bearer ${text}` },
      limitBytes: 1024 * 1024,
    });
    return answer.status === 200 ? answer.body : undefined;
  }

  status(): Record<string, unknown> {
    const now = this.#deps.nowMs();
    const token = currentToken(this.#token);
    const { breaker, pausedUntilMs, pauseCause, queue } = this.#dials;
    this.#deps.metrics.tokenExpiry.set(
      { client: this.plan.name },
      token === undefined ? 0 : Math.max(0, token.expiresAtMs - now) / 1000,
    );
    return {
      name: this.plan.name,
      platform: this.plan.platform,
      region: this.plan.region,
      epoch: this.lease.epoch,
      token: {
        state: token === undefined ? 'absent' : this.#token.staging === undefined ? 'active' : 'rotating',
        remainingMs: token === undefined ? undefined : Math.round(token.expiresAtMs - now),
        failure: this.#token.failure,
      },
      credentials: this.#source.problem === '' ? 'ok' : this.#source.problem,
      breaker: breakerShown(breaker, now),
      breakerOpenForMs: breaker.kind === 'open' ? Math.max(0, Math.round(breaker.untilMs - now)) : undefined,
      holdMs: pausedUntilMs === undefined ? undefined : Math.max(0, Math.round(pausedUntilMs - now)),
      holdReason: pauseCause,
      waiting: queue.map((one) => one.stream),
      waitingForPool: this.#quota.waiting,
    };
  }

  #tick(): void {
    // Only the leader asks for tokens: a refresh token is good once.
    if (this.#stopped || !this.lease.isOpen(this.#deps.nowMs())) return this.#pump();
    this.#dispatch({ kind: 'tick' });
    this.#pump();
  }

  #arm(): void {
    const waiting = this.#dials.queue.length > 0 && this.lease.mayDial(this.#deps.nowMs());
    if (this.#stopped) return;
    this.#timer.set(
      earliest(
        this.lease.isOpen(this.#deps.nowMs()) ? tokenDeadline(this.plan.tokenPolicy, this.#token) : undefined,
        waiting ? this.#lookAtMs : undefined,
      ),
    );
  }

  /** Lets waiting dials go: a token good enough first, then the calendar, then gate and breaker. */
  #pump(): void {
    if (this.#stopped || this.#dials.queue.length === 0 || !this.lease.mayDial(this.#deps.nowMs())) return this.#arm();
    const now = this.#deps.nowMs();
    const { minRemainingAtDialMs, minRemainingAtRedialMs } = this.plan.tokenPolicy;
    const floor = [...this.#streams.values()].some((stream) => stream.tokenInUse !== undefined)
      ? minRemainingAtRedialMs
      : minRemainingAtDialMs;
    const token = currentToken(this.#token);
    if (token === undefined || !tokenServes(token, floor, now)) {
      if (!this.lease.isOpen(this.#deps.nowMs())) return this.#arm();
      this.#dispatch({ kind: 'need', minRemainingMs: floor });
      return this.#arm();
    }
    if (this.#suspect) return;
    const cooldown = maintenanceCooldownMs(this.plan.maintenance, this.#deps.nowEpochMs());
    if (cooldown > 0) this.#dials = pauseDials(this.#dials, now + cooldown, 'cooldown');
    const admitted = grantDials(this.plan.dialing, this.#dials, now);
    this.#setAdmission(admitted.state);
    this.#lookAtMs = admitted.lookAgainAtMs;
    for (const name of admitted.granted) this.#permit(name, { id: token.id, expiresAtMs: token.expiresAtMs });
    this.#arm();
  }

  /** Our own gate let it pass; now all replicas' gate is asked, which a new leader inherits. */
  #permit(name: string, token: TokenRef): void {
    this.#permits
      .dial()
      .then((permit) => {
        const stream = this.#streams.get(name);
        if (this.#stopped || stream === undefined) return;
        if (permit.kind === 'granted' && this.lease.mayDial(this.#deps.nowMs())) return stream.admitted(token);
        const now = this.#deps.nowMs();
        this.#setAdmission(reportDial(this.plan.dialing, this.#dials, 'neutral', now));
        if (permit.kind === 'fenced') {
          this.lease.doubt();
          this.#dials = pauseDials(this.#dials, now + NOT_OPEN_RETRY_MS, 'shared_gate');
        }
        if (permit.kind === 'wait' && permit.why === 'breaker')
          this.#setAdmission({ ...this.#dials, breaker: { kind: 'open', untilMs: now + permit.ms } });
        else if (permit.kind === 'wait')
          this.#dials = pauseDials(
            this.#dials,
            now + permit.ms,
            permit.why === 'hold' ? 'rate_limited' : 'shared_gate',
          );
        this.#enqueue(name);
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'the permit was lost');
      });
  }

  #setAdmission(next: DialQueue): void {
    const before = this.#dials.breaker.kind;
    this.#dials = next;
    if (before === next.breaker.kind) return;
    this.#deps.metrics.breakerOpen.set({ client: this.plan.name }, next.breaker.kind === 'closed' ? 0 : 1);
    if (next.breaker.kind === 'open') this.#permits.breaker(Math.max(0, next.breaker.untilMs - this.#deps.nowMs()));
    if (next.breaker.kind === 'closed') this.#permits.breaker(0);
    if (next.breaker.kind === 'open')
      this.#deps.audit.write('breaker.opened', this.plan.name, { forMs: this.plan.dialing.breaker.openMs });
    if (next.breaker.kind === 'closed') this.#deps.audit.write('breaker.closed', this.plan.name);
  }

  #dispatch(input: TokenInput): void {
    const step = stepToken(this.plan.tokenPolicy, this.#token, input, this.#deps.nowMs());
    this.#token = step.state;
    for (const effect of step.effects) this.#perform(effect);
    this.#arm();
  }

  #perform(effect: TokenEffect): void {
    const { audit, metrics, log } = this.#deps;
    switch (effect.kind) {
      case 'fetch':
        return this.#fetch(effect.gen);
      case 'validate':
        this.#validate(effect.id).then(
          (ok) => {
            this.#dispatch({ kind: 'validated', gen: effect.gen, ok });
          },
          (error: unknown) => {
            this.#failed(effect.gen, error);
          },
        );
        return;
      case 'staged':
        this.#onStaged(effect.id);
        return;
      case 'retired':
        this.#tokens.delete(effect.id);
        return;
      case 'rotated':
        metrics.rotations.inc({ client: this.plan.name });
        audit.write('token.rotated', this.plan.name, { tokenId: effect.id });
        return;
      case 'refresh-failed':
        metrics.tokenFailures.inc({ client: this.plan.name, reason: effect.failure });
        audit.write('token.refresh_failed', this.plan.name, {
          reason: effect.failure,
          retryInMs: Math.round(effect.retryInMs),
        });
        log.warn(
          { client: this.plan.name, reason: effect.failure, retryInMs: Math.round(effect.retryInMs) },
          'token request failed',
        );
        return;
      case 'mismatch':
        audit.write('token.mismatch', this.plan.name, { tokenId: effect.id });
    }
  }

  #adopt({ accessToken, remainingMs, lifeMs }: SharedToken): void {
    const id = `t${String(this.lease.epoch)}-0`;
    const expiresAtMs = this.#deps.nowMs() + remainingMs;
    this.#tokens.set(id, accessToken);
    this.#token = { ...this.#token, active: { id, askedAtMs: expiresAtMs - lifeMs, expiresAtMs } };
  }

  #onStaged(id: string): void {
    const token = currentToken(this.#token);
    if (token?.id !== id) return;
    this.#deps.metrics.tokenExpiry.set({ client: this.plan.name }, (token.expiresAtMs - this.#deps.nowMs()) / 1000);
    for (const stream of this.#streams.values()) stream.tokenStaged({ id, expiresAtMs: token.expiresAtMs });
    this.#pump();
  }

  #fetch(gen: number): void {
    const askedAtMs = this.#deps.nowMs();
    const old = this.#token.active === undefined ? undefined : this.#tokens.get(this.#token.active.id);
    this.#permits
      .token()
      .then((permit) => {
        if (permit.kind === 'wait')
          throw new HoldfastError('HF_TOKEN_THROTTLED', 'the replicas together have asked for enough tokens', {
            details: { retryAfterMs: permit.ms },
          });
        if (permit.kind === 'fenced') this.lease.doubt();
        // A refresh token is good once: whoever may not act does not spend it.
        if (permit.kind === 'fenced' || this.#stopped || !this.lease.isOpen(this.#deps.nowMs()))
          throw new HoldfastError('HF_TOKEN_THROTTLED', 'only the leader asks for tokens', {
            details: { retryAfterMs: NOT_OPEN_RETRY_MS },
          });
        return this.#source.obtain(old);
      })
      .then((fetched) => {
        this.#serial += 1;
        const id = `t${String(this.lease.epoch)}-${String(this.#serial)}`;
        this.#tokens.set(id, fetched.accessToken);
        this.#noteAnswer(fetched);
        this.#dispatch({ kind: 'fetched', gen, token: { id, askedAtMs, expiresAtMs: askedAtMs + fetched.lifeMs } });
      })
      .catch((error: unknown) => {
        this.#failed(gen, error);
      });
  }

  #noteAnswer(fetched: FetchedToken): void {
    if (fetched.oddity !== undefined && !this.#warnedOddity) {
      this.#warnedOddity = true;
      this.#deps.log.warn(
        { client: this.plan.name, oddity: fetched.oddity, lifeMs: fetched.lifeMs },
        'odd token answer',
      );
    }
    if (fetched.skewMs === undefined) return;
    this.#deps.metrics.clockSkew.set({ client: this.plan.name }, fetched.skewMs / 1000);
    if (Math.abs(fetched.skewMs) > SKEW_FAULT_MS)
      this.#deps.audit.write('clock.skew', this.plan.name, { skewMs: Math.round(fetched.skewMs) });
  }

  #failed(gen: number, error: unknown): void {
    if (this.#stopped) return;
    const failure = tokenFailureOf(error);
    const after = error instanceof HoldfastError ? error.details['retryAfterMs'] : undefined;
    // A person must change something, and the reason alone does not say what; once, each failure is told beside it.
    if (failure === 'private_address' && this.#token.failure !== failure)
      this.#deps.log.warn({ err: error, client: this.plan.name, code: PRIVATE_ADDRESS }, 'the token is not asked for');
    else this.#deps.log.debug({ err: error, client: this.plan.name }, 'token request failed');
    const unit = salted(this.#deps.random(), this.#deps.identity.salt);
    this.#dispatch({
      kind: 'failed',
      gen,
      failure,
      unit,
      ...(typeof after === 'number' ? { retryAfterMs: after } : {}),
    });
  }

  async #validate(id: string): Promise<boolean> {
    const token = this.#tokens.get(id);
    if (token === undefined) return false;
    const answer = await call(this.#restAgent, this.plan.hosts.api + this.plan.validatePath, {
      method: 'GET',
      headers: { authorization: `Bearer ${token}` },
    });
    if (answer.status >= 500)
      throw new HoldfastError('HF_REST_FAILED', `the validation path answered ${String(answer.status)}`);
    return answer.status !== 401 && answer.status !== 403;
  }

  #checkSecrets(): void {
    credentialsVersion(this.plan)
      .then((version) => {
        const changed = this.#secretsVersion !== '' && version !== this.#secretsVersion;
        this.#secretsVersion = version;
        if (changed && !this.#stopped) this.#dispatch({ kind: 'secret-changed' });
      })
      .catch((error: unknown) => {
        this.#deps.log.debug({ err: error }, 'credential files cannot be looked at');
      });
  }
}
