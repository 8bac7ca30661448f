import { ClientKeys } from './redis-keys.ts';
import type { RedisLink } from './redis-connection.ts';
import { CLOCK, ROOM, WHOLE } from './scripts/script-prelude.ts';
import type { Script } from './scripts/store-scripts.ts';

/** No window of w ms sees more than capacity + w / refillEveryMs permits. */
export interface Bucket {
  readonly capacity: number;
  readonly refillEveryMs: number;
}

export type Permit =
  | { readonly kind: 'granted' }
  | { readonly kind: 'wait'; readonly ms: number; readonly why: 'rate' | 'hold' | 'breaker' }
  | { readonly kind: 'fenced' };

/**
 * Restraint that outlives a leader: how often an OAuth client dials and asks for tokens, how long nobody may (Retry-After), and whether its circuit
 * breaker is open. A new leader inherits all of it. Throws HoldfastError HF_STORE_UNAVAILABLE.
 */
export interface Restraint {
  permit(lease: string, epoch: number, kind: 'dial' | 'token', bucket: Bucket): Promise<Permit>;
  /** One bucket for everybody behind one egress address, whatever the client. */
  egress(name: string, bucket: Bucket): Promise<Permit>;
  /** Nobody of this client dials for so long. The longest one stands. */
  hold(lease: string, epoch: number, ms: number): Promise<void>;
  /** The breaker is open for so long; 0: closed. */
  breaker(lease: string, epoch: number, ms: number): Promise<void>;
}

/**
 * One permit (GCRA). KEYS[1] gate hash, KEYS[2] fence. ARGV epoch ('' : any), field, capacity, refill ms.
 * Returns {1} granted, {0, ms to wait, why}, {-1} another epoch.
 */
export const PERMIT: Script = {
  name: 'hfPermit',
  keys: 2,
  lua: `${CLOCK}${ROOM}${WHOLE}
-- Only a newer leader keeps somebody out: an heir connects before the lease is its own, and after a loss of data there is no epoch at all.
if ARGV[1] ~= '' and (tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0') or 0) > tonumber(ARGV[1]) then return {-1} end
local now = clock()
local refill = tonumber(ARGV[4])
if ARGV[2] == 'dial' then
  for _, field in ipairs({'hold', 'breaker'}) do
    local till = tonumber(redis.call('HGET', KEYS[1], field) or '0') or 0
    -- A mark further away than any rule sets it comes from a clock that was wrong.
    if till > now and till - now <= 86400000 then return {0, whole(till - now), field} end
  end
end
local tat = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0') or 0
if tat ~= tat or tat < now or tat - now > refill * tonumber(ARGV[3]) * 2 then tat = now end
local first = tat - (tonumber(ARGV[3]) - 1) * refill
if now < first then return {0, whole(math.ceil(first - now)), 'rate'} end
room(KEYS[1])
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.3f', tat + refill))
redis.call('PEXPIRE', KEYS[1], 86400000)
return {1}
`,
};

/** Sets a mark. KEYS as PERMIT. ARGV epoch, field, ms from now (0: remove), '1': only ever later. Returns 1, or 0 for another epoch. */
export const MARK: Script = {
  name: 'hfMark',
  keys: 2,
  lua: `${CLOCK}${ROOM}${WHOLE}
if (tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0') or 0) > tonumber(ARGV[1]) then return 0 end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[2])
  return 1
end
local till = clock() + tonumber(ARGV[3])
local old = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0') or 0
room(KEYS[1])
-- One that PERMIT does not believe (a wrong clock, no number) keeps nothing out.
if ARGV[4] ~= '1' or till > old or old ~= old or old - till > 86400000 then redis.call('HSET', KEYS[1], ARGV[2], whole(till)) end
redis.call('PEXPIRE', KEYS[1], 86400000)
return 1
`,
};

export class RedisRestraint implements Restraint {
  readonly #link: RedisLink;

  constructor(link: RedisLink) {
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
    const keys = new ClientKeys(this.#link.prefix, lease);
    return [keys.gate, keys.fence];
  }
}

/** One replica restrains itself in core/admission.ts; there is nobody to share it with. */
export const noRestraint: Restraint = {
  permit: () => Promise.resolve({ kind: 'granted' }),
  egress: () => Promise.resolve({ kind: 'granted' }),
  hold: () => Promise.resolve(),
  breaker: () => Promise.resolve(),
};
