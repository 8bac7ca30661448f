import { randomBytes } from 'node:crypto';
import type { History } from './history.ts';

/** Life of a simulated token, where no other one is asked for. */
const DEFAULT_LIFE_MS = 3_600_000;

interface IssuedToken {
  readonly id: string;
  readonly expiresAtMs: number;
  revoked: boolean;
}

/** The credentials the simulated platforms accept. Not secrets: the simulator only listens on loopback. */
export const SIM_CLIENT = {
  clientId: 'sim-client',
  clientSecret: 'sim-secret-4f9a1c77',
  refreshToken: 'sim-refresh-0-8d2e6b51',
};

/** Issues tokens and remembers their end. */
export class TokenOffice {
  readonly #history: History;
  readonly #tokens = new Map<string, IssuedToken>();
  readonly #refreshTokens = new Set([SIM_CLIENT.refreshToken]);
  #serial = 0;
  lifeMs = DEFAULT_LIFE_MS;
  /** True: a refresh token is good once, and every answer carries the next. */
  singleUseRefresh = false;

  constructor(history: History) {
    this.#history = history;
  }

  /** Checks a token request. @returns an OAuth error code, or undefined when it is in order. */
  refusal(fields: Readonly<Record<string, string>>, basic: string | undefined): string | undefined {
    const [id, secret] = basic === undefined ? [fields['client_id'], fields['client_secret']] : basic.split(':');
    if (fields['grant_type'] === 'client_credentials')
      return id === SIM_CLIENT.clientId && secret === SIM_CLIENT.clientSecret ? undefined : 'invalid_client';
    if (fields['grant_type'] !== 'refresh_token') return 'unsupported_grant_type';
    if (id !== SIM_CLIENT.clientId) return 'invalid_client';
    return this.#refreshTokens.has(fields['refresh_token'] ?? '') ? undefined : 'invalid_grant';
  }

  issue(fields: Readonly<Record<string, string>>): {
    readonly access_token: string;
    readonly token_type: string;
    readonly expires_in: number;
    readonly refresh_token?: string;
  } {
    this.#serial += 1;
    const token = `sim-access-${String(this.#serial)}-${randomBytes(12).toString('hex')}`;
    const id = `k${String(this.#serial)}`;
    this.#tokens.set(token, { id, expiresAtMs: Date.now() + this.lifeMs, revoked: false });
    this.#history.add('tok.ok', { tok: id, exp: Date.now() + this.lifeMs });
    const used = fields['refresh_token'];
    if (!this.singleUseRefresh || used === undefined)
      return { access_token: token, token_type: 'bearer', expires_in: this.lifeMs / 1000 };
    this.#refreshTokens.delete(used);
    const next = `sim-refresh-${String(this.#serial)}-${randomBytes(8).toString('hex')}`;
    this.#refreshTokens.add(next);
    return { access_token: token, token_type: 'bearer', expires_in: this.lifeMs / 1000, refresh_token: next };
  }

  /** Returns the id of a token that is good now; undefined otherwise. */
  valid(token: string | undefined): string | undefined {
    const issued = token === undefined ? undefined : this.#tokens.get(token);
    return issued !== undefined && !issued.revoked && Date.now() < issued.expiresAtMs ? issued.id : undefined;
  }

  /** Returns the id of a token that was issued here, whatever its state. */
  idOf(token: string | undefined): string | undefined {
    return token === undefined ? undefined : this.#tokens.get(token)?.id;
  }

  /** Returns whether the token was good once, and its time is over. */
  expired(token: string): boolean {
    const issued = this.#tokens.get(token);
    return issued !== undefined && !issued.revoked && Date.now() >= issued.expiresAtMs;
  }

  /** Returns when a token ends; undefined when it was never issued or is revoked. */
  endOf(token: string): number | undefined {
    const issued = this.#tokens.get(token);
    return issued === undefined || issued.revoked ? undefined : issued.expiresAtMs;
  }

  revokeAll(): void {
    for (const issued of this.#tokens.values()) issued.revoked = true;
    this.#history.add('tok.revoked', {});
  }

  forgetRefreshTokens(): void {
    this.#refreshTokens.clear();
  }
}
