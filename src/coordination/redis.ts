import { createHash } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import { HoldfastError } from '../core/failure.ts';
import { ClientKeys } from './keys.ts';
import { ADD_LETTER, CLAIM, REMOVE_LETTER, SAVE, SAVE_SEALED, type Script } from './scripts.ts';
import { DEAD_LETTER_LIMIT, parseCheckpoint, type Checkpoint, type DeadLetter, type Store } from './store.ts';

/** A command that has not answered by then has failed. */
const COMMAND_TIMEOUT_MS = 800;
/** A connection on which nothing moves for this long is given up; without it a frozen master is never left (measured). */
const SOCKET_TIMEOUT_MS = 2500;
const RECONNECT_MAX_MS = 1000;

export interface RedisTarget {
  readonly options: Omit<RedisOptions, 'replyMapping'>;
  readonly prefix: string;
}

/**
 * The shared store. ioredis is set so that it never repeats a command by itself (its defaults run a script twice after a reconnect) and never
 * queues while disconnected: whoever asked decides whether to ask again.
 */
export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly #redis: Redis;
  readonly #prefix: string;

  /** @param onTrouble receives connection errors for log and metric; the store itself goes on trying for ever. */
  constructor(target: RedisTarget, onTrouble: (error: Error) => void) {
    this.#prefix = target.prefix;
    this.#redis = new Redis({
      ...target.options,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      commandTimeout: COMMAND_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      connectTimeout: SOCKET_TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(RECONNECT_MAX_MS, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
      lazyConnect: true,
    });
    this.#redis.on('error', onTrouble);
    // A failed first attempt is reported by 'error' and tried again by retryStrategy.
    this.#redis.connect().catch(() => undefined);
  }

  /** Resolves when the store answers, or after `limitMs`. @returns whether it answered. */
  async ready(limitMs: number): Promise<boolean> {
    if (this.#redis.status === 'ready') return true;
    return new Promise((resolve) => {
      const done = (answer: boolean) => (): void => {
        clearTimeout(timer);
        this.#redis.off('ready', onReady);
        resolve(answer);
      };
      const onReady = done(true);
      const timer = setTimeout(done(false), limitMs);
      this.#redis.once('ready', onReady);
    });
  }

  /** What about this server is unsafe for us; empty when nothing is. Servers that hide the answer are reported as such. */
  async warnings(): Promise<readonly string[]> {
    const info = await this.#ask(() => this.#redis.info());
    const field = (name: string): string => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
    const out: string[] = [];
    const [major = 0, minor = 0] = field('redis_version').split('.').map(Number);
    if (field('redis_version') !== '' && (major < 6 || (major === 6 && minor < 2))) out.push(`redis ${field('redis_version')} is older than 6.2`);
    const policy = field('maxmemory_policy');
    if (policy !== '' && policy !== 'noeviction') out.push(`maxmemory-policy is ${policy}: checkpoints may be evicted; use noeviction`);
    return out;
  }

  async claim(client: string, holder: string, floor: number): Promise<number> {
    return Number(await this.#script(CLAIM, [this.#keys(client).fence], [holder, String(floor)]));
  }

  async load(client: string, stream: string): Promise<Checkpoint | undefined> {
    const text = await this.#ask(() => this.#redis.hget(this.#keys(client).checkpoints, stream));
    if (text === null) return undefined;
    const checkpoint = parseCheckpoint(text);
    if (checkpoint === 'newer') throw new HoldfastError('HF_STORE_SCHEMA', `the checkpoint of ${client}/${stream} was written by a newer version`);
    if (checkpoint === undefined) throw new HoldfastError('HF_STORE_CORRUPT', `the checkpoint of ${client}/${stream} cannot be read`);
    return checkpoint;
  }

  async save(client: string, epoch: number, checkpoints: Readonly<Record<string, Checkpoint>>): Promise<'stored' | 'fenced' | 'regressed'> {
    const keys = this.#keys(client);
    const triples = Object.entries(checkpoints).flatMap(([stream, checkpoint]) => [stream, String(checkpoint.index), JSON.stringify(checkpoint)]);
    const answer = Number(await this.#script(SAVE, [keys.fence, keys.checkpoints], [String(epoch), ...triples]));
    return answer === 1 ? 'stored' : answer === 0 ? 'fenced' : 'regressed';
  }

  async saveSealed(client: string, epoch: number, name: string, sealed: string): Promise<'stored' | 'fenced'> {
    const keys = this.#keys(client);
    return Number(await this.#script(SAVE_SEALED, [keys.fence, keys.sealed], [String(epoch), name, sealed])) === 1 ? 'stored' : 'fenced';
  }

  async loadSealed(client: string, name: string): Promise<string | undefined> {
    return (await this.#ask(() => this.#redis.hget(this.#keys(client).sealed, name))) ?? undefined;
  }

  async addDeadLetter(client: string, letter: DeadLetter): Promise<'stored' | 'full'> {
    const { data, ...record } = letter;
    const text = JSON.stringify({ ...record, data: data.toString('base64') });
    const answer = await this.#script(ADD_LETTER, this.#letterKeys(client, letter.stream), [letter.id, text, String(DEAD_LETTER_LIMIT)]);
    return Number(answer) === 1 ? 'stored' : 'full';
  }

  async listDeadLetters(client: string, stream: string, after: string | undefined, limit: number): Promise<readonly DeadLetter[]> {
    const [letters, index] = this.#letterKeys(client, stream);
    const ids = await this.#ask(() => this.#redis.zrangebylex(index, after === undefined ? '-' : `(${after}`, '+', 'LIMIT', 0, limit));
    if (ids.length === 0) return [];
    const texts = await this.#ask(() => this.#redis.hmget(letters, ...ids));
    return texts.flatMap((text) => (text === null ? [] : [toLetter(text)]));
  }

  async getDeadLetter(client: string, stream: string, id: string): Promise<DeadLetter | undefined> {
    const text = await this.#ask(() => this.#redis.hget(this.#letterKeys(client, stream)[0], id));
    return text === null ? undefined : toLetter(text);
  }

  async removeDeadLetter(client: string, stream: string, id: string): Promise<boolean> {
    return Number(await this.#script(REMOVE_LETTER, this.#letterKeys(client, stream), [id])) > 0;
  }

  async purgeDeadLetters(client: string, stream: string): Promise<number> {
    const [letters, index] = this.#letterKeys(client, stream);
    const count = await this.countDeadLetters(client, stream);
    await this.#ask(() => this.#redis.unlink(letters, index));
    return count;
  }

  countDeadLetters(client: string, stream: string): Promise<number> {
    return this.#ask(() => this.#redis.zcard(this.#letterKeys(client, stream)[1]));
  }

  close(): Promise<void> {
    this.#redis.disconnect();
    return Promise.resolve();
  }

  #keys(client: string): ClientKeys {
    return new ClientKeys(this.#prefix, client);
  }

  #letterKeys(client: string, stream: string): readonly [string, string] {
    const keys = this.#keys(client);
    return [keys.letters(stream), keys.letterIndex(stream)];
  }

  async #script(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#ask(async () => {
      try {
        return await this.#redis.evalsha(shaOf(script), keys.length, ...keys, ...args);
      } catch (error) {
        // The server forgot its scripts (restart, SCRIPT FLUSH). NOSCRIPT means it did not run, so sending the text cannot run it twice.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return this.#redis.eval(script.lua, keys.length, ...keys, ...args);
      }
    });
  }

  async #ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      const word = error instanceof Error ? (/^[A-Z]{3,20}\b/.exec(error.message)?.[0] ?? error.name) : 'unknown';
      if (word === 'WRONGTYPE' || word === 'HFCORRUPT') throw new HoldfastError('HF_STORE_CORRUPT', `a key of ours holds something else (${word}); docs/redis-keys.md tells what belongs there`, { cause: error });
      throw new HoldfastError('HF_STORE_UNAVAILABLE', `Redis did not carry out the command (${word})`, { details: { answer: word }, cause: error });
    }
  }
}

const shas = new Map<Script, string>();
function shaOf(script: Script): string {
  let sha = shas.get(script);
  if (sha === undefined) {
    sha = createHash('sha1').update(script.lua).digest('hex');
    shas.set(script, sha);
  }
  return sha;
}

function toLetter(text: string): DeadLetter {
  const record = JSON.parse(text) as Omit<DeadLetter, 'data'> & { data: string };
  return { ...record, data: Buffer.from(record.data, 'base64') };
}

