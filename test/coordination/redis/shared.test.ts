import { expect } from 'chai';
import type { PoolRequest } from '../../../src/coordination/stream-pool.ts';
import { RedisKeys } from '../../../src/coordination/redis/redis-keys.ts';
import type { RedisConnection } from '../../../src/coordination/redis/redis-connection.ts';
import { RedisPool } from '../../../src/coordination/redis/redis-pool.ts';
import { ConnectionRegistry, type Heartbeat } from '../../../src/coordination/redis/connection-registry.ts';
import { RedisLimits } from '../../../src/coordination/redis/redis-limits.ts';
import { SuiteRedis } from '../../support/suite-redis.ts';
import { until } from '../../support/until.ts';

const suite = new SuiteRedis();
let serial = 0;

function fresh(): Promise<RedisConnection> {
  serial += 1;
  return suite.link(`g${String(serial)}`);
}

/** The store's clock is what the scripts go by. */
async function storeTimePasses(ms: number): Promise<void> {
  const now = async (): Promise<number> => {
    const [seconds, micros] = await suite.raw.time();
    return Number(seconds) * 1000 + Number(micros) / 1000;
  };
  const end = (await now()) + ms;
  await until("the store's clock has moved", async () => (await now()) > end);
}

describe('the registry of connections and its reaper', () => {
  const beat = (connectionId: string, silentMs: number): Heartbeat => ({
    connectionId,
    silentMs,
    platform: 'genesys',
    tenantId: 't',
    state: 'ACTIVE',
    retryCount: 2,
    client: 'c',
    stream: 's',
    pod: 'ns/p',
    epoch: 7,
  });
  const POLICY = { lifeMs: 120_000, deadAfterMs: 300, sweepEveryMs: 100 };
  const hash = (id: string): string => `g${String(serial)}:ws:conn:${id}`;
  const sweeps = async (registry: ConnectionRegistry, until_: () => Promise<boolean>): Promise<void> =>
    until('the reaper has done it', async () => {
      await registry.sweep();
      return until_();
    });

  it('writes the fields of S4 with a life of 120 s', async () => {
    const registry = new ConnectionRegistry(await fresh(), POLICY);
    await registry.heartbeat([beat('one', 0)]);
    expect(await suite.raw.hgetall(hash('one'))).to.include({
      socketId: 'one',
      platform: 'genesys',
      tenantId: 't',
      state: 'ACTIVE',
      retryCount: '2',
      stream: 's',
      pod: 'ns/p',
    });
    expect(Number(await suite.raw.hget(hash('one'), 'lastPong'))).to.be.closeTo(Date.now(), 2000);
    expect(await suite.raw.pttl(hash('one'))).to.be.within(110_000, 120_000);
    await registry.remove(['one']);
    expect(await suite.raw.exists(hash('one'))).to.equal(0);
  });

  it('declares the silent dead after two looks, tells everybody, deletes; leaves the living alone', async () => {
    const link = await fresh();
    const registry = new ConnectionRegistry(link, POLICY);
    const told: string[] = [];
    const ear = suite.raw.duplicate();
    await ear.subscribe(`g${String(serial)}:ev`);
    ear.on('message', (_channel, text: string) => told.push(text));
    await registry.heartbeat([beat('dead', 1000), beat('living', 0)]);
    await registry.sweep();
    expect(await suite.raw.exists(hash('dead')), 'one look is not enough').to.equal(1);
    await sweeps(registry, async () => {
      await registry.heartbeat([beat('living', 0)]);
      return (await suite.raw.exists(hash('dead'))) === 0;
    });
    expect(await suite.raw.exists(hash('living'))).to.equal(1);
    await until('it is told', () => told.some((text) => text.includes('"dead"')));
    ear.disconnect();
  });

  it('one that comes back between the two looks lives', async () => {
    const registry = new ConnectionRegistry(await fresh(), POLICY);
    await registry.heartbeat([beat('back', 1000)]);
    await registry.sweep();
    expect(await suite.raw.zscore(`g${String(serial)}:ws:suspects`, 'back')).to.not.equal(null);
    await registry.heartbeat([beat('back', 0)]);
    expect(await suite.raw.zscore(`g${String(serial)}:ws:suspects`, 'back'), 'no suspicion is left').to.equal(null);
    expect(await suite.raw.exists(hash('back'))).to.equal(1);
  });

  it('finds hashes no index knows; survives garbage, hostile names and clocks that run ahead', async () => {
    const registry = new ConnectionRegistry(await fresh(), POLICY);
    await suite.raw.hset(hash('orphan'), 'lastPong', '1', 'socketId', 'orphan');
    await suite.raw.hset(hash('nonsense'), 'lastPong', 'yesterday');
    await suite.raw.hset(hash('empty'), 'state', 'ACTIVE');
    await suite.raw.hset(hash('ahead'), 'lastPong', String(Date.now() + 3_600_000));
    await suite.raw.set(hash('text'), 'not ours');
    await suite.raw.hset(`${hash('')}${'x'.repeat(300)}`, 'lastPong', '1');
    await suite.raw.hset(hash('bin\u0000ary\n'), 'lastPong', '1');
    const index = `g${String(serial)}:ws:index`;
    const noText = Buffer.from([0xff, 0xfe]);
    await suite.raw.hset(Buffer.concat([Buffer.from(hash('')), noText]), 'lastPong', '1');
    await suite.raw.zadd(index, '1', noText, '1', 'y'.repeat(300));
    await sweeps(
      registry,
      async () =>
        (await suite.raw.exists(hash('orphan'), hash('nonsense'), hash('empty'), hash('bin\u0000ary\n'))) === 0,
    );
    expect(await suite.raw.get(hash('text')), 'never deleted blindly').to.equal('not ours');
    expect(await suite.raw.exists(Buffer.concat([Buffer.from(hash('')), noText]))).to.equal(1);
    expect(
      (await suite.raw.zrange(index, '0', '-1')).filter((id) => !['ahead', 'text'].includes(id)),
      'nothing that cannot be reaped keeps a place',
    ).to.deep.equal([]);
    await sweeps(registry, async () => (await suite.raw.exists(hash('ahead'))) === 0);
  });

  it('one replica sweeps at a time', async () => {
    const link = await fresh();
    const registries = [1, 2, 3, 4, 5].map(() => new ConnectionRegistry(link, { ...POLICY, sweepEveryMs: 10_000 }));
    const answers = await Promise.all(registries.map((one) => one.sweep()));
    expect(answers.filter((answer) => answer !== undefined).length).to.equal(1);
  });
});

describe('restraint that outlives a leader', () => {
  it('never grants more than the bucket in any window, whoever asks', async () => {
    const link = await fresh();
    const keys = new RedisKeys(link.prefix, 'L');
    await suite.raw.hset(keys.fence, 'epoch', '5');
    const restraint = new RedisLimits(link);
    const bucket = { capacity: 3, refillEveryMs: 200 };
    const granted: number[] = [];
    const endsAt = performance.now() + 1000;
    while (performance.now() < endsAt) {
      const permit = await restraint.permit('L', 5, 'dial', bucket);
      if (permit.kind === 'granted') granted.push(performance.now());
      else if (permit.kind === 'wait') await storeTimePasses(Math.min(permit.ms, 50));
    }
    expect(granted.length).to.be.within(6, 9);
    for (const [index, t] of granted.entries())
      expect(
        granted.filter((other) => other >= t - 5 && other < t + 400).length,
        `window from ${String(index)}`,
      ).to.be.at.most(3 + 400 / 200 + 1);
  });

  it('a full bucket gives its capacity at once, and says how long the next one waits', async () => {
    const link = await fresh();
    await suite.raw.hset(new RedisKeys(link.prefix, 'L').fence, 'epoch', '5');
    const restraint = new RedisLimits(link);
    const bucket = { capacity: 3, refillEveryMs: 600_000 };
    const kinds: string[] = [];
    for (let n = 0; n < 3; n += 1) kinds.push((await restraint.permit('L', 5, 'dial', bucket)).kind);
    expect(kinds).to.deep.equal(['granted', 'granted', 'granted']);
    const fourth = await restraint.permit('L', 5, 'dial', bucket);
    expect(fourth).to.deep.include({ kind: 'wait', why: 'rate' });
    expect(fourth.kind === 'wait' ? fourth.ms : 0).to.be.within(500_000, 600_000);
  });

  it('a hold and an open breaker stand for the next leader; another epoch gets nothing', async () => {
    const link = await fresh();
    const { fence } = new RedisKeys(link.prefix, 'L');
    await suite.raw.hset(fence, 'epoch', '5');
    const restraint = new RedisLimits(link);
    const bucket = { capacity: 3, refillEveryMs: 200 };
    await restraint.hold('L', 5, 60_000);
    await restraint.hold('L', 5, 1000);
    await suite.raw.hset(fence, 'epoch', '6');
    expect(await restraint.permit('L', 5, 'dial', bucket)).to.deep.equal({ kind: 'fenced' });
    const held = await restraint.permit('L', 6, 'dial', bucket);
    expect(held).to.deep.include({ kind: 'wait', why: 'hold' });
    expect(held.kind === 'wait' ? held.ms : 0).to.be.within(55_000, 60_000);
    expect((await restraint.permit('L', 6, 'token', bucket)).kind, 'tokens are another matter').to.equal('granted');
    await suite.raw.del(new RedisKeys(link.prefix, 'L').gate);
    await restraint.breaker('L', 6, 5000);
    expect(await restraint.permit('L', 6, 'dial', bucket)).to.deep.include({ kind: 'wait', why: 'breaker' });
    await restraint.breaker('L', 6, 0);
    expect((await restraint.permit('L', 6, 'dial', bucket)).kind).to.equal('granted');
  });
});

describe('the pool of a tenant', () => {
  const ask = (stream: string, priority: 0 | 1 | 2, limit = 2): PoolRequest => ({
    tenant: 'acme',
    stream,
    priority,
    limit,
  });

  it('never exceeds its limit; who waits goes in by class, then by time', async () => {
    const pool = new RedisPool(await fresh());
    expect((await pool.admit(ask('a', 1))).kind).to.equal('granted');
    expect((await pool.admit(ask('b', 1))).kind).to.equal('granted');
    expect(await pool.admit(ask('low', 2))).to.deep.include({ kind: 'queued', place: 0 });
    expect(await pool.admit(ask('normal', 1))).to.deep.include({ kind: 'queued', place: 0 });
    expect(await pool.admit(ask('low', 2))).to.deep.include({ kind: 'queued', place: 1 });
    await pool.leave(ask('a', 1));
    expect((await pool.admit(ask('low', 2))).kind, 'not before the better one').to.equal('queued');
    expect((await pool.admit(ask('normal', 1))).kind).to.equal('granted');
    expect((await pool.admit(ask('b', 1))).kind, 'renewed').to.equal('granted');
  });

  it('a more important stream preempts the least important, youngest one, after its time', async () => {
    const pool = new RedisPool(await fresh(), { minHoldMs: 0, preemptMs: 100, ageMs: 600_000 });
    await pool.admit(ask('old-low', 2));
    await storeTimePasses(5);
    await pool.admit(ask('young-low', 2));
    expect((await pool.admit(ask('high', 0))).kind).to.equal('queued');
    expect((await pool.admit(ask('old-low', 2))).kind).to.equal('granted');
    expect((await pool.admit(ask('young-low', 2))).kind).to.equal('revoked');
    await pool.leave(ask('young-low', 2));
    expect((await pool.admit(ask('high', 0))).kind).to.equal('granted');
    expect((await pool.admit(ask('young-low', 2))).kind).to.equal('queued');
  });

  it('preempts no equal, none before its time, and no more than one for one that waits', async () => {
    const both = async (pool: RedisPool): Promise<string[]> => {
      const slots = [await pool.admit(ask('a', 1)), await pool.admit(ask('b', 1))];
      return slots.map(({ kind }) => kind).sort();
    };
    const quick = new RedisPool(await fresh(), { minHoldMs: 0, preemptMs: 5000, ageMs: 600_000 });
    await both(quick);
    expect((await quick.admit(ask('equal', 1))).kind).to.equal('queued');
    expect(await both(quick)).to.deep.equal(['granted', 'granted']);
    await quick.leave(ask('equal', 1));
    await quick.admit(ask('high', 0));
    await quick.admit(ask('high', 0));
    expect(await both(quick)).to.deep.equal(['granted', 'revoked']);
    const patient = new RedisPool(await fresh(), { minHoldMs: 60_000, preemptMs: 5000, ageMs: 600_000 });
    await both(patient);
    await patient.admit(ask('high', 0));
    expect(await both(patient)).to.deep.equal(['granted', 'granted']);
  });

  it('ageing lifts who waits long, but never into the first class', async () => {
    const pool = new RedisPool(await fresh(), { minHoldMs: 60_000, preemptMs: 100, ageMs: 20 });
    await pool.admit(ask('a', 0, 1));
    await pool.admit(ask('low', 2, 1));
    await storeTimePasses(60);
    expect(await pool.admit(ask('normal', 1, 1)), 'the aged one is before it').to.deep.include({
      kind: 'queued',
      place: 1,
    });
    expect(await pool.admit(ask('high', 0, 1)), 'but not before the first class').to.deep.include({
      kind: 'queued',
      place: 0,
    });
  });
});
