import { TIME, type Script } from './script-prelude.ts';

/**
 * A full server refuses it: who watches can wait. KEYS[1] hash of one client's reports. ARGV replica, text, life ms,
 * many.
 */
export const REPORT: Script = {
  name: 'hfReport',
  keys: 1,
  lua: `${TIME}
local now = clock()
redis.call('HSET', KEYS[1], ARGV[1], whole(now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[3]) * 4)
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
  local all = redis.call('HGETALL', KEYS[1])
  -- RESP3 connections still hand Lua a flat list.
  for i = 1, #all, 2 do
    local at = tonumber(string.match(all[i + 1], '^(%d+) ') or '0')
    if now - at > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
return 1
`,
};

/** KEYS[1] as REPORT. Returns {now, field, value, ...}. */
export const READ_REPORTS: Script = {
  name: 'hfReadReports',
  keys: 1,
  lua: `${TIME}
local out = {whole(clock())}
for _, part in ipairs(redis.call('HGETALL', KEYS[1])) do out[#out + 1] = part end
return out
`,
};
