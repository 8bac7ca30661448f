import { TIME_AND_ROOM, type Script } from './script-prelude.ts';

/**
 * KEYS slots (zset: stream -> expiry), info (hash: stream -> "class since"), wait (zset: stream -> since), seen (zset:
 * waiter -> expiry), pre (hash: victim -> deadline). ARGV stream, class, limit, slot ms, min hold ms, preempt ms, age
 * ms. Returns {1}, {0, place} or {2, ms left}. Slots never exceed the limit: a victim's slot ends before it is given
 * on.
 */
export const ADMIT: Script = {
  name: 'hfAdmit',
  keys: 5,
  lua: `${TIME_AND_ROOM}
local now = clock()
room(KEYS[2])
local me, class = ARGV[1], tonumber(ARGV[2])
local limit, slotMs, ageMs = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[7])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
  redis.call('HDEL', KEYS[5], gone)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now)) do
  redis.call('ZREM', KEYS[4], gone)
  redis.call('ZREM', KEYS[3], gone)
  redis.call('HDEL', KEYS[2], gone)
end
if redis.call('ZSCORE', KEYS[1], me) then
  local deadline = redis.call('HGET', KEYS[5], me)
  if deadline then return {2, whole(tonumber(deadline) - now)} end
  redis.call('ZADD', KEYS[1], now + slotMs, me)
  return {1}
end
if not redis.call('ZSCORE', KEYS[3], me) then
  redis.call('ZADD', KEYS[3], now, me)
  redis.call('HSET', KEYS[2], me, ARGV[2] .. ' ' .. whole(now))
end
redis.call('ZADD', KEYS[4], now + slotMs, me)
local function weight(stream, since)
  local c = tonumber(string.match(redis.call('HGET', KEYS[2], stream) or '2', '^%d')) or 2
  local aged = c - math.floor((now - since) / ageMs)
  if c > 0 and aged < 1 then aged = 1 end
  return aged * 2199023255552 + since
end
local waiting = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
local mine, place = weight(me, tonumber(redis.call('ZSCORE', KEYS[3], me))), 0
for i = 1, #waiting, 2 do
  if waiting[i] ~= me and weight(waiting[i], tonumber(waiting[i + 1])) < mine then place = place + 1 end
end
if limit - redis.call('ZCARD', KEYS[1]) > place then
  redis.call('ZREM', KEYS[3], me)
  redis.call('ZREM', KEYS[4], me)
  redis.call('ZADD', KEYS[1], now + slotMs, me)
  redis.call('HSET', KEYS[2], me, ARGV[2] .. ' ' .. whole(now))
  return {1}
end
if redis.call('HLEN', KEYS[5]) <= place then
  local victim, worst
  for _, held in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local info = redis.call('HGET', KEYS[2], held) or '2 0'
    local c, since = string.match(info, '^(%d) (%d+)$')
    c, since = tonumber(c or '2'), tonumber(since or '0')
    if c > class and now - since >= tonumber(ARGV[5]) and redis.call('HEXISTS', KEYS[5], held) == 0 then
      local w = c * 2199023255552 + since
      if not worst or w > worst then victim, worst = held, w end
    end
  end
  if victim then
    local deadline = now + tonumber(ARGV[6])
    redis.call('HSET', KEYS[5], victim, whole(deadline))
    redis.call('ZADD', KEYS[1], deadline, victim)
  end
end
return {0, place}
`,
};

/** KEYS as ADMIT. ARGV stream. */
export const LEAVE_POOL: Script = {
  name: 'hfLeavePool',
  keys: 5,
  lua: `
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
return 1
`,
};
