import { expect } from 'chai';
import { Redis } from 'ioredis';
import { RedisKeys } from '../../../src/coordination/redis/redis-keys.ts';
import type { SelfReport } from '../../../src/coordination/leases.ts';
import type { RedisConnection } from '../../../src/coordination/redis/redis-connection.ts';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { RedisStore } from '../../../src/coordination/redis/redis-store.ts';
import { checkpoint, letter } from '../../support/records.ts';
import { redisLink, TestRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const TTL = 60_000;
const LEASES = Array.from({ length: 20 }, (_, n) => `GenesysCloud:r:client-${String(n)}`);
const me: SelfReport = { id: 'a', revision: 'r1', load: 0, ready: true, refusedLeases: [] };

/** Found and mended: A25. */
describe('a Redis Cluster', () => {
  let server: TestRedis;
  let link: RedisConnection;
  before(async () => {
    server = await TestRedis.start(['--cluster-enabled', 'yes']);
    const raw = new Redis({ host: '127.0.0.1', port: server.port });
    await raw.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await until('it serves', async () => String(await raw.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    raw.disconnect();
    link = redisLink({ options: { host: '127.0.0.1', port: server.port }, prefix: 'hf' });
    expect(await link.ready(5000)).to.equal(true);
  });
  after(async () => {
    link.close();
    await server.stop();
  });

  it('serves several clients whose keys lie in several slots', async () => {
    expect(new Set(LEASES.map((lease) => new RedisKeys('hf', lease).shard)).size).to.be.greaterThan(5);
    const leases = new RedisLeases(link, 'redlock');
    const store = new RedisStore(link);
    const sightings = await leases.observe(LEASES, me);
    expect([...sightings.keys()].sort()).to.deep.equal([...LEASES].sort());
    const requests = [];
    for (const lease of LEASES) {
      const view = sightings.get(lease)?.view;
      const want = { ttlMs: TTL, floor: 0, incarnation: view?.incarnation ?? '', fenceToken: '', beat: '' };
      const won = await leases.acquire(lease, want, me);
      if (won.kind !== 'won') throw new Error(won.kind);
      requests.push({ lease, token: won.token, epoch: won.epoch, notAfterStoreMs: 0 });
      expect(await store.save(lease, won.epoch, { s: checkpoint(won.epoch, 1) })).to.equal('stored');
      expect(await store.addDeadLetter(lease, letter('1'))).to.equal('stored');
      expect(await store.purgeDeadLetters(lease, 's')).to.equal(1);
    }
    const renewed = await leases.renew(requests, TTL, me);
    expect([...renewed.keys()].sort()).to.deep.equal([...LEASES].sort());
    expect([...renewed.values()].every((answer) => answer.kind === 'renewed')).to.equal(true);
    await leases.leave(LEASES, me.id);
    expect((await leases.observe(LEASES, { ...me, id: '' })).get(LEASES[3] ?? '')?.members).to.deep.equal([]);
  });
});
