/** A script with its declared number of keys; a test compares the two. */
export interface Script {
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

/**
 * What the Lua scripts begin with. The only clock of all of them stands here, once:
 * test/coordination/redis/lease-differential.test.ts puts a key in its place. `clock()` returns the store's time in ms.
 */
export const CLOCK = `
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`;

/** `whole(n)`: a number as decimal digits; Lua's own text of a large one has an exponent. */
export const WHOLE = `
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
