import { createHash } from 'node:crypto';

/** Hash tags in use. Fixed for ever: another number would move every key. */
const TAGS = 64;

/**
 * Names one client's keys. All share one hash tag, so that one script may touch them in a cluster. docs/redis-keys.md
 */
export class RedisKeys {
  readonly lock: string;
  readonly fence: string;
  /** Random id of the data set; another one means that the store lost its data. Shared by all clients of one tag. */
  readonly incarnation: string;
  readonly members: string;
  readonly gate: string;
  readonly checkpoints: string;
  readonly sealed: string;
  /** Prefix of the keys of all clients of one hash tag. A script may touch several clients of one shard. */
  readonly shard: string;
  readonly #base: string;

  constructor(prefix: string, client: string) {
    const tag = createHash('sha256').update(client).digest().readUInt16BE(0) % TAGS;
    this.shard = `${prefix}:{s${String(tag).padStart(2, '0')}}`;
    this.#base = `${this.shard}:${client}`;
    this.incarnation = `${this.shard}:inc`;
    this.lock = `${this.#base}:lock`;
    this.gate = `${this.#base}:gate`;
    this.members = `${this.#base}:members`;
    this.fence = `${this.#base}:fence`;
    this.checkpoints = `${this.#base}:ckpt`;
    this.sealed = `${this.#base}:sealed`;
  }

  letters(stream: string): string {
    return `${this.#base}:dlq:${stream}`;
  }

  letterBytes(stream: string): string {
    return `${this.#base}:dlqb:${stream}`;
  }

  letterIndex(stream: string): string {
    return `${this.#base}:dlqi:${stream}`;
  }
}
