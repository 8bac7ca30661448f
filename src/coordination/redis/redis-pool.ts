import { createHash } from 'node:crypto';
import { POOL_PLACE_MS, type PoolPlace, type PoolRequest, type StreamPool } from '../stream-pool.ts';
import type { RedisConnection } from './redis-connection.ts';
import { ADMIT, LEAVE_POOL } from './scripts/pool-scripts.ts';

/** A stream is left alone for this long before a more important one may take its slot. */
const MIN_HOLD_MS = 30_000;
/** Time a preempted stream has to store its checkpoint and close. */
const PREEMPT_MS = 10_000;
/** Who waits becomes one class more important per this time, never the first. */
const AGE_MS = 600_000;
/** Time after which a stream that waits for a slot asks again. */
const RETRY_MS = 1000;

export interface PoolTiming {
  readonly minHoldMs: number;
  readonly preemptMs: number;
  readonly ageMs: number;
}

/** Keeps a tenant's pool of streams over Redis; one script decides about places, queue and preemption. */
export class RedisPool implements StreamPool {
  readonly #link: RedisConnection;
  readonly #timing: PoolTiming;

  constructor(
    link: RedisConnection,
    timing: PoolTiming = { minHoldMs: MIN_HOLD_MS, preemptMs: PREEMPT_MS, ageMs: AGE_MS },
  ) {
    this.#link = link;
    this.#timing = timing;
  }

  async admit({ tenant, stream, priority, limit }: PoolRequest): Promise<PoolPlace> {
    const { minHoldMs, preemptMs, ageMs } = this.#timing;
    const args = [stream, priority, limit, POOL_PLACE_MS, minHoldMs, preemptMs, ageMs].map(String);
    const [code, value] = (await this.#link.script(ADMIT, this.#keys(tenant), args)) as [number, (string | number)?];
    if (code === 1) return { kind: 'granted' };
    return code === 2
      ? { kind: 'revoked', withinMs: Math.max(0, Number(value)) }
      : { kind: 'queued', place: Number(value), retryMs: RETRY_MS };
  }

  async leave({ tenant, stream }: PoolRequest): Promise<void> {
    await this.#link.script(LEAVE_POOL, this.#keys(tenant), [stream]);
  }

  #keys(tenant: string): readonly string[] {
    const tag = createHash('sha256').update(tenant).digest('hex').slice(0, 12);
    return ['slots', 'info', 'wait', 'seen', 'pre'].map((name) => `${this.#link.prefix}:{t${tag}}:pool:${name}`);
  }
}
