/**
 * The store that replicas share: Redis, plain, with sentinels or as a cluster. Each file is one adapter (store, leases,
 * limits, pool, registry, reports) over the process's one `RedisConnection`; every change of several keys is one script
 * of scripts/. This folder never repeats a command and never judges a lease: that is core's. The contracts that it
 * fulfils are src/coordination's.
 */

import { HoldfastError } from '../../core/errors.ts';
import { RedisKeys } from './redis-keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { ADD_LETTER, CLAIM, PURGE_LETTERS, REMOVE_LETTER, SAVE, SAVE_SEALED, SEED } from './scripts/store-scripts.ts';
import {
  LETTER_LIMITS,
  letterText,
  parseCheckpoint,
  type Checkpoint,
  type DeadLetter,
  type LetterLimits,
  type Store,
} from '../store.ts';

/** From this share of maxmemory on the store is called nearly full. */
export const NEARLY_FULL_SHARE = 0.8;

/** Properties of the server that matter to us. */
export interface StoreCondition {
  /** Warnings about unsafe settings; empty when there are none. */
  readonly warnings: readonly string[];
  /** Used memory as a share of maxmemory; undefined: there is no limit, or the server does not tell. */
  readonly fill: number | undefined;
}

/** Stores what must survive a replica, through the process's one connection. */
export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly link: RedisConnection;

  readonly #limits: LetterLimits;

  constructor(link: RedisConnection, limits: LetterLimits = LETTER_LIMITS) {
    this.link = link;
    this.#limits = limits;
  }

  /**
   * Returns the server's unsafe settings as warnings; empty when there are none. Servers that hide the answer are
   * reported as such.
   */
  async condition(): Promise<StoreCondition> {
    const info = await this.link.ask(() => this.link.redis.info());
    const fill = fillOf(info);
    const warnings = [versionWarning(info), evictionWarning(info), replicaWarning(info), fillWarning(fill)];
    return { warnings: warnings.filter((warning) => warning !== undefined), fill };
  }

  async claim(client: string, holder: string, floor: number): Promise<number> {
    return Number(await this.link.script(CLAIM, [this.#keys(client).fence], [holder, String(floor)]));
  }

  async epoch(client: string): Promise<number> {
    return Number((await this.link.ask(() => this.link.redis.hget(this.#keys(client).fence, 'epoch'))) ?? 0);
  }

  async load(client: string, stream: string): Promise<Checkpoint | undefined> {
    const text = await this.link.ask(() => this.link.redis.hget(this.#keys(client).checkpoints, stream));
    if (text === null) return undefined;
    const checkpoint = parseCheckpoint(text);
    if (checkpoint === 'newer')
      throw new HoldfastError(
        'HF_STORE_SCHEMA',
        `the checkpoint of ${client}/${stream} was written by a newer version`,
      );
    if (checkpoint === undefined)
      throw new HoldfastError('HF_STORE_CORRUPT', `the checkpoint of ${client}/${stream} cannot be read`);
    return checkpoint;
  }

  async save(
    client: string,
    epoch: number,
    checkpoints: Readonly<Record<string, Checkpoint>>,
  ): Promise<'stored' | 'fenced' | 'regressed'> {
    const keys = this.#keys(client);
    const records = Object.entries(checkpoints).flatMap(([stream, checkpoint]) => recordArgs(stream, checkpoint));
    const answer = Number(await this.link.script(SAVE, [keys.fence, keys.checkpoints], [String(epoch), ...records]));
    return answer === 1 ? 'stored' : answer === 0 ? 'fenced' : 'regressed';
  }

  async seed(client: string, stream: string, checkpoint: Checkpoint): Promise<boolean> {
    return Number(await this.link.script(SEED, [this.#keys(client).checkpoints], recordArgs(stream, checkpoint))) === 1;
  }

  async saveSealed(client: string, epoch: number, name: string, sealed: string): Promise<'stored' | 'fenced'> {
    const keys = this.#keys(client);
    return Number(await this.link.script(SAVE_SEALED, [keys.fence, keys.sealed], [String(epoch), name, sealed])) === 1
      ? 'stored'
      : 'fenced';
  }

  async loadSealed(client: string, name: string): Promise<string | undefined> {
    return (await this.link.ask(() => this.link.redis.hget(this.#keys(client).sealed, name))) ?? undefined;
  }

  async addDeadLetter(client: string, letter: DeadLetter): Promise<'stored' | 'full'> {
    const answer = await this.link.script(ADD_LETTER, this.#letterKeys(client, letter.stream), [
      letter.id,
      letterText(letter),
      String(this.#limits.count),
      String(this.#limits.bytes),
    ]);
    return Number(answer) === 1 ? 'stored' : 'full';
  }

  async listDeadLetters(
    client: string,
    stream: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly DeadLetter[]> {
    const [letters, index] = this.#letterKeys(client, stream);
    const ids = await this.link.ask(() =>
      this.link.redis.zrangebylex(index, after === undefined ? '-' : `(${after}`, '+', 'LIMIT', 0, limit),
    );
    if (ids.length === 0) return [];
    const texts = await this.link.ask(() => this.link.redis.hmget(letters, ...ids));
    return texts.flatMap((text) => (text === null ? [] : [toLetter(text)]));
  }

  async getDeadLetter(client: string, stream: string, id: string): Promise<DeadLetter | undefined> {
    const text = await this.link.ask(() => this.link.redis.hget(this.#letterKeys(client, stream)[0], id));
    return text === null ? undefined : toLetter(text);
  }

  async removeDeadLetter(client: string, stream: string, id: string): Promise<boolean> {
    return Number(await this.link.script(REMOVE_LETTER, this.#letterKeys(client, stream), [id])) > 0;
  }

  async purgeDeadLetters(client: string, stream: string): Promise<number> {
    return Number(await this.link.script(PURGE_LETTERS, this.#letterKeys(client, stream), []));
  }

  countDeadLetters(client: string, stream: string): Promise<number> {
    return this.link.ask(() => this.link.redis.zcard(this.#letterKeys(client, stream)[1]));
  }

  close(): Promise<void> {
    this.link.close();
    return Promise.resolve();
  }

  #keys(client: string): RedisKeys {
    return new RedisKeys(this.link.prefix, client);
  }

  #letterKeys(client: string, stream: string): readonly [string, string, string] {
    const keys = this.#keys(client);
    return [keys.letters(stream), keys.letterIndex(stream), keys.letterBytes(stream)];
  }
}

/** Returns a field of INFO; empty: the server does not tell. */
function fieldOf(info: string, name: string): string {
  return new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
}

function fillOf(info: string): number | undefined {
  const limit = Number(fieldOf(info, 'maxmemory'));
  return limit > 0 ? Number(fieldOf(info, 'used_memory')) / limit : undefined;
}

function versionWarning(info: string): string | undefined {
  const version = fieldOf(info, 'redis_version');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const old = major < 6 || (major === 6 && minor < 2);
  return version !== '' && old ? `redis ${version} is older than 6.2` : undefined;
}

function evictionWarning(info: string): string | undefined {
  const policy = fieldOf(info, 'maxmemory_policy');
  return policy === '' || policy === 'noeviction'
    ? undefined
    : `maxmemory-policy is ${policy}: checkpoints may be evicted; use noeviction`;
}

function replicaWarning(info: string): string | undefined {
  const waits = fieldOf(info, 'min_slaves_good_slaves') !== '';
  return Number(fieldOf(info, 'connected_slaves')) > 0 && !waits
    ? 'min-replicas-to-write is 0: a failover may lose what was acknowledged; use 1, with ' +
        'min-replicas-max-lag below a third of lease.ttl'
    : undefined;
}

function fillWarning(fill: number | undefined): string | undefined {
  return fill !== undefined && fill >= NEARLY_FULL_SHARE
    ? `Redis uses ${String(Math.floor(fill * 100))} % of maxmemory: when it is full, dead letters and ` +
        'reports are refused; raise maxmemory or remove what else is in there'
    : undefined;
}

/** Returns the arguments for one record of SAVE and SEED. */
function recordArgs(stream: string, checkpoint: Checkpoint): readonly string[] {
  return [stream, String(checkpoint.index), String(checkpoint.aheadCount ?? 0), JSON.stringify(checkpoint)];
}

function toLetter(text: string): DeadLetter {
  const record = JSON.parse(text) as Omit<DeadLetter, 'data'> & { data: string };
  return { ...record, data: Buffer.from(record.data, 'base64') };
}
