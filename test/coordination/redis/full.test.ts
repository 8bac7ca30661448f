import { expect } from 'chai';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { RedisKeys } from '../../../src/coordination/redis/redis-keys.ts';
import type { SelfReport } from '../../../src/coordination/leases.ts';
import type { RedisConnection } from '../../../src/coordination/redis/redis-connection.ts';
import { RedisPool } from '../../../src/coordination/redis/redis-pool.ts';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { RedisStore, type StoreCondition } from '../../../src/coordination/redis/redis-store.ts';
import { ConnectionRegistry } from '../../../src/coordination/redis/connection-registry.ts';
import { ReportStore } from '../../../src/coordination/redis/report-store.ts';
import { RedisLimits } from '../../../src/coordination/redis/redis-limits.ts';
import { HoldfastError } from '../../../src/core/errors.ts';
import { StoreWatch } from '../../../src/sidecar/replica/store-watch.ts';
import { checkpoint, letter } from '../../support/records.ts';
import { redisLink, TestRedis } from '../../support/redis.ts';

const TTL = 60_000;
const L = 'GenesysCloud:r:client';
const me = (id: string): SelfReport => ({ id, revision: 'r1', load: 0, ready: true, refusedLeases: [] });

/** Found and mended: D6. */
describe('a Redis that is full (maxmemory, noeviction)', () => {
  let server: TestRedis;
  let raw: Redis;
  let link: RedisConnection;
  let leases: RedisLeases;
  let store: RedisStore;
  before(async () => {
    server = await TestRedis.start(['--maxmemory', '4mb', '--maxmemory-policy', 'noeviction']);
    raw = new Redis({ host: '127.0.0.1', port: server.port });
    link = redisLink({ options: { host: '127.0.0.1', port: server.port }, prefix: 'hf' });
    expect(await link.ready(5000)).to.equal(true);
    leases = new RedisLeases(link, 'plain');
    store = new RedisStore(link);
  });
  after(async () => {
    raw.disconnect();
    link.close();
    await server.stop();
  });

  async function win(lease: string, id: string, of = leases) {
    const view = (await of.observe([lease], me(id))).get(lease)?.view;
    if (view === undefined) throw new Error('no sighting');
    const want = {
      ttlMs: TTL,
      floor: 0,
      incarnation: view.incarnation,
      fenceToken: view.fenceToken,
      beat: view.beat,
    };
    const answer = await of.acquire(lease, want, me(id));
    if (answer.kind !== 'won') throw new Error(answer.kind);
    return answer;
  }
  const refusal = async (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => 'carried out',
      (error: unknown) => (error instanceof HoldfastError ? error.details['answer'] : error),
    );
  /** Somebody else fills it up to the last byte. */
  async function fill(): Promise<void> {
    for (const bytes of [100_000, 1000, 10])
      for (let n = 0; ; n += 1) {
        const answer = await raw.set(`other:${String(bytes)}:${String(n)}`, 'x'.repeat(bytes)).catch(() => 'full');
        if (answer === 'full') break;
      }
  }

  it('goes on with what holds the streams, and refuses what can wait', async () => {
    const held = await win(L, 'a');
    expect(await store.save(L, held.epoch, { s: checkpoint(held.epoch, 1) })).to.equal('stored');
    await fill();
    const renew = async (token: string, epoch: number, lease = L) =>
      (await leases.renew([{ lease, token, epoch, notAfterStoreMs: 0 }], TTL, me('a'))).get(lease);
    expect(await renew(held.token, held.epoch), 'a renewal').to.deep.include({ kind: 'renewed' });
    await raw.pexpire(new RedisKeys('hf', L).lock, 1000);
    expect(await renew(held.token, held.epoch)).to.deep.include({ kind: 'renewed' });
    expect(await raw.pttl(new RedisKeys('hf', L).lock), 'the life of the lock').to.be.greaterThan(1000);
    await raw.del(new RedisKeys('hf', L).incarnation);
    expect(await renew(held.token, held.epoch), 'with a new incarnation').to.deep.include({ kind: 'renewed' });
    expect((await leases.observe([L], me('b'))).get(L)?.members.map((one) => one.id)).to.include('b');
    expect(await store.save(L, held.epoch, { s: checkpoint(held.epoch, 2, { tail: ['x'.repeat(2000)] }) })).to.equal(
      'stored',
    );
    expect(await store.saveSealed(L, held.epoch, 'refreshToken', 'v1.abc')).to.equal('stored');
    const to = { heir: 'b', token: 'heir', epoch: held.epoch + 5 };
    expect(await leases.transfer(L, { token: held.token, epoch: held.epoch }, to, TTL)).to.equal(true);
    expect(await leases.release(L, 'heir')).to.equal(true);
    for (const adapter of ['plain', 'redlock'] as const) {
      const won = await win(L, 'b', new RedisLeases(link, adapter));
      expect(won.epoch, adapter).to.be.greaterThan(held.epoch + 5);
      expect(await leases.release(L, won.token)).to.equal(true);
    }
    expect(await store.claim('other', 'b', 0)).to.be.greaterThan(0);
    expect(await store.seed(L, 'lost', checkpoint(1, 1))).to.equal(true);
    const restraint = new RedisLimits(link);
    expect((await restraint.permit(L, to.epoch + 1e9, 'dial', { capacity: 1, refillEveryMs: 1 })).kind).to.equal(
      'granted',
    );
    await restraint.hold(L, to.epoch + 1e9, 10);
    await restraint.breaker(L, to.epoch + 1e9, 10);
    expect((await new RedisPool(link).admit({ tenant: 't', stream: 's', priority: 1, limit: 1 })).kind).to.equal(
      'granted',
    );
    const registry = new ConnectionRegistry(link, { lifeMs: 1000, deadAfterMs: 1, sweepEveryMs: 1 });
    const beat = { connectionId: 'c', silentMs: 0, platform: 'p', tenantId: 't', state: 'ACTIVE' as const };
    expect(
      await refusal(registry.heartbeat([{ ...beat, retryCount: 0, client: 'c', stream: 's', pod: 'p', epoch: 1 }])),
      'a heartbeat of a connection',
    ).to.equal('OOM');
    expect(await refusal(store.addDeadLetter(L, letter('1'))), 'a dead letter').to.equal('OOM');
    expect(await refusal(new ReportStore(link).write({ namespace: 'n', name: 'c' }, 'pod', '{}')), 'a report').to.equal(
      'OOM',
    );
  });

  it('is announced from 80 % of its memory on, once', async () => {
    await raw.flushall();
    const logged: string[] = [];
    const write = (line: string): void => {
      logged.push((JSON.parse(line) as { readonly msg: string }).msg);
    };
    const told: StoreCondition[] = [];
    const watch = new StoreWatch(
      { ready: (limitMs) => link.ready(limitMs), condition: () => store.condition() },
      pino({ level: 'warn' }, { write }),
      (condition) => told.push(condition),
    );
    await watch.begin(1000);
    expect(logged).to.deep.equal([]);
    expect(told.at(-1)?.fill).to.be.within(0.1, 0.79);
    for (let n = 0; ((await store.condition()).fill ?? 0) < 0.8; n += 1)
      await raw.set(`other:${String(n)}`, 'x'.repeat(100_000));
    await watch.look();
    expect(told.at(-1)?.warnings.join()).to.match(/uses \d+ % of maxmemory/);
    expect(told.at(-1)?.fill).to.be.within(0.8, 1);
    await raw.set('other:more', 'x'.repeat(50_000));
    await watch.look();
    expect(logged.map((text) => text.replace(/\d+ %.*/, ''))).to.deep.equal(['Redis uses ']);
    watch.stop();
  });
});
