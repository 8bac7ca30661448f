import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { ReportStore } from '../../../src/coordination/redis/report-store.ts';
import { RedisPool } from '../../../src/coordination/redis/redis-pool.ts';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { ConnectionRegistry } from '../../../src/coordination/redis/connection-registry.ts';
import { RedisLimits } from '../../../src/coordination/redis/redis-limits.ts';
import { RedisStore } from '../../../src/coordination/redis/redis-store.ts';
import { redisLink, TestRedis } from '../../support/redis.ts';

describe('the shipped ACL', () => {
  it('allows everything Holdfast does and nothing else', async () => {
    const text = readFileSync(new URL('../../../manifests/redis/users.acl', import.meta.url), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('user '))
      .join('\n');
    const file = join(mkdtempSync(join(tmpdir(), 'hf-acl-')), 'users.acl');
    writeFileSync(file, `${text}\nuser admin on >admin-word ~* &* +@all\n`);
    const redis = await TestRedis.start(['--aclfile', file]);
    const link = redisLink({
      options: { host: '127.0.0.1', port: redis.port, username: 'holdfast', password: 'change-me' },
      prefix: 'hf',
    });
    expect(await link.ready(5000)).to.equal(true);
    const self = { id: 'a', revision: '', load: 0, ready: true, refusedLeases: [] };
    const leases = new RedisLeases(link, 'redlock');
    const view = (await leases.observe(['L'], self)).get('L')?.view;
    const won = await leases.acquire(
      'L',
      { ttlMs: 2000, incarnation: view?.incarnation ?? '', floor: 0, fenceToken: '', beat: '' },
      self,
    );
    if (won.kind !== 'won') throw new Error(won.kind);
    expect(
      (await leases.renew([{ lease: 'L', token: won.token, epoch: won.epoch, notAfterStoreMs: 0 }], 2000, self)).get(
        'L',
      )?.kind,
    ).to.equal('renewed');
    expect(await leases.gone([link.identity?.conn ?? ''])).to.not.equal(undefined);
    await leases.publish({ kind: 'changed', lease: 'L' });
    const store = new RedisStore(link);
    const checkpoint = {
      schema: 1 as const,
      epoch: won.epoch,
      index: 1,
      position: 'sequence:1',
      era: 0,
      tail: [],
      distinct: 1,
      missing: 0,
      settledAtEpochMs: 1,
    };
    expect(await store.save('L', won.epoch, { s: checkpoint })).to.equal('stored');
    expect(await store.load('L', 's')).to.deep.equal(checkpoint);
    expect(await store.saveSealed('L', won.epoch, 'accessToken', 'x')).to.equal('stored');
    expect(await store.loadSealed('L', 'accessToken')).to.equal('x');
    const letter = {
      id: '1',
      stream: 's',
      eventId: 'e',
      attributes: '{}',
      data: Buffer.from('{}'),
      reason: 'r',
      attempts: 1,
      firstAtEpochMs: 1,
      deadAtEpochMs: 1,
    };
    expect(await store.addDeadLetter('L', letter)).to.equal('stored');
    expect((await store.listDeadLetters('L', 's', undefined, 10)).length).to.equal(1);
    expect(await store.removeDeadLetter('L', 's', '1')).to.equal(true);
    await store.purgeDeadLetters('L', 's');
    const restraint = new RedisLimits(link);
    expect((await restraint.permit('L', won.epoch, 'dial', { capacity: 1, refillEveryMs: 10 })).kind).to.equal(
      'granted',
    );
    expect((await restraint.egress('e', { capacity: 1, refillEveryMs: 10 })).kind).to.equal('granted');
    expect((await new RedisPool(link).admit({ tenant: 't', stream: 's', priority: 1, limit: 1 })).kind).to.equal(
      'granted',
    );
    const registry = new ConnectionRegistry(link, { lifeMs: 1000, deadAfterMs: 1, sweepEveryMs: 1 });
    await registry.heartbeat([
      {
        connectionId: 'c',
        silentMs: 100,
        platform: 'genesys',
        tenantId: 't',
        state: 'ACTIVE',
        retryCount: 0,
        client: 'c',
        stream: 's',
        pod: 'p',
        epoch: 1,
      },
    ]);
    await registry.sweep();
    const reports = new ReportStore(link);
    expect(await reports.write({ namespace: 'n', name: 'c' }, 'pod/uid', '{"v":1}')).to.equal(true);
    expect(await reports.read({ namespace: 'n', name: 'c' })).to.have.length(1);
    await restraint.hold('L', won.epoch, 10);
    await restraint.breaker('L', won.epoch, 10);
    expect(await leases.release('L', won.token)).to.equal(true);
    await leases.leave(['L'], 'a');
    const admin = new Redis({ host: '127.0.0.1', port: redis.port, username: 'admin', password: 'admin-word' });
    expect(await admin.call('ACL', 'LOG'), 'refused commands').to.deep.equal([]);
    for (const command of [
      ['FLUSHALL'],
      ['CONFIG', 'GET', '*'],
      ['KEYS', '*'],
      ['GET', 'other:key'],
      ['CLIENT', 'KILL', 'ID', '1'],
      ['CLIENT', 'PAUSE', '1'],
      ['CLIENT', 'NO-EVICT', 'on'],
    ] as const) {
      let refused = false;
      await link.redis.call(command[0], ...command.slice(1)).catch((error: unknown) => {
        refused = error instanceof Error && error.message.startsWith('NOPERM');
      });
      expect(refused, command.join(' ')).to.equal(true);
    }
    admin.disconnect();
    link.close();
    await redis.stop();
  });
});
