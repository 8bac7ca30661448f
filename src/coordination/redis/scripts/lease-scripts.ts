import { EPOCH, MANY_LEASES, type Script } from './script-prelude.ts';

/**
 * The scripts of the lease. Keys of one lease share its hash tag; a call for many leases is cut by tag where the server
 * is a cluster (redis-leases.ts). No clock but the store's; each script answers the same call twice with the same
 * result.
 */

/**
 * redlock's acquire hook. KEYS[1] lock, KEYS[2] fence. ARGV[1] token, ARGV[2] ttl in ms. Returns 0 when another token
 * holds the lock, else the number of keys (redlock compares it). A new token raises the epoch above the stored one and
 * to at least the store's clock, so that a store that lost its data does not hand out an old number.
 */
export const ACQUIRE: Script = {
  name: 'hfAcquire',
  keys: 2,
  lua: `${EPOCH}
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
room(KEYS[2])
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
  local stored = epochOf(KEYS[2])
  if not stored then return unsoundEpoch() end
  local f = redis.call('HMGET', KEYS[2], 'state', 'token', 'beat', 'conn')
  redis.call('HSET', KEYS[2], 'was', f[1] or 'none', 'wasToken', f[2] or '', 'wasBeat', f[3] or '',
    'wasConn', f[4] or '', 'wasEpoch', whole(stored))
  redis.call('HSET', KEYS[2], 'epoch', whole(math.max(stored + 1, clock())), 'token', ARGV[1], 'state', 'held',
    'conn', '', 'beat', '0')
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return #KEYS
`,
};

/**
 * redlock's extend hook, used by nobody but kept right: only for the holder, only the lock. KEYS and ARGV as ACQUIRE.
 */
export const EXTEND: Script = {
  name: 'hfExtend',
  keys: 2,
  lua: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return #KEYS
`,
};

/** Puts the fence record back as it was before an acquisition that nobody completed. */
const RESTORE = `
local function restore(fence)
  local was = redis.call('HMGET', fence, 'was', 'wasToken', 'wasBeat', 'wasEpoch', 'wasConn')
  if not was[2] or was[2] == '' then redis.call('DEL', fence)
  else redis.call('HSET', fence, 'state', was[1], 'token', was[2], 'beat', was[3], 'epoch', was[4], 'conn', was[5]) end
end
`;

/**
 * Returns redlock's release hook: compare, delete, record that the holder has stopped. KEYS[1] lock, KEYS[2] fence.
 * ARGV[1] token. The script returns the number of keys, or 0. An acquisition that was never completed is undone
 * instead: its release proves nothing about the holder before.
 */
export function releaseScript(channel: string): Script {
  return {
    name: 'hfRelease',
    keys: 2,
    lua: `${RESTORE}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
local f = redis.call('HMGET', KEYS[2], 'token', 'conn', 'beat', 'holder')
if f[1] == ARGV[1] then
  if f[2] == '' and f[3] == '0' and redis.call('HGET', KEYS[2], 'claimed') ~= ARGV[1] then restore(KEYS[2])
  else redis.call('HSET', KEYS[2], 'state', 'released', 'conn', '') end
end
redis.call('PUBLISH', '${channel}', 'changed ' .. KEYS[2])
return #KEYS
`,
  };
}

/**
 * Completes an acquisition. KEYS lock, fence, incarnation, members. ARGV token, watched incarnation, floor, holder,
 * connection, server, fresh incarnation, token and beat of the last holder as the caller watched them. Returns {'won',
 * epoch, store ms, incarnation}, {'lost'} or {'quarantine'}: nobody stopped cleanly, and the store or the last holder
 * is not the one that the caller watched for a ttl. Then everything is as it was before, so that the holder that still
 * acts can take its lock back.
 */
export const CLAIM_LEASE: Script = {
  name: 'hfClaimLease',
  keys: 4,
  lua: `${EPOCH}${RESTORE}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
room(KEYS[2])
redis.call('SET', KEYS[3], ARGV[7], 'NX')
local inc = redis.call('GET', KEYS[3])
local was = redis.call('HMGET', KEYS[2], 'was', 'wasToken', 'wasBeat')
if was[1] ~= 'released' and was[1] ~= 'broken' and (inc ~= ARGV[2] or was[2] ~= ARGV[8] or was[3] ~= ARGV[9]) then
  redis.call('DEL', KEYS[1])
  restore(KEYS[2])
  return {'quarantine'}
end
local epoch = epochOf(KEYS[2])
if not epoch then return unsoundEpoch() end
local floor = tonumber(ARGV[3])
if floor >= epoch then epoch = floor + 1 end
local now = clock()
redis.call('HSET', KEYS[2], 'epoch', whole(epoch), 'holder', ARGV[4], 'conn', ARGV[5], 'run', ARGV[6], 'since',
  whole(now), 'claimed', ARGV[1])
return {'won', whole(epoch), whole(now), inc}
`,
};

/**
 * Renews many leases. KEYS per lease: lock, fence, incarnation, members. ARGV ttl, member id, member record (empty: it
 * stands as it is), connection, server, fresh incarnation, holder; then per lease: token, epoch, latest store ms at
 * which a forgotten lease may be taken back. Returns {store ms, then per lease: 1 renewed, 3 renewed but the record was
 * gone, 0 lost, 2 forgotten, -1 unreadable; incarnation}. A lock that merely expired is taken back by the token that
 * held it last, unless that one gave it back; one of which the store knows nothing only within the time its holder was
 * sure of. What is wrong with one lease does not touch the others.
 */
export const RENEW_MANY: Script = {
  name: 'hfRenewMany',
  keys: 0,
  lua: `${MANY_LEASES}
local incarnations = {}
local function renew(lock, fence, inc, members, i)
  local token, epoch, notAfter = ARGV[3 * i + 5], ARGV[3 * i + 6], tonumber(ARGV[3 * i + 7])
  room(fence)
  if not incarnations[inc] then
    -- Read first: what is there needs no write.
    incarnations[inc] = redis.call('GET', inc)
    if not incarnations[inc] then
      redis.call('SET', inc, ARGV[6])
      incarnations[inc] = ARGV[6]
    end
  end
  local held = redis.call('GET', lock)
  local last = redis.call('HMGET', fence, 'token', 'state', 'conn', 'run')
  local code = 0
  if held and held ~= token or last[1] and last[1] ~= token then code = 0
  elseif held then code = last[1] and 1 or 3
  elseif last[1] then code = last[2] == 'released' and 0 or 1
  else code = now <= notAfter and 3 or 2 end
  if code == 3 then redis.call('HSET', fence, 'epoch', epoch, 'token', token, 'beat', out[1]) end
  if code == 1 or code == 3 then
    if held then redis.call('PEXPIRE', lock, ARGV[1]) else redis.call('SET', lock, token, 'PX', ARGV[1]) end
    if last[2] ~= 'held' or last[3] ~= ARGV[4] or last[4] ~= ARGV[5] then
      redis.call('HSET', fence, 'state', 'held', 'conn', ARGV[4], 'run', ARGV[5], 'holder', ARGV[7], 'claimed', token)
    end
    redis.call('HINCRBY', fence, 'beat', 1)
    if ARGV[3] ~= '' then redis.call('HSET', members, ARGV[2], out[1] .. ' ' .. ARGV[3]) end
  end
  return code, incarnations[inc]
end
eachLease(renew, -1, '')
return out
`,
};

/**
 * Looks at many leases. KEYS as RENEW_MANY. ARGV member id, member record (empty: only look), fresh incarnation, ms
 * after which a silent member is forgotten. Returns {store ms, then per lease: {token, pttl, epoch, fence token, state,
 * connection, server, beat, incarnation, holder, members as a flat list}, or 'unreadable'}.
 */
export const OBSERVE_MANY: Script = {
  name: 'hfObserveMany',
  keys: 0,
  lua: `${MANY_LEASES}
local function look(lock, fence, inc, members)
  room(members)
  redis.call('SET', inc, ARGV[3], 'NX')
  if ARGV[2] ~= '' then redis.call('HSET', members, ARGV[1], out[1] .. ' ' .. ARGV[2]) end
  local list = redis.call('HGETALL', members)
  local kept = {}
  for m = 1, #list, 2 do
    local seen = tonumber(string.match(list[m + 1], '^%d+'))
    if not seen or now - seen > tonumber(ARGV[4]) then redis.call('HDEL', members, list[m])
    else
      kept[#kept + 1] = list[m]
      kept[#kept + 1] = list[m + 1]
    end
  end
  local held = redis.call('GET', lock)
  local f = redis.call('HMGET', fence, 'epoch', 'token', 'state', 'conn', 'run', 'beat', 'holder')
  for n = 1, 7 do if not f[n] then f[n] = '' end end
  if f[1] ~= '' and not epochOf(fence) then return 'unreadable' end
  return {held or '', redis.call('PTTL', lock), f[1], f[2], f[3], f[4], f[5], f[6], redis.call('GET', inc), f[7], kept}
end
eachLease(look, 'unreadable')
return out
`,
};

/**
 * Gives a lease to an heir in one instant. KEYS lock, fence. ARGV token, epoch, the heir's token, ttl, heir, channel,
 * the heir's epoch. Returns 1 done (also when it was done before), 0 the caller does not hold it.
 */
export const TRANSFER: Script = {
  name: 'hfTransfer',
  keys: 2,
  lua: `${EPOCH}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  if redis.call('HGET', KEYS[2], 'token') == ARGV[3] then return 1 end
  return 0
end
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[2] or tonumber(ARGV[7]) <= tonumber(ARGV[2]) then return 0 end
room(KEYS[2])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('HSET', KEYS[2], 'epoch', ARGV[7], 'token', ARGV[3], 'state', 'held', 'was', 'held', 'claimed', ARGV[3],
  'conn', '', 'holder', ARGV[5], 'beat', '0', 'since', whole(clock()))
redis.call('PUBLISH', ARGV[6], 'changed ' .. KEYS[2])
return 1
`,
};

/**
 * Removes the lock of a holder that is known to have stopped. KEYS lock, fence. ARGV token, connection ('*': any),
 * channel, beat. Returns 1 removed, 0 somebody newer is there. Cannot hurt a newer holder: token and connection must be
 * exactly those of the evidence.
 */
export const BREAK: Script = {
  name: 'hfBreak',
  keys: 2,
  lua: `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
  -- A lock that no record belongs to is nobody's: only its age tells.
  if ARGV[2] ~= '*' or not held then return 0 end
  redis.call('DEL', KEYS[1])
  return 1
end
if redis.call('HGET', KEYS[2], 'beat') ~= ARGV[4] then return 0 end
if ARGV[2] ~= '*' and redis.call('HGET', KEYS[2], 'conn') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], 'state', 'broken', 'conn', '')
redis.call('PUBLISH', ARGV[3], 'changed ' .. KEYS[2])
return 1
`,
};

/** Leaves the candidates. KEYS: members of each lease. ARGV member id. */
export const LEAVE: Script = {
  name: 'hfLeave',
  keys: 0,
  lua: `
for i = 1, #KEYS do redis.call('HDEL', KEYS[i], ARGV[1]) end
return #KEYS
`,
};
