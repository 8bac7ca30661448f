import { expect } from 'chai';
import { RedisKeys } from '../../../src/coordination/redis/redis-keys.ts';
import { ACQUIRE } from '../../../src/coordination/redis/scripts/lease-scripts.ts';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { SuiteRedis } from '../../support/suite-redis.ts';

const L = 'GenesysCloud:local:client';

describe('an acquisition that nobody completed', () => {
  const suite = new SuiteRedis();

  // Survivor of the mutants by hand: an undone acquisition says "released", and the next candidate skips the
  // quarantine.
  it('is undone by its release: the record says of the holder before what it said, not that it stopped', async () => {
    const link = await suite.link('undone');
    const leases = new RedisLeases(link, 'plain');
    const keys = new RedisKeys('undone', L);
    const before = { epoch: '5', token: 'earlier', state: 'held', beat: '9', conn: '12' };
    await suite.raw.hset(keys.fence, before);
    await link.script(ACQUIRE, [keys.lock, keys.fence], ['mine', '5000']);
    expect(await suite.raw.hget(keys.fence, 'token'), 'it was taken').to.equal('mine');
    expect(await leases.release(L, 'mine')).to.equal(true);
    expect(await suite.raw.get(keys.lock)).to.equal(null);
    const { epoch, token, state, beat } = before;
    expect(await suite.raw.hgetall(keys.fence)).to.include({ epoch, token, state, beat });
  });

  it('leaves no record where there was none', async () => {
    const link = await suite.link('none');
    const leases = new RedisLeases(link, 'plain');
    const keys = new RedisKeys('none', L);
    await link.script(ACQUIRE, [keys.lock, keys.fence], ['mine', '5000']);
    expect(await leases.release(L, 'mine')).to.equal(true);
    expect(await suite.raw.exists(keys.lock, keys.fence)).to.equal(0);
  });
});
