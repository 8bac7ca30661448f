import RedlockModule, { type Lock } from 'redlock';
import type { Script } from './scripts/script-prelude.ts';
import type { RedisConnection } from './redis-connection.ts';
import { storeError } from './redis-connection.ts';
import { ACQUIRE, EXTEND, type releaseScript } from './scripts/lease-scripts.ts';

type Release = ReturnType<typeof releaseScript>;

/**
 * Takes and releases the lock itself: the right to write the fence record. Two adapters run the same scripts;
 * --lock-adapter chooses.
 */
export interface LockAdapter {
  /** Tries once. @returns the token, or undefined when another token has the lock. @throws HoldfastError */
  acquire(keys: LockKeys, ttlMs: number): Promise<string | undefined>;
  /** Releases the lock. @returns false when the token did not have it. */
  release(keys: LockKeys, token: string): Promise<boolean>;
}

export interface LockKeys {
  readonly lock: string;
  readonly fence: string;
}

// The package's types describe a module whose default export is the class; Node gives a CommonJS build's namespace
// under `default` once more.
type RedlockClass = typeof RedlockModule;
const Redlock: RedlockClass =
  'default' in RedlockModule ? (RedlockModule as unknown as { default: RedlockClass }).default : RedlockModule;

/**
 * Takes the lock through redlock 5.0.0-beta.2, with all three of its scripts replaced and none of its own judgement
 * used: one try, no retry loop, no `using`, no `expiration` (docs/decisions/0006 has the measurements). Validity is
 * computed by core/lease/ from the moment of asking.
 */
export class RedlockAdapter implements LockAdapter {
  readonly #redlock: RedlockModule;

  constructor(link: RedisConnection, release: Release) {
    // Hooks must be functions: the package takes a string for "not given".
    const scripts = {
      acquireScript: () => ACQUIRE.lua,
      extendScript: () => EXTEND.lua,
      releaseScript: () => release.lua,
    };
    this.#redlock = new Redlock(
      [link.redis],
      { retryCount: 0, retryDelay: 0, retryJitter: 0, driftFactor: 0.01 },
      scripts,
    );
    this.#redlock.on('error', () => undefined); // each failure reaches its caller
  }

  async acquire({ lock, fence }: LockKeys, ttlMs: number): Promise<string | undefined> {
    try {
      return (await this.#redlock.acquire([lock, fence], ttlMs)).value;
    } catch (error) {
      const cause = await voteOf(error);
      if (cause === undefined || cause.name === 'ResourceLockedError') return undefined;
      throw storeError(cause);
    }
  }

  async release({ lock, fence }: LockKeys, token: string): Promise<boolean> {
    try {
      const held: Pick<Lock, 'resources' | 'value' | 'expiration'> = {
        resources: [lock, fence],
        value: token,
        expiration: 0,
      };
      await this.#redlock.release(held as Lock);
      return true;
    } catch (error) {
      const cause = await voteOf(error);
      if (cause === undefined || cause.name === 'ResourceLockedError') return false;
      throw storeError(cause);
    }
  }
}

/** Tells "held by another" from "no answer": redlock gives both the same error; its votes differ. */
async function voteOf(error: unknown): Promise<Error | undefined> {
  if (!(error instanceof Error) || !('attempts' in error) || !Array.isArray(error.attempts))
    return error instanceof Error ? error : undefined;
  const stats = (await (error.attempts as Promise<{ votesAgainst: Map<unknown, Error> }>[])[0]) ?? {
    votesAgainst: new Map<unknown, Error>(),
  };
  return [...stats.votesAgainst.values()][0];
}

/** Takes the same lock without redlock. */
export class PlainAdapter implements LockAdapter {
  readonly #link: RedisConnection;
  readonly #release: Script;
  readonly #token: () => string;

  constructor(link: RedisConnection, release: Release, token: () => string) {
    this.#link = link;
    this.#release = release;
    this.#token = token;
  }

  async acquire({ lock, fence }: LockKeys, ttlMs: number): Promise<string | undefined> {
    const token = this.#token();
    try {
      return Number(await this.#link.script(ACQUIRE, [lock, fence], [token, String(ttlMs)])) > 0 ? token : undefined;
    } catch (error) {
      // It may have been carried out all the same.
      await this.release({ lock, fence }, token).catch(() => undefined);
      throw error;
    }
  }

  async release({ lock, fence }: LockKeys, token: string): Promise<boolean> {
    return Number(await this.#link.script(this.#release, [lock, fence], [token])) > 0;
  }
}
