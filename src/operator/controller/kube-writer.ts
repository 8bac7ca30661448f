import { ApiError, type Kube } from '../api/kube.ts';

interface KubeWriterDeps {
  readonly kube: Pick<Kube, 'create' | 'patch'>;
  /** Returns whether this controller may write: it is the leading one. Asked before each write. */
  readonly mayWrite: () => boolean;
  readonly log: { warn(fields: unknown, text: string): void };
}

/**
 * Writes to the API server as long as this controller may. Nothing is retried inside: the next round sees the present
 * state.
 */
export class KubeWriter {
  readonly #deps: KubeWriterDeps;

  constructor(deps: KubeWriterDeps) {
    this.#deps = deps;
  }

  /** @returns whether the write is dealt with. */
  patch(what: string, path: string, body: unknown): Promise<boolean> {
    return this.#write(what, () => this.#deps.kube.patch(path, body));
  }

  /** @returns whether the write is dealt with. */
  create(what: string, path: string, body: unknown): Promise<boolean> {
    return this.#write(what, () => this.#deps.kube.create(path, body));
  }

  /** Sends a write. A faster writer (409) and an object that is gone (404) leave nothing to do. */
  async #write(what: string, send: () => Promise<unknown>): Promise<boolean> {
    if (!this.#deps.mayWrite()) return false;
    try {
      await send();
      return true;
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0;
      if (status === 409 || status === 404) return true;
      this.#deps.log.warn({ err: error, what }, 'a write was refused or got lost; trying again');
      return false;
    }
  }
}
