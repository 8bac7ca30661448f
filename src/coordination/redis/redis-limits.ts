import type { Bucket, Permit, SharedLimits } from '../shared-limits.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisKeys } from './redis-keys.ts';
import { MARK, PERMIT } from './scripts/limit-scripts.ts';

/** Keeps the limits that all replicas share, over Redis; one script per question. */
export class RedisLimits implements SharedLimits {
  readonly #link: RedisConnection;

  constructor(link: RedisConnection) {
    this.#link = link;
  }

  async permit(lease: string, epoch: number, kind: 'dial' | 'token', bucket: Bucket): Promise<Permit> {
    return this.#permit(this.#keys(lease), String(epoch), kind, bucket);
  }

  async egress(name: string, bucket: Bucket): Promise<Permit> {
    const gate = `${this.#link.prefix}:{egress:${name}}:gate`;
    return this.#permit([gate, gate], '', 'egress', bucket);
  }

  async hold(lease: string, epoch: number, ms: number): Promise<void> {
    await this.#link.script(MARK, this.#keys(lease), [String(epoch), 'hold', String(Math.ceil(ms)), '1']);
  }

  async breaker(lease: string, epoch: number, ms: number): Promise<void> {
    await this.#link.script(MARK, this.#keys(lease), [String(epoch), 'breaker', String(Math.ceil(ms)), '0']);
  }

  async #permit(keys: readonly string[], epoch: string, field: string, bucket: Bucket): Promise<Permit> {
    const [code, ms, why] = (await this.#link.script(PERMIT, keys, [
      epoch,
      field,
      String(bucket.capacity),
      String(bucket.refillEveryMs),
    ])) as [number, string?, string?];
    if (code === 1) return { kind: 'granted' };
    return code === -1
      ? { kind: 'fenced' }
      : { kind: 'wait', ms: Number(ms), why: why === 'hold' || why === 'breaker' ? why : 'rate' };
  }

  #keys(lease: string): readonly string[] {
    const keys = new RedisKeys(this.#link.prefix, lease);
    return [keys.gate, keys.fence];
  }
}
