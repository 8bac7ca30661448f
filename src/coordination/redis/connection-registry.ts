import type { RedisConnection } from './redis-connection.ts';
import { ADOPT, HEARTBEAT, OVERDUE, REAP, REMOVE } from './scripts/registry-scripts.ts';

/** One open connection to a platform, as other replicas see it (S4: ws:conn:{connectionId}). */
export interface Heartbeat {
  readonly connectionId: string;
  /** ms since the peer last gave a sign of life. */
  readonly silentMs: number;
  readonly platform: string;
  readonly tenantId: string;
  readonly state: 'ACTIVE' | 'DEGRADED';
  readonly retryCount: number;
  readonly client: string;
  readonly stream: string;
  readonly pod: string;
  readonly epoch: number;
}

export interface RegistryPolicy {
  /** Life of a hash that is not renewed: the last safety net. */
  readonly lifeMs: number;
  /** A connection without a sign of life for this long counts as dead. */
  readonly deadAfterMs: number;
  /** Interval between the reaper's two looks, and of its rounds. */
  readonly sweepEveryMs: number;
}

/** Keys per call. */
const BATCH = 500;
/** SCAN rounds per sweep: the net for hashes that no index knows is thrown a little at a time. */
const SCAN_ROUNDS = 100;
/** Keys that one round of SCAN looks at (a hint to Redis): a round must not keep the server from other work. */
const SCAN_COUNT = 200;
/** Overdue connections looked at per sweep. */
const REAP_LIMIT = 20_000;
/** Longest id of ours, in bytes of ASCII. Other names under the prefix are somebody else's. */
const MAX_ID_BYTES = 128;

/**
 * Keeps the registry of connections, and runs its reaper, over Redis. Each replica writes its own connections; one
 * replica at a time removes those without an owner.
 */
export class ConnectionRegistry {
  readonly #link: RedisConnection;
  readonly #policy: RegistryPolicy;
  readonly #base: string;
  #cursor = '0';

  constructor(link: RedisConnection, policy: RegistryPolicy) {
    this.#link = link;
    this.#policy = policy;
    this.#base = `${link.prefix}:ws:conn:`;
  }

  async heartbeat(beats: readonly Heartbeat[]): Promise<number> {
    let written = 0;
    for (let at = 0; at < beats.length; at += BATCH) {
      const part = beats.slice(at, at + BATCH);
      const args = part.flatMap((one) => [
        one.connectionId,
        String(Math.round(one.silentMs)),
        one.platform,
        one.tenantId,
        one.state,
        String(one.retryCount),
        one.client,
        one.stream,
        one.pod,
        String(one.epoch),
      ]);
      written += Number(
        await this.#link.script(
          HEARTBEAT,
          [this.#index, this.#suspects, ...part.map((one) => this.#base + one.connectionId)],
          [String(this.#policy.lifeMs), ...args],
        ),
      );
    }
    return written;
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += BATCH) {
      const part = ids.slice(at, at + BATCH);
      await this.#link.script(REMOVE, [this.#index, this.#suspects, ...part.map((id) => this.#base + id)], part);
    }
  }

  /**
   * Makes one round of the reaper, if no other replica makes it. @returns the connections that it declared dead;
   * undefined: it was another replica's turn.
   */
  async sweep(): Promise<readonly string[] | undefined> {
    const lock = `${this.#link.prefix}:reaper:lock`;
    const mine = await this.#link.ask(() =>
      this.#link.redis.set(
        lock,
        this.#link.identity?.conn ?? '',
        'PX',
        Math.max(1, Math.round(this.#policy.sweepEveryMs * 0.9)),
        'NX',
      ),
    );
    if (mine === null) return undefined;
    await this.#adoptOrphans();
    const overdue = (await this.#link.script(
      OVERDUE,
      [this.#index],
      [String(this.#policy.deadAfterMs), String(REAP_LIMIT), String(MAX_ID_BYTES)],
    )) as string[];
    const dead: string[] = [];
    for (let at = 0; at < overdue.length; at += BATCH) {
      const part = overdue.slice(at, at + BATCH);
      const keys = [this.#index, this.#suspects, ...part.map((id) => this.#base + id)];
      dead.push(
        ...((await this.#link.script(REAP, keys, [
          String(this.#policy.deadAfterMs),
          String(this.#policy.sweepEveryMs),
          `${this.#link.prefix}:ev`,
          ...part,
        ])) as string[]),
      );
    }
    return dead;
  }

  get #index(): string {
    return `${this.#link.prefix}:ws:index`;
  }

  get #suspects(): string {
    return `${this.#link.prefix}:ws:suspects`;
  }

  /** Adopts hashes of other writers, or from before the index was lost. A whole SCAN is spread over sweeps. */
  async #adoptOrphans(): Promise<void> {
    for (let round = 0; round < SCAN_ROUNDS; round += 1) {
      const [cursor, keys] = await this.#link.ask(() =>
        this.#link.redis.scan(this.#cursor, 'MATCH', `${escaped(this.#base)}*`, 'COUNT', SCAN_COUNT),
      );
      this.#cursor = cursor;
      const ours = keys.filter(
        (key) => Buffer.byteLength(key) === key.length && key.length <= this.#base.length + MAX_ID_BYTES,
      );
      if (ours.length > 0)
        await this.#link.script(
          ADOPT,
          [this.#index, ...ours],
          ours.map((key) => key.slice(this.#base.length)),
        );
      if (cursor === '0') return;
    }
  }
}

/** Escapes a prefix for a pattern: it is a plain name, but a dot or bracket must not act as one. */
function escaped(text: string): string {
  return text.replace(/[[\]*?\\^-]/g, '\\$&');
}
