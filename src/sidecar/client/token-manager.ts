import type { Agent } from 'undici';
import { PRIVATE_ADDRESS } from '../../config/private-addresses.ts';
import type { ClientPlan } from '../../config/plan.ts';
import { salted } from '../../core/dialing/backoff.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { TokenRef } from '../../core/session/session-model.ts';
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
import { credentialsVersion } from '../../upstream/credentials.ts';
import { call, createAgent } from '../../upstream/http-client.ts';
import type { FetchedToken } from '../../upstream/oauth.ts';
import type { Deps } from '../runtime/environment.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';
import { NOT_OPEN_RETRY_MS, type SharedPermits } from './shared-permits.ts';
import { TokenSource, tokenFailureOf, type SharedToken } from './token-source.ts';

/** How often credential files are looked at for a change. */
const SECRETS_EVERY_MS = 5000;
/** The same toward a loopback platform: tests do not wait for seconds. */
const SECRETS_EVERY_LOOPBACK_MS = 500;
/** Skew above this is a fault worth a record (S4: NTP drift above 60 s). */
const SKEW_FAULT_MS = 60_000;
/** A larger answer of a REST path is not read. */
const REST_LIMIT_BYTES = 1024 * 1024;

/**
 * Keeps one client's access token fresh: drives the token machine, asks the token endpoint, checks a token that is
 * suspected, watches the credential files. Only a leader whose lease is open asks: a refresh token is good once.
 */
export class TokenManager {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #lease: LeaseGrant;
  readonly #permits: SharedPermits;
  readonly #wake: () => void;
  readonly #source: TokenSource;
  readonly #restAgent: Agent;
  /** Secret texts by token id. */
  readonly #texts = new Map<string, string>();
  #state: TokenState = noToken;
  #staged: TokenRef[] = [];
  #serial = 0;
  #checking = false;
  #secretsVersion = '';
  #secretsTimer: NodeJS.Timeout | undefined;
  #warnedOddity = false;
  #stopped = false;

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
    this.#source = new TokenSource(plan, deps, lease.epoch);
    this.#restAgent = createAgent(plan);
  }

  /** Takes over the token that proved this replica's credentials, else the last leader's, if it left one. */
  async start(proven: SharedToken | undefined): Promise<void> {
    const shared = proven ?? (await this.#source.shared());
    if (this.#stopped) return;
    if (shared !== undefined && shared.remainingMs > 0) this.#adopt(shared);
    if (proven !== undefined) void this.#source.leave(proven, this.#lease);
    const everyMs = this.#plan.loopback ? SECRETS_EVERY_LOOPBACK_MS : SECRETS_EVERY_MS;
    this.#secretsTimer = setInterval(() => {
      this.#checkSecrets();
    }, everyMs);
    this.#checkSecrets();
  }

  stop(): void {
    this.#stopped = true;
    this.#deps.metrics.tokenExpiry.set({ client: this.#plan.name }, 0);
    clearInterval(this.#secretsTimer);
    this.#source.close();
    void this.#restAgent.destroy();
  }

  /** Returns how long the token endpoint has refused our credentials, ms; undefined: it does not. */
  get refusedForMs(): number | undefined {
    const { refusedSinceMs } = this.#state;
    return refusedSinceMs === undefined ? undefined : this.#deps.nowMs() - refusedSinceMs;
  }

  /** True while a token is being checked: nothing is dialed with it until the platform has answered. */
  get checking(): boolean {
    return this.#checking;
  }

  /** Returns the tokens that were fetched since the last call, for the streams to stage. */
  takeStaged(): readonly TokenRef[] {
    return this.#staged.length === 0 ? this.#staged : this.#staged.splice(0);
  }

  /** Stores again what the store may not have: it was away, or lost it. */
  share(): void {
    this.#source.share();
  }

  /** Lets the machine look at the clock, within a turn of the client. */
  tick(): void {
    this.#step({ kind: 'tick' });
  }

  deadline(): number | undefined {
    return tokenDeadline(this.#plan.tokenPolicy, this.#state);
  }

  /**
   * Returns a token that lasts at least so long; undefined: there is none, and one is requested if the lease is open.
   * To be called within a turn of the client.
   */
  serve(minRemainingMs: number, nowMs: number): TokenRef | undefined {
    const token = currentToken(this.#state);
    if (token !== undefined && tokenServes(token, minRemainingMs, nowMs))
      return { id: token.id, expiresAtMs: token.expiresAtMs };
    if (this.#lease.isOpen(nowMs)) this.#step({ kind: 'need', minRemainingMs });
    return undefined;
  }

  rejected(id: string): void {
    this.#dispatch({ kind: 'rejected', id });
  }

  /** Asks a REST path with a token that may have expired; a refusal counts as a rejection. */
  suspect(id: string): void {
    if (this.#checking) return;
    this.#checking = true;
    this.#validate(id)
      .then(
        (ok) => {
          if (!ok) this.#dispatch({ kind: 'rejected', id });
        },
        () => undefined,
      ) // no answer proves nothing about the token
      .finally(() => {
        this.#checking = false;
        this.#wake();
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'token check failed');
      });
  }

  /** Notes that every stream uses the staged token now. */
  adopted(id: string): void {
    if (this.#state.staging?.id === id) this.#dispatch({ kind: 'adopted', id });
  }

  /** Returns the secret text of a token; undefined when it was retired. */
  text(id: string): string | undefined {
    return this.#texts.get(id);
  }

  /** Asks (GET) a REST path of the platform with the current token; undefined unless the answer was 200. */
  async rest(path: string): Promise<string | undefined> {
    const token = currentToken(this.#state);
    const text = token === undefined ? undefined : this.#texts.get(token.id);
    if (text === undefined) return undefined;
    const answer = await call(this.#restAgent, this.#plan.hosts.api + path, {
      method: 'GET',
      headers: { authorization: `Bearer ${text}` },
      limitBytes: REST_LIMIT_BYTES,
    });
    return answer.status === 200 ? answer.body : undefined;
  }

  status(nowMs: number): Readonly<Record<'token' | 'credentials', unknown>> {
    const token = currentToken(this.#state);
    this.#showExpiry(token === undefined ? 0 : Math.max(0, token.expiresAtMs - nowMs));
    return {
      token: {
        state: token === undefined ? 'absent' : this.#state.staging === undefined ? 'active' : 'rotating',
        remainingMs: token === undefined ? undefined : Math.round(token.expiresAtMs - nowMs),
        failure: this.#state.failure,
      },
      credentials: this.#source.problem === '' ? 'ok' : this.#source.problem,
    };
  }

  // --- the driver ---

  /** Feeds the machine from outside a turn of the client: the client takes one. */
  #dispatch(input: TokenInput): void {
    this.#step(input);
    this.#wake();
  }

  #step(input: TokenInput): void {
    const step = stepToken(this.#plan.tokenPolicy, this.#state, input, this.#deps.nowMs());
    this.#state = step.state;
    for (const effect of step.effects) this.#perform(effect);
  }

  #perform(effect: TokenEffect): void {
    const { audit, metrics } = this.#deps;
    const { name } = this.#plan;
    switch (effect.kind) {
      case 'fetch':
        return this.#fetch(effect.gen);
      case 'validate':
        return this.#check(effect.gen, effect.id);
      case 'staged':
        return this.#onStaged(effect.id);
      case 'retired':
        this.#texts.delete(effect.id);
        return;
      case 'rotated':
        metrics.rotations.inc({ client: name });
        return audit.write('token.rotated', name, { tokenId: effect.id });
      case 'refresh-failed':
        return this.#onRefreshFailed(effect.failure, Math.round(effect.retryInMs));
      case 'mismatch':
        return audit.write('token.mismatch', name, { tokenId: effect.id });
    }
  }

  #onRefreshFailed(reason: string, retryInMs: number): void {
    const client = this.#plan.name;
    this.#deps.metrics.tokenFailures.inc({ client, reason });
    this.#deps.audit.write('token.refresh_failed', client, { reason, retryInMs });
    this.#deps.log.warn({ client, reason, retryInMs }, 'token request failed');
  }

  #adopt({ accessToken, remainingMs, lifeMs }: SharedToken): void {
    const id = `t${String(this.#lease.epoch)}-0`;
    const expiresAtMs = this.#deps.nowMs() + remainingMs;
    this.#texts.set(id, accessToken);
    this.#state = { ...this.#state, active: { id, askedAtMs: expiresAtMs - lifeMs, expiresAtMs } };
  }

  #onStaged(id: string): void {
    const token = currentToken(this.#state);
    if (token?.id !== id) return;
    this.#showExpiry(token.expiresAtMs - this.#deps.nowMs());
    this.#staged.push({ id, expiresAtMs: token.expiresAtMs });
  }

  #fetch(gen: number): void {
    const askedAtMs = this.#deps.nowMs();
    const old = this.#state.active === undefined ? undefined : this.#texts.get(this.#state.active.id);
    this.#obtain(old)
      .then((fetched) => {
        this.#serial += 1;
        const id = `t${String(this.#lease.epoch)}-${String(this.#serial)}`;
        this.#texts.set(id, fetched.accessToken);
        this.#noteAnswer(fetched);
        this.#dispatch({ kind: 'fetched', gen, token: { id, askedAtMs, expiresAtMs: askedAtMs + fetched.lifeMs } });
      })
      .catch((error: unknown) => {
        this.#failed(gen, error);
      });
  }

  /** Asks the permit that all replicas share, then the token endpoint. @throws HoldfastError HF_TOKEN_* */
  async #obtain(oldToken: string | undefined): Promise<FetchedToken> {
    const permit = await this.#permits.token();
    if (permit.kind === 'wait')
      throw new HoldfastError('HF_TOKEN_THROTTLED', 'the replicas together have asked for enough tokens', {
        details: { retryAfterMs: permit.ms },
      });
    if (permit.kind === 'fenced') this.#lease.doubt();
    // A refresh token is good once: a replica that may not act does not spend it.
    if (permit.kind === 'fenced' || this.#stopped || !this.#lease.isOpen(this.#deps.nowMs()))
      throw new HoldfastError('HF_TOKEN_THROTTLED', 'only the leader asks for tokens', {
        details: { retryAfterMs: NOT_OPEN_RETRY_MS },
      });
    return this.#source.obtain(oldToken);
  }

  #noteAnswer(fetched: FetchedToken): void {
    if (fetched.oddity !== undefined && !this.#warnedOddity) {
      this.#warnedOddity = true;
      this.#deps.log.warn(
        { client: this.#plan.name, oddity: fetched.oddity, lifeMs: fetched.lifeMs },
        'odd token answer',
      );
    }
    if (fetched.skewMs === undefined) return;
    this.#deps.metrics.clockSkew.set({ client: this.#plan.name }, fetched.skewMs / 1000);
    if (Math.abs(fetched.skewMs) > SKEW_FAULT_MS)
      this.#deps.audit.write('clock.skew', this.#plan.name, { skewMs: Math.round(fetched.skewMs) });
  }

  #failed(gen: number, error: unknown): void {
    if (this.#stopped) return;
    const failure = tokenFailureOf(error);
    const after = error instanceof HoldfastError ? error.details['retryAfterMs'] : undefined;
    // An operator must change something, and the reason alone does not name it; logged once, beside each failure's own
    // record.
    if (failure === 'private_address' && this.#state.failure !== failure)
      this.#deps.log.warn({ err: error, client: this.#plan.name, code: PRIVATE_ADDRESS }, 'the token is not asked for');
    else this.#deps.log.debug({ err: error, client: this.#plan.name }, 'token request failed');
    const unit = salted(this.#deps.random(), this.#deps.identity.salt);
    this.#dispatch({
      kind: 'failed',
      gen,
      failure,
      unit,
      ...(typeof after === 'number' ? { retryAfterMs: after } : {}),
    });
  }

  #check(gen: number, id: string): void {
    this.#validate(id).then(
      (ok) => {
        this.#dispatch({ kind: 'validated', gen, ok });
      },
      (error: unknown) => {
        this.#failed(gen, error);
      },
    );
  }

  async #validate(id: string): Promise<boolean> {
    const token = this.#texts.get(id);
    if (token === undefined) return false;
    const answer = await call(this.#restAgent, this.#plan.hosts.api + this.#plan.validatePath, {
      method: 'GET',
      headers: { authorization: `Bearer ${token}` },
    });
    if (answer.status >= 500)
      throw new HoldfastError('HF_REST_FAILED', `the validation path answered ${String(answer.status)}`);
    return answer.status !== 401 && answer.status !== 403;
  }

  #checkSecrets(): void {
    credentialsVersion(this.#plan)
      .then((version) => {
        const changed = this.#secretsVersion !== '' && version !== this.#secretsVersion;
        this.#secretsVersion = version;
        if (changed && !this.#stopped) this.#dispatch({ kind: 'secret-changed' });
      })
      .catch((error: unknown) => {
        this.#deps.log.debug({ err: error }, 'credential files cannot be looked at');
      });
  }

  #showExpiry(remainingMs: number): void {
    this.#deps.metrics.tokenExpiry.set({ client: this.#plan.name }, remainingMs / 1000);
  }
}
