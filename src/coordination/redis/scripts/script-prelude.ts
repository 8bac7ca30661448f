/**
 * The Lua scripts: every change in Redis that must be atomic. Each touches only keys in its KEYS, which share one hash
 * tag; none trusts a client's clock; each is idempotent: the same call twice gives the same answer. They never judge
 * whether a replica may lead: that is core's. This file has the parts that they share; the adapters of
 * src/coordination/redis call them.
 */

/** A script with its declared number of keys; a test compares the two. */
export interface Script {
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

/**
 * The only clock of all scripts: test/coordination/redis/lease-differential.test.ts puts a key in its place. `clock()`
 * returns the store's time in ms.
 */
export const CLOCK = `
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`;

/** `whole(n)`: a number as decimal digits; Lua's own text of a large one has an exponent. */
const WHOLE = `
local function whole(n) return string.format('%.0f', n) end
`;

/**
 * `room(hash)`: from here on the script may write although the server is full (maxmemory with noeviction). A server
 * refuses a script's first write when it may need memory; HDEL never does, and after it every write is carried out,
 * because a script may not end half done (seen on Redis 6.2 to 8.10 and Valkey). Only for what must go on and is
 * bounded: leases, fences, checkpoints, sealed tokens, permits, places. Dead letters, reports and the registry of
 * connections must not use it: they are what a full server refuses first.
 */
export const ROOM = `
local function room(hash) redis.pcall('HDEL', hash, '') end
`;

/** What a script begins with that a full server may refuse: `clock` and `whole`. */
export const TIME = `${CLOCK}${WHOLE}`;

/** What a script begins with that must go on when the server is full: `clock`, `room` and `whole`. */
export const TIME_AND_ROOM = `${CLOCK}${ROOM}${WHOLE}`;

/**
 * As TIME_AND_ROOM, for scripts that give out fencing numbers. `epochOf(fence)`: `epoch` of a fence hash as a number,
 * nil when it is none; then the script answers with `unsoundEpoch()`.
 */
export const EPOCH = `${TIME_AND_ROOM}
local function epochOf(fence)
  local text = redis.call('HGET', fence, 'epoch') or '0'
  if not string.match(text, '^%d+$') or #text > 16 or tonumber(text) >= 9007199254740991 then return nil end
  return tonumber(text)
end
local function unsoundEpoch() return redis.error_reply('HFCORRUPT the epoch is not a number below 2^53') end
`;

/**
 * As EPOCH, for scripts over many leases; KEYS are lock, fence, incarnation and members of each. The answer `out`
 * begins with `now`, the store's time. `eachLease(act, ...)` adds what `act(lock, fence, inc, members, i)` returns for
 * the i-th lease, or the values given behind `act` where it fails: what is wrong with one lease does not touch the
 * others.
 */
export const MANY_LEASES = `${EPOCH}
local now = clock()
local out = {whole(now)}
local function eachLease(act, ...)
  local failed = {...}
  for i = 1, #KEYS / 4 do
    local done = {pcall(act, KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i], i)}
    for n = 1, #failed do out[#out + 1] = done[1] and done[n + 1] or failed[n] end
  end
end
`;
