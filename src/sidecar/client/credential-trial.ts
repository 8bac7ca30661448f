import type { ClientPlan } from '../../config/plan.ts';
import { credentialsRefused } from '../../core/token.ts';
import { credentialsVersion } from '../../upstream/credentials.ts';
import type { Deps } from '../runtime/environment.ts';
import { SharedPermits } from './shared-permits.ts';
import { TokenSource, tokenFailureOf, type SharedToken } from './token-source.ts';

/** Of a token's life so much must be left for it to be used again. */
const REUSE_SHARE = 0.5;

/**
 * Finds out whether this replica's own credentials work, when a leader whose credentials are refused offers it the
 * lease: one request for a token, through the gate that all replicas share. Standbys ask for tokens at no other time.
 */
export class CredentialTrial {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  #kept: { readonly token: SharedToken; readonly endsAtMs: number } | undefined;
  /** Version of the credential files that were refused; undefined: they were not, or have changed since. */
  #refusedVersion: string | undefined;

  constructor(plan: ClientPlan, deps: Deps) {
    this.#plan = plan;
    this.#deps = deps;
  }

  /** True when the token endpoint refused these credentials the last time that this replica asked. */
  get refused(): boolean {
    return this.#refusedVersion !== undefined;
  }

  /**
   * The token that the trial brought, while enough of its life is left; it stays for the term, should the early
   * connection not come about.
   */
  get proven(): SharedToken | undefined {
    return this.#good();
  }

  /** Returns that token, once. */
  take(): SharedToken | undefined {
    const token = this.#good();
    this.#kept = undefined;
    return token;
  }

  #good(): SharedToken | undefined {
    if (this.#kept === undefined) return undefined;
    const remainingMs = this.#kept.endsAtMs - this.#deps.nowMs();
    const { token } = this.#kept;
    return remainingMs > token.lifeMs * REUSE_SHARE ? { ...token, remainingMs } : undefined;
  }

  /**
   * Tries the credentials. @param epoch the one that was offered: the gate refuses those below the leader's. @returns
   * whether the credentials work.
   */
  async run(epoch: number): Promise<boolean> {
    if (this.#good() !== undefined) return true;
    const permit = await new SharedPermits(this.#plan, this.#deps, epoch).token();
    if (permit.kind !== 'granted') return this.#told(permit.kind === 'wait' ? 'throttled' : 'fenced', false);
    const source = new TokenSource(this.#plan, this.#deps, epoch);
    try {
      const askedAtMs = this.#deps.nowMs();
      const token = await source.prove();
      if (token === undefined) return this.#told('no_secret', false);
      this.#kept = { token, endsAtMs: askedAtMs + token.lifeMs };
      this.#refusedVersion = undefined;
      return this.#told('works', true);
    } catch (error) {
      const failure = tokenFailureOf(error);
      if (credentialsRefused(failure)) await this.noteRefusal();
      this.#deps.log.debug({ err: error, client: this.#plan.name }, 'the credentials were tried in vain');
      return this.#told(failure, false);
    } finally {
      source.close();
    }
  }

  /** Notes that the credentials as they are now were refused. */
  async noteRefusal(): Promise<void> {
    this.#kept = undefined;
    this.#refusedVersion = await credentialsVersion(this.#plan);
  }

  /** Forgets a refusal when the files have changed: other files are other credentials. To be called regularly. */
  async lookForChange(): Promise<void> {
    if (this.#refusedVersion === undefined) return;
    if ((await credentialsVersion(this.#plan)) !== this.#refusedVersion) this.#refusedVersion = undefined;
  }

  #told(result: string, works: boolean): boolean {
    this.#deps.audit.write('credentials.tried', this.#plan.name, { result });
    return works;
  }
}
