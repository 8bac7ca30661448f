import { TIME, type Script } from './script-prelude.ts';

/**
 * The scripts of the connection registry. Time is the store's; the reaper never believes a single look. A full server
 * refuses them: only the view of other replicas depends on them.
 */

/** `now` is the store's time in ms for the whole script. */
const NOW = `${TIME}
local now = clock()
`;

/**
 * Heartbeats of many connections. KEYS[1] index (id -> last pong), KEYS[2] suspects: who lives is none any more,
 * KEYS[3..] their hashes. ARGV[1] life in ms; then ten per connection: id, ms since the last pong, platform, tenant,
 * state, retry count, client, stream, pod, epoch. Returns how many were written; a key of ours that holds something
 * else is left alone.
 */
export const HEARTBEAT: Script = {
  name: 'hfHeartbeat',
  keys: 0,
  lua: `${NOW}
local written = 0
for i = 3, #KEYS do
  local at = 2 + (i - 3) * 10
  local pong = whole(now - tonumber(ARGV[at + 1]))
  local done = redis.pcall('HSET', KEYS[i], 'socketId', ARGV[at], 'lastPong', pong, 'platform', ARGV[at + 2],
    'tenantId', ARGV[at + 3], 'state', ARGV[at + 4], 'retryCount', ARGV[at + 5], 'client', ARGV[at + 6], 'stream',
    ARGV[at + 7], 'pod', ARGV[at + 8], 'epoch', ARGV[at + 9])
  if type(done) ~= 'table' then
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
    redis.call('ZADD', KEYS[1], pong, ARGV[at])
    redis.call('ZREM', KEYS[2], ARGV[at])
    written = written + 1
  elseif not string.find(done.err, 'WRONGTYPE', 1, true) then return done
  end
end
return written
`,
};

/** Connections that ended in order. KEYS[1] index, KEYS[2] suspects, KEYS[3..] hashes. ARGV ids. */
export const REMOVE: Script = {
  name: 'hfRemoveConnections',
  keys: 0,
  lua: `
for i = 3, #KEYS do
  redis.call('UNLINK', KEYS[i])
  redis.call('ZREM', KEYS[1], ARGV[i - 2])
  redis.call('ZREM', KEYS[2], ARGV[i - 2])
end
return #KEYS - 2
`,
};

/**
 * Ids whose last pong is older than ARGV[1] ms, oldest first, at most ARGV[2]. KEYS[1] index; what no id of ours can
 * be (other than ASCII, longer than ARGV[3]) leaves it.
 */
export const OVERDUE: Script = {
  name: 'hfOverdue',
  keys: 1,
  lua: `${NOW}
local ids = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])) do
  if #id > tonumber(ARGV[3]) or string.find(id, '[\\128-\\255]') then redis.call('ZREM', KEYS[1], id)
  else ids[#ids + 1] = id end
end
return ids
`,
};

/**
 * Hashes that are not in the index are put there, by their own last pong. KEYS[1] index, KEYS[2..] hashes. ARGV ids.
 * Returns how many were new.
 */
export const ADOPT: Script = {
  name: 'hfAdopt',
  keys: 0,
  lua: `${NOW}
local added = 0
for i = 2, #KEYS do
  local pong = redis.pcall('HGET', KEYS[i], 'lastPong')
  if type(pong) ~= 'table' then
    local n = pong and tonumber(pong) or 0
    if n ~= n or n < 0 or n > now then n = 0 end
    added = added + redis.call('ZADD', KEYS[1], 'NX', whole(n), ARGV[i - 1])
  end
end
return added
`,
};

/**
 * The reaper's verdict on connections that look dead. KEYS[1] index, KEYS[2] suspects, KEYS[3..] hashes. ARGV dead
 * after ms, distance of two looks ms, channel, then ids. First look: suspected. Second look, the same last pong: state
 * DEAD, published, deleted, in one step, so that a connection revived in between cannot be removed. Returns the ids
 * that were purged.
 */
export const REAP: Script = {
  name: 'hfReap',
  keys: 0,
  lua: `${NOW}
local dead = {}
for i = 3, #KEYS do
  local id = ARGV[i + 1]
  local pong = redis.pcall('HGET', KEYS[i], 'lastPong')
  if type(pong) == 'table' or not pong and redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
  else
    local n = pong and tonumber(pong)
    if not n or n ~= n then n = 0 end
    if n > now + 5000 then
      -- A clock that runs ahead must not make a connection immortal.
      redis.call('HSET', KEYS[i], 'lastPong', whole(now))
      n = now
    end
    local since = redis.call('ZSCORE', KEYS[2], id)
    if now - n < tonumber(ARGV[1]) then
      redis.call('ZADD', KEYS[1], whole(n), id)
      redis.call('ZREM', KEYS[2], id)
    elseif not since then
      redis.call('ZADD', KEYS[2], whole(now), id)
    elseif now - tonumber(since) >= tonumber(ARGV[2]) then
      redis.call('HSET', KEYS[i], 'state', 'DEAD')
      redis.call('PUBLISH', ARGV[3], cjson.encode({kind = 'dead', connection = id}))
      redis.call('UNLINK', KEYS[i])
      redis.call('ZREM', KEYS[1], id)
      redis.call('ZREM', KEYS[2], id)
      dead[#dead + 1] = id
    end
  end
end
return dead
`,
};
