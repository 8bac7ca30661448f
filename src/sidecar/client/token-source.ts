import { createHash } from 'node:crypto';
import type { Agent } from 'undici';
import type { ClientPlan } from '../../config/plan.ts';
import { seal, unseal } from '../../coordination/sealed-value.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { TokenFailure } from '../../core/token.ts';
import { readCredentials, type Credentials } from '../../upstream/credentials.ts';
import { createAgent } from '../../upstream/http-client.ts';
import { fetchToken, refreshByRest, type FetchedToken } from '../../upstream/oauth.ts';
import type { Deps } from '../runtime/environment.ts';
import type { LeaseGrant } from '../runtime/lease-grant.ts';

/** A token that another leader fetched; its life is by our clock. */
export interface SharedToken {
  readonly accessToken: string;
  readonly remainingMs: number;
  readonly lifeMs: number;
}

/**
 * The files' content when a token was requested, and the credentials of that request: a rotated refresh token replaces
 * the file's.
 */
interface Used {
  readonly file: Credentials;
  readonly credentials: Credentials;
}

/**
 * Gets one client's tokens: from the credential files and the token endpoint, or from the store, where the leader
 * leaves its tokens sealed so that the next leader requests none.
 */
export class TokenSource {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #epoch: number;
  readonly #agent: Agent;
  /** The newest refresh token and the file it descends from; ahead of the store while the store does not answer. */
  #newestRefresh: { readonly fileHash: string; readonly token: string } | undefined;
  readonly #newest = new Map<string, { readonly value: string; readonly key: string }>();
  /** Fault of the credential files; empty: none. */
  problem = '';

  constructor(plan: ClientPlan, deps: Deps, epoch: number) {
    this.#plan = plan;
    this.#deps = deps;
    this.#epoch = epoch;
    this.#agent = createAgent(plan);
  }

  /** Requests a token. @throws HoldfastError HF_TOKEN_* */
  async obtain(oldToken: string | undefined): Promise<FetchedToken> {
    const { file, credentials } = await this.#credentials();
    const used = { file, credentials };
    const endpoint = this.#plan.streams[0]?.profile.inStream?.endpoint;
    if (endpoint !== undefined && oldToken !== undefined) {
      try {
        return await this.#keep(
          await refreshByRest(
            this.#agent,
            this.#plan,
            { path: endpoint, oldToken, credentials },
            this.#deps.nowEpochMs,
          ),
          used,
        );
      } catch (error) {
        this.#deps.log.warn(
          { err: error, client: this.#plan.name },
          'the REST token refresh failed; asking the token endpoint',
        );
      }
    }
    return this.#keep(await fetchToken(this.#agent, this.#plan, credentials, this.#deps.nowEpochMs), used);
  }

  /**
   * Returns the token that the last leader left; undefined when there is none or it cannot be read. Its end is by its
   * wall clock: a wrong one costs a refused dial.
   */
  async shared(): Promise<SharedToken | undefined> {
    try {
      const read = await readCredentials(this.#plan);
      const sealed =
        'problems' in read ? undefined : await this.#deps.store.loadSealed(this.#plan.lease, 'accessToken');
      const opened =
        sealed === undefined || 'problems' in read
          ? undefined
          : unseal(sealed, sealKey(read.credentials), this.#plan.lease);
      if (opened === undefined) return undefined;
      const [accessToken, endsAtEpochMs, lifeMs] = JSON.parse(opened) as [string, number, number];
      const remainingMs = endsAtEpochMs - this.#deps.nowEpochMs();
      this.#addToken(accessToken, remainingMs);
      return { accessToken, remainingMs, lifeMs };
    } catch (error) {
      this.#deps.log.debug({ err: error, client: this.#plan.name }, 'no shared token');
      return undefined;
    }
  }

  /**
   * Asks for a token with this replica's own secret, before it leads. Never with a refresh token: that is good once,
   * and the leader's.
   * @returns undefined: there is no secret to ask with.
   * @throws HoldfastError HF_TOKEN_*
   */
  async prove(): Promise<SharedToken | undefined> {
    const { credentials } = await this.#read();
    if (credentials.clientSecret === undefined) return undefined;
    const { accessToken, lifeMs } = await fetchToken(
      this.#agent,
      this.#plan,
      { ...credentials, refreshToken: undefined },
      this.#deps.nowEpochMs,
    );
    this.#deps.secrets.add(accessToken);
    return { accessToken, remainingMs: lifeMs, lifeMs };
  }

  /**
   * Leaves a token that was asked for before this term to the next leader: at once if the lease is open once the files
   * are read, else with `share`.
   */
  async leave({ accessToken, remainingMs, lifeMs }: SharedToken, lease: LeaseGrant): Promise<void> {
    const endsAtEpochMs = this.#deps.nowEpochMs() + remainingMs;
    const read = await readCredentials(this.#plan);
    if ('problems' in read) return;
    const value = JSON.stringify([accessToken, endsAtEpochMs, lifeMs]);
    const key = sealKey(read.credentials);
    if (lease.isOpen(this.#deps.nowMs())) await this.#save('accessToken', value, key);
    else this.#newest.set('accessToken', { value, key });
  }

  close(): void {
    void this.#agent.destroy();
  }

  /** Keeps a token out of every output until an hour after its end. */
  #addToken(accessToken: string, remainingMs: number): void {
    const nowMs = this.#deps.nowMs();
    this.#deps.secrets.add(accessToken, { endsAtMs: nowMs + remainingMs, nowMs });
  }

  /** Returns what the files hold, and the credentials to ask with. */
  async #credentials(): Promise<Used> {
    const { credentials } = await this.#read();
    return { file: credentials, credentials: await this.#withStoredRefreshToken(credentials) };
  }

  async #read(): Promise<{ readonly credentials: Credentials }> {
    const read = await readCredentials(this.#plan);
    if ('problems' in read) {
      this.problem = read.problems.map((one) => `${one.file} ${one.rule}`).join('; ');
      throw new HoldfastError('HF_TOKEN_CREDENTIALS', `credentials cannot be used: ${this.problem}`);
    }
    this.problem = '';
    for (const value of [read.credentials.clientSecret, read.credentials.refreshToken])
      if (value !== undefined) this.#deps.secrets.add(value);
    return read;
  }

  /** Replaces the file's refresh token by the rotated one, until the file itself changes. */
  async #withStoredRefreshToken(credentials: Credentials): Promise<Credentials> {
    if (credentials.refreshToken === undefined) return credentials;
    const fileHash = hashOf(credentials.refreshToken);
    if (this.#newestRefresh?.fileHash === fileHash) return { ...credentials, refreshToken: this.#newestRefresh.token };
    // Not without the store: the file's token may have been used up, and using it again can revoke its successors.
    const sealed = await this.#deps.store.loadSealed(this.#plan.lease, 'refreshToken');
    // Sealed with the file's token: it opens as long as it descends from this file, whatever else was rotated.
    const opened = sealed === undefined ? undefined : unseal(sealed, credentials.refreshToken, this.#plan.lease);
    if (opened === undefined) return credentials;
    const [sealedFor, refreshToken] = JSON.parse(opened) as [string, string];
    if (sealedFor !== fileHash) return credentials;
    this.#deps.secrets.add(refreshToken);
    return { ...credentials, refreshToken };
  }

  /**
   * Stores a new refresh token before anything uses the answer that it came with: it is single use. Leaves the access
   * token for the next leader.
   */
  async #keep(fetched: FetchedToken, { file, credentials }: Used): Promise<FetchedToken> {
    this.#addToken(fetched.accessToken, fetched.lifeMs);
    const { refreshToken } = fetched;
    // It belongs to the files it was asked with, whatever lies there now.
    if (refreshToken !== undefined && refreshToken !== credentials.refreshToken && file.refreshToken !== undefined) {
      this.#deps.secrets.add(refreshToken);
      const fileHash = hashOf(file.refreshToken);
      this.#newestRefresh = { fileHash, token: refreshToken };
      await this.#save('refreshToken', JSON.stringify([fileHash, refreshToken]), file.refreshToken);
    }
    void this.#save(
      'accessToken',
      JSON.stringify([fetched.accessToken, this.#deps.nowEpochMs() + fetched.lifeMs, fetched.lifeMs]),
      sealKey(file),
    );
    return fetched;
  }

  /** Stores again what the store may not have: it was away, or lost it. */
  share(): void {
    for (const [name, { value, key }] of this.#newest) void this.#save(name, value, key);
  }

  /** Stores a value; keeps in memory, and uses from there, what cannot be stored until the lease is renewed. */
  async #save(name: string, value: string, key: string): Promise<void> {
    this.#newest.set(name, { value, key });
    try {
      const answer = await this.#deps.store.saveSealed(
        this.#plan.lease,
        this.#epoch,
        name,
        seal(value, key, this.#plan.lease),
      );
      if (answer === 'fenced')
        this.#deps.log.warn(
          { client: this.#plan.name, name },
          'a token was not stored: another epoch holds the client',
        );
    } catch (error) {
      this.#deps.log.warn({ err: error, client: this.#plan.name, name }, 'a token could not be stored');
    }
  }
}

function hashOf(value: string): string {
  return createHash('sha256').update(value).digest('base64url');
}

/**
 * Returns the secret that the seal's key is derived from: each replica knows it through its own files; it is never
 * stored.
 */
function sealKey(credentials: Credentials): string {
  return credentials.clientSecret ?? credentials.refreshToken ?? '';
}

const FAILURES: Readonly<Partial<Record<string, TokenFailure>>> = {
  HF_TOKEN_CREDENTIALS: 'invalid_credentials',
  HF_TOKEN_GRANT: 'invalid_grant',
  HF_TOKEN_FORBIDDEN: 'forbidden',
  HF_TOKEN_THROTTLED: 'throttled',
  HF_TOKEN_ANSWER: 'bad_answer',
  HF_PRIVATE_ADDRESS: 'private_address',
};

/** Returns why a request for a token failed. */
export function tokenFailureOf(error: unknown): TokenFailure {
  return error instanceof HoldfastError ? (FAILURES[error.code] ?? 'unreachable') : 'unreachable';
}
