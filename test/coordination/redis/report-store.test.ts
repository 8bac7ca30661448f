import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { RedisConnection } from '../../../src/coordination/redis/redis-connection.ts';
import { ReportStore } from '../../../src/coordination/redis/report-store.ts';
import { redisLink, TestRedis } from '../../support/redis.ts';

describe('reports of sidecars', () => {
  let redis: TestRedis;
  let raw: Redis;
  let link: RedisConnection;
  const client = { namespace: 'n', name: 'c' };
  const KEY = 'hf:reports:n/c';

  before(async () => {
    redis = await TestRedis.start();
    raw = new Redis({ host: '127.0.0.1', port: redis.port });
    link = redisLink({ options: { host: '127.0.0.1', port: redis.port }, prefix: 'hf' });
    expect(await link.ready(5000)).to.equal(true);
  });
  after(async () => {
    link.close();
    raw.disconnect();
    await redis.stop();
  });
  beforeEach(async () => {
    await raw.flushall();
  });

  it('are read with their age, one a replica, for a while only', async () => {
    const reports = new ReportStore(link);
    await reports.write(client, 'a/1', '{"pod":"a"}');
    await reports.write(client, 'a/1', '{"pod":"a","again":true}');
    await reports.write(client, 'b/2', '{"pod":"b"}');
    const read = await reports.read(client);
    expect(read.map((one) => one.replica).sort()).to.deep.equal(['a/1', 'b/2']);
    expect(read.find((one) => one.replica === 'a/1')?.content).to.deep.equal({ pod: 'a', again: true });
    expect(read.every((one) => one.ageMs >= 0 && one.ageMs < 5000)).to.equal(true);
    expect(await raw.pttl(KEY)).to.be.within(1, 120_000);
    expect(await reports.read({ namespace: 'n', name: 'other' })).to.deep.equal([]);
  });

  it('old ones are not shown, and many old ones are thrown out', async () => {
    const reports = new ReportStore(link);
    for (let n = 0; n < 70; n += 1) await raw.hset(KEY, `old/${String(n)}`, '1000 {}');
    await raw.hset(KEY, 'garbage', 'x');
    await reports.write(client, 'new/1', '{}');
    expect(await raw.hkeys(KEY)).to.deep.equal(['new/1']);
    expect((await reports.read(client)).map((one) => one.replica)).to.deep.equal(['new/1']);
  });

  it('what is no JSON is no content, what is too large is not written', async () => {
    const reports = new ReportStore(link);
    await reports.write(client, 'a/1', 'not json');
    expect((await reports.read(client))[0]?.content).to.equal(undefined);
    expect(await reports.write(client, 'b/2', 'x'.repeat(300_000))).to.equal(false);
    expect(await raw.hlen(KEY)).to.equal(1);
  });
});
