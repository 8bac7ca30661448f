import { createHash } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import type { Script } from './scripts/script-prelude.ts';
import { HoldfastError } from '../../core/errors.ts';

/** A command that has not answered by then has failed. */
const COMMAND_TIMEOUT_MS = 800;
/** Never more than this share of the shortest lease: several tries must fit into it. */
const COMMAND_TIMEOUT_SHARE = 1 / 6;
/**
 * A connection on which nothing moves for this long is given up; without it a frozen master is never left (measured).
 */
const SOCKET_TIMEOUT_MS = 2500;
/** Bounds the pause before Redis is dialled again, which doubles from 50 ms on; chance takes up to half of it off. */
const RECONNECT_MAX_MS = 1000;

export interface RedisTarget {
  readonly options: Omit<RedisOptions, 'replyMapping' | 'protocol'>;
  readonly prefix: string;
}

/** The connection as the server knows it. */
export interface LinkIdentity {
  /** CLIENT ID; empty when the server does not tell. Gone from CLIENT LIST once the connection is closed. */
  readonly conn: string;
  /** Id of the server process: numbers of connections have no meaning for another one. */
  readonly run: string;
  /** Keys of one script must lie in one slot. */
  readonly cluster: boolean;
}

/** up: commands are answered. lost: the connection closed. refused: and nothing listens at the other end. */
export type RedisConnectionState = 'up' | 'lost' | 'refused';

/**
 * Keeps the one connection of a process to Redis: commands and subscriptions (RESP3). ioredis is set so that it never
 * repeats a command by itself (its defaults run a script twice after a reconnect) and never queues while disconnected:
 * the caller decides whether to ask again.
 */
export class RedisConnection {
  readonly redis: Redis;
  readonly prefix: string;
  readonly #listeners: ((state: RedisConnectionState) => void)[] = [];
  #identity: LinkIdentity | undefined;
  #refused = false;
  #closed = false;

  /**
   * @param options the shortest lease kept over this link; `onTrouble` receives connection errors for log and metric,
   * the link itself goes on trying for ever.
   */
  constructor(target: RedisTarget, options: { readonly ttlMs: number; readonly onTrouble: (error: Error) => void }) {
    this.prefix = target.prefix;
    this.redis = new Redis({
      ...target.options,
      protocol: 3,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      commandTimeout: Math.min(COMMAND_TIMEOUT_MS, options.ttlMs * COMMAND_TIMEOUT_SHARE),
      socketTimeout: SOCKET_TIMEOUT_MS,
      connectTimeout: SOCKET_TIMEOUT_MS,
      retryStrategy: (attempt) =>
        Math.min(RECONNECT_MAX_MS, 50 * 2 ** Math.min(attempt - 1, 6)) * (0.5 + Math.random() / 2),
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
      lazyConnect: true,
      // CLIENT SETINFO would need a right of its own in every ACL.
      disableClientInfo: true,
    });
    this.redis.on('error', (error: NodeJS.ErrnoException) => {
      this.#refused = error.code === 'ECONNREFUSED';
      options.onTrouble(error);
    });
    this.redis.on('connect', () => {
      this.#refused = false;
    });
    this.redis.on('ready', () => {
      void this.#identify();
    });
    this.redis.on('close', () => {
      this.#down();
    });
  }

  /** Begins to connect; to be called once, after the listeners are there. */
  open(): void {
    // A failed first attempt is reported by 'error' and tried again by retryStrategy.
    this.redis.connect().catch(() => undefined);
  }

  get identity(): LinkIdentity | undefined {
    return this.#identity;
  }

  onState(listener: (state: RedisConnectionState) => void): void {
    this.#listeners.push(listener);
    if (this.#identity !== undefined) listener('up');
  }

  /** Resolves when the store answers, or after `limitMs`. @returns whether it answered. */
  async ready(limitMs: number): Promise<boolean> {
    if (this.#identity !== undefined) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
      }, limitMs);
      this.onState((state) => {
        if (state !== 'up') return;
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  async script(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.ask(async () => {
      try {
        return await this.redis.evalsha(shaOf(script), keys.length, ...keys, ...args);
      } catch (error) {
        // The server forgot its scripts (restart, SCRIPT FLUSH). NOSCRIPT means it did not run, so sending the text
        // cannot run it twice.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return this.redis.eval(script.lua, keys.length, ...keys, ...args);
      }
    });
  }

  /** Runs a command. @throws HoldfastError HF_STORE_UNAVAILABLE, HF_STORE_CORRUPT */
  async ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      throw storeError(error);
    }
  }

  close(): void {
    this.#closed = true;
    this.redis.disconnect();
  }

  /**
   * Asks for the numbers of connection and server. Only an identified connection counts as up: without both numbers no
   * proof is possible.
   */
  async #identify(): Promise<void> {
    try {
      const [conn, info] = await Promise.all([
        this.redis.client('ID').catch(refusedAs('')),
        this.redis.info('server').catch(refusedAs('')),
      ]);
      if (this.redis.status !== 'ready' || this.#closed) return;
      const run = /^run_id:(.*)$/m.exec(info)?.[1]?.trim();
      // A number of an unknown server proves nothing.
      const cluster = /^redis_mode:cluster\b/m.test(info);
      this.#identity = { conn: run === undefined ? '' : String(conn), run: run ?? 'unknown', cluster };
      this.#tell('up');
    } catch {
      // No answer in time, or closed meanwhile: another connection will tell.
      if (this.redis.status === 'ready' && !this.#closed) this.redis.disconnect(true);
    }
  }

  #down(): void {
    this.#identity = undefined;
    if (!this.#closed) this.#tell(this.#refused ? 'refused' : 'lost');
  }

  #tell(state: RedisConnectionState): void {
    for (const listener of this.#listeners) listener(state);
  }
}

/**
 * Returns a handler that takes a refusal as `value`: a server that refuses the question will always refuse it; silence
 * is another matter.
 */
function refusedAs(value: string): (error: unknown) => string {
  return (error) => {
    if (error instanceof Error && error.name === 'ReplyError') return value;
    throw error;
  };
}

/**
 * Returns the word of a refusal. From within a script a server before 7.0 puts the place before it: `@user_script: 9:
 * -OOM ...`.
 */
function refusalIn(message: string): string | undefined {
  return /: -([A-Z]{3,20})\b/.exec(message)?.[1] ?? /^[A-Z]{3,20}\b/.exec(message)?.[0];
}

/** Returns the HoldfastError for a failed command. */
export function storeError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const word =
    error instanceof Error
      ? (/\b(HFCORRUPT|WRONGTYPE)\b/.exec(error.message)?.[0] ?? refusalIn(error.message) ?? error.name)
      : 'unknown';
  if (word === 'WRONGTYPE' || word === 'HFCORRUPT')
    return new HoldfastError(
      'HF_STORE_CORRUPT',
      `a key of ours holds something else (${word}); docs/redis-keys.md tells what belongs there`,
      { cause: error },
    );
  return new HoldfastError('HF_STORE_UNAVAILABLE', `Redis did not carry out the command (${word})`, {
    details: { answer: word },
    cause: error,
  });
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
