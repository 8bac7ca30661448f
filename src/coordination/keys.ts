import { createHash } from 'node:crypto';

/** Hash tags in use. Fixed for ever: another number would move every key. */
const TAGS = 64;

/** The names of one client's keys. All share one hash tag, so that one script may touch them in a cluster. docs/redis-keys.md */
export class ClientKeys {
  readonly fence: string;
  readonly checkpoints: string;
  readonly sealed: string;
  readonly #base: string;

  constructor(prefix: string, client: string) {
    const tag = createHash('sha256').update(client).digest().readUInt16BE(0) % TAGS;
    this.#base = `${prefix}:{s${String(tag).padStart(2, '0')}}:${client}`;
    this.fence = `${this.#base}:fence`;
    this.checkpoints = `${this.#base}:ckpt`;
    this.sealed = `${this.#base}:sealed`;
  }

  letters(stream: string): string {
    return `${this.#base}:dlq:${stream}`;
  }

  letterIndex(stream: string): string {
    return `${this.#base}:dlqi:${stream}`;
  }
}
