import { TIME_AND_ROOM, type Script } from './script-prelude.ts';

/**
 * One permit (GCRA). KEYS[1] gate hash, KEYS[2] fence. ARGV epoch ('' : any), field, capacity, refill ms.
 * Returns {1} granted, {0, ms to wait, why}, {-1} another epoch.
 */
export const PERMIT: Script = {
  name: 'hfPermit',
  keys: 2,
  lua: `${TIME_AND_ROOM}
-- Only a newer leader keeps somebody out: an heir connects before the lease is its own, and after a loss of data there
-- is no epoch at all.
if ARGV[1] ~= '' and (tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0') or 0) > tonumber(ARGV[1]) then
  return {-1}
end
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

/**
 * Sets a mark. KEYS as PERMIT. ARGV epoch, field, ms from now (0: remove), '1': only ever later. Returns 1, or 0 for
 * another epoch.
 */
export const MARK: Script = {
  name: 'hfMark',
  keys: 2,
  lua: `${TIME_AND_ROOM}
if (tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0') or 0) > tonumber(ARGV[1]) then return 0 end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[2])
  return 1
end
local till = clock() + tonumber(ARGV[3])
local old = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0') or 0
room(KEYS[1])
-- One that PERMIT does not believe (a wrong clock, no number) keeps nothing out.
if ARGV[4] ~= '1' or till > old or old ~= old or old - till > 86400000 then
  redis.call('HSET', KEYS[1], ARGV[2], whole(till))
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return 1
`,
};
