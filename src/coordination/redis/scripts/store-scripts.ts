import { EPOCH, ROOM, type Script } from './script-prelude.ts';

/**
 * The scripts of epochs, checkpoints, sealed values and dead letters. Numbers travel as strings: Lua would round epochs
 * above 2^53 in arithmetic we do not need.
 */

/**
 * Takes the next fencing number of a client. KEYS[1] fence hash {epoch, holder}. ARGV[1] holder identity, ARGV[2]
 * highest epoch the caller ever saw. Returns the new epoch as a string: above the stored one, above the caller's floor,
 * at least the store's clock in ms, so that a store that lost its data does not hand out an old number.
 */
export const CLAIM: Script = {
  name: 'hfClaim',
  keys: 1,
  lua: `${EPOCH}
local stored = epochOf(KEYS[1])
if not stored then return unsoundEpoch() end
local epoch = whole(math.max(stored + 1, tonumber(ARGV[2]) + 1, clock()))
room(KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', epoch, 'holder', ARGV[1])
return epoch
`,
};

/**
 * Writes checkpoints, all or none. KEYS[1] fence hash, KEYS[2] checkpoint hash. ARGV[1] epoch; then four per stream:
 * stream, index, count of what is settled ahead, record. Returns 1 stored, 0 fenced (another epoch), -1 regressed (a
 * stored index is higher, or the same with more settled ahead).
 */
export const SAVE: Script = {
  name: 'hfSave',
  keys: 2,
  lua: `${ROOM}
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 4 do
  local stored = redis.call('HMGET', KEYS[2], ARGV[i] .. '#index', ARGV[i] .. '#ahead')
  local index, ahead = tonumber(stored[1] or '0') or 0, tonumber(stored[2] or '0') or 0
  if index > tonumber(ARGV[i + 1]) or index == tonumber(ARGV[i + 1]) and ahead > tonumber(ARGV[i + 2]) then
    return -1
  end
end
room(KEYS[2])
for i = 2, #ARGV, 4 do
  redis.call('HSET', KEYS[2], ARGV[i] .. '#index', ARGV[i + 1], ARGV[i] .. '#ahead', ARGV[i + 2], ARGV[i], ARGV[i + 3])
end
return 1
`,
};

/**
 * Puts a record back that the store has lost. KEYS[1] checkpoint hash. ARGV[1] stream, ARGV[2] index, ARGV[3] count of
 * what is settled ahead, ARGV[4] record. Returns 1 written, 0 there is one. Needs no epoch: it writes only where
 * nothing is, and only what was acknowledged once.
 */
export const SEED: Script = {
  name: 'hfSeed',
  keys: 1,
  lua: `${ROOM}
room(KEYS[1])
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[4]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. '#index', ARGV[2], ARGV[1] .. '#ahead', ARGV[3])
return 1
`,
};

/**
 * Writes one sealed value. KEYS[1] fence hash, KEYS[2] sealed hash. ARGV[1] epoch, ARGV[2] name, ARGV[3] value.
 * Returns 1 stored, 0 fenced.
 */
export const SAVE_SEALED: Script = {
  name: 'hfSaveSealed',
  keys: 2,
  lua: `${ROOM}
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
room(KEYS[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
`,
};

/**
 * Adds a dead letter. KEYS[1] letters hash, KEYS[2] index zset (all scores 0: sorted by id), KEYS[3] their bytes.
 * ARGV[1] id, ARGV[2] record, ARGV[3] limit of letters, ARGV[4] limit of bytes. Returns 1 stored (one that was there is
 * replaced), 0 full. A full server refuses it: what holds the streams comes first.
 */
export const ADD_LETTER: Script = {
  name: 'hfAddLetter',
  keys: 3,
  lua: `
local old, count = redis.call('HSTRLEN', KEYS[1], ARGV[1]), redis.call('ZCARD', KEYS[2])
if old == 0 and count >= tonumber(ARGV[3]) then return 0 end
local bytes = count == 0 and 0 or tonumber(redis.call('GET', KEYS[3]) or '0') or 0
bytes = bytes - old + #ARGV[2]
if bytes > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('SET', KEYS[3], bytes)
return 1
`,
};

/**
 * Removes a dead letter. KEYS as ADD_LETTER. ARGV[1] id. Returns how many were removed. Works on a full server: its
 * first write frees memory.
 */
export const REMOVE_LETTER: Script = {
  name: 'hfRemoveLetter',
  keys: 3,
  lua: `
local old = redis.call('HSTRLEN', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local removed = redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[3])
else redis.call('SET', KEYS[3], math.max(0, (tonumber(redis.call('GET', KEYS[3]) or '0') or 0) - old)) end
return removed
`,
};

/** Removes all dead letters of a stream. KEYS as ADD_LETTER. Returns how many there were. */
export const PURGE_LETTERS: Script = {
  name: 'hfPurgeLetters',
  keys: 3,
  lua: `
local count = redis.call('ZCARD', KEYS[2])
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return count
`,
};

export const SCRIPTS: readonly Script[] = [CLAIM, SAVE, SEED, SAVE_SEALED, ADD_LETTER, REMOVE_LETTER, PURGE_LETTERS];
