import { expect } from 'chai';
import { RedisKeys } from '../../../src/coordination/redis/redis-keys.ts';
import {
  ACQUIRE,
  CLAIM_LEASE,
  releaseScript,
  TRANSFER,
  BREAK,
} from '../../../src/coordination/redis/scripts/lease-scripts.ts';
import type { SelfReport } from '../../../src/coordination/leases.ts';
import { PlainAdapter, RedlockAdapter } from '../../../src/coordination/redis/lock-adapter.ts';
import type { RedisConnection } from '../../../src/coordination/redis/redis-connection.ts';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { HoldfastError } from '../../../src/core/errors.ts';
import { SuiteRedis } from '../../support/suite-redis.ts';
import { until } from '../../support/until.ts';

const L = 'GenesysCloud:local:client';
const TTL = 2000;
const me = (id: string): SelfReport => ({ id, revision: 'r1', load: 0, ready: true, refusedLeases: [] });

for (const adapter of ['redlock', 'plain'] as const) {
  describe(`the lease through the ${adapter} adapter`, () => {
    const suite = new SuiteRedis();
    let serial = 0;

    /** Two replicas of a group of their own. */
    async function pair(): Promise<{
      readonly a: RedisLeases;
      readonly b: RedisLeases;
      readonly keys: RedisKeys;
      readonly linkA: RedisConnection;
    }> {
      serial += 1;
      const make = (): Promise<RedisConnection> => suite.link(`p${String(serial)}`);
      const linkA = await make();
      return {
        a: new RedisLeases(linkA, adapter),
        b: new RedisLeases(await make(), adapter),
        keys: new RedisKeys(`p${String(serial)}`, L),
        linkA,
      };
    }
    async function look(of: RedisLeases, id: string) {
      const sighting = (await of.observe([L], me(id))).get(L);
      if (sighting === undefined) throw new Error('no sighting');
      return sighting;
    }
    async function win(of: RedisLeases, id: string, floor = 0) {
      const { view } = await look(of, id);
      const answer = await of.acquire(
        L,
        { ttlMs: TTL, incarnation: view.incarnation, floor, fenceToken: view.fenceToken, beat: view.beat },
        me(id),
      );
      if (answer.kind !== 'won') throw new Error(`not won: ${answer.kind}`);
      return answer;
    }

    it('one wins, the other is told that it is held; the winner is seen with its epoch and connection', async () => {
      const { a, b } = await pair();
      const won = await win(a, 'a');
      expect(won.epoch).to.be.greaterThan(1_700_000_000_000);
      const { view, holder, members } = await look(b, 'b');
      expect(view).to.deep.include({ token: won.token, epoch: won.epoch, state: 'held', fenceToken: won.token });
      expect(view.pttlMs).to.be.within(1, TTL);
      expect(holder).to.equal('a');
      expect(members.map((one) => one.id).sort()).to.deep.equal(['a', 'b']);
      expect(
        (
          await b.acquire(
            L,
            { ttlMs: TTL, incarnation: view.incarnation, floor: 0, fenceToken: view.fenceToken, beat: view.beat },
            me('b'),
          )
        ).kind,
      ).to.equal('held');
      expect((await b.gone([view.conn]))?.get(view.conn)).to.equal(false);
    });

    // Found and mended: A5
    it('tells of each candidate whether its credentials for this lease were refused', async () => {
      const { a, b } = await pair();
      await a.observe([L], { ...me('a'), refusedLeases: [L] });
      await b.observe([L], { ...me('b'), refusedLeases: ['GenesysCloud:local:another'] });
      const { members } = await look(b, 'c');
      const refused = members.map(({ id, refused: is }) => [id, is]).sort();
      expect(refused).to.deep.equal([
        ['a', true],
        ['b', false],
        ['c', false],
      ]);
    });

    it("each epoch is above the last one, above the caller's floor, also when the store lost everything", async () => {
      const { a, b, keys } = await pair();
      const first = await win(a, 'a');
      expect(await a.release(L, first.token)).to.equal(true);
      const second = await win(b, 'b', first.epoch + 1_000_000_000);
      expect(second.epoch).to.equal(first.epoch + 1_000_000_001);
      await suite.raw.del(keys.lock, keys.fence);
      expect((await win(a, 'a', second.epoch)).epoch).to.be.greaterThan(second.epoch);
    });

    it('releases only its own lock, and says so to the others', async () => {
      const { a, b } = await pair();
      const notices: string[] = [];
      b.onNotice((notice) => notices.push(notice.kind));
      await look(b, 'b');
      const won = await win(a, 'a');
      await until(
        'the subscription is there',
        async () => Number((await suite.raw.pubsub('NUMSUB', `p${String(serial)}:ev`))[1]) >= 2,
      );
      expect(await a.release(L, 'another token')).to.equal(false);
      expect((await look(b, 'b')).view.token).to.equal(won.token);
      expect(await a.release(L, won.token)).to.equal(true);
      expect((await look(b, 'b')).view).to.deep.include({ token: undefined, state: 'released' });
      await until('the notice is heard', () => notices.includes('changed'));
    });

    it(
      'renews many in one call; a lock that expired is taken back by its last holder, one that was given back ' +
        'is not',
      async () => {
        const { a, b, keys } = await pair();
        const won = await win(a, 'a');
        const renew = async (notAfterStoreMs = 0) =>
          (await a.renew([{ lease: L, token: won.token, epoch: won.epoch, notAfterStoreMs }], TTL, me('a'))).get(L);
        expect(await renew()).to.deep.include({ kind: 'renewed', forgotten: false });
        await suite.raw.del(keys.lock);
        expect(await renew()).to.deep.include({ kind: 'renewed', forgotten: false });
        expect((await look(b, 'b')).view.token).to.equal(won.token);
        await a.release(L, won.token);
        expect(await renew()).to.deep.equal({ kind: 'lost' });
      },
    );

    it('a holder of whom the store knows nothing is renewed only within its own time', async () => {
      const { a, keys } = await pair();
      const won = await win(a, 'a');
      const renew = async (notAfterStoreMs: number) =>
        (await a.renew([{ lease: L, token: won.token, epoch: won.epoch, notAfterStoreMs }], TTL, me('a'))).get(L);
      await suite.raw.del(keys.lock, keys.fence);
      expect(await renew(won.storeMs - 1)).to.deep.equal({ kind: 'forgotten' });
      expect(await renew(won.storeMs + TTL)).to.deep.include({ kind: 'renewed', forgotten: true });
      expect(Number(await suite.raw.hget(keys.fence, 'epoch'))).to.equal(won.epoch);
      await suite.raw.del(keys.fence);
      expect(await renew(0), 'the lock itself proves it').to.deep.include({ kind: 'renewed', forgotten: true });
    });

    it('refuses who watched another store or another holder, and puts everything back', async () => {
      const { a, b, keys } = await pair();
      const won = await win(a, 'a');
      const { view } = await look(b, 'b');
      await suite.raw.del(keys.lock);
      const want = {
        ttlMs: TTL,
        floor: 0,
        incarnation: view.incarnation,
        fenceToken: view.fenceToken,
        beat: view.beat,
      };
      for (const wrong of [
        { incarnation: 'x@y' },
        { incarnation: `x@${view.incarnation.split('@')[1] ?? ''}` },
        { fenceToken: 'other' },
        { beat: '99' },
      ]) {
        expect((await b.acquire(L, { ...want, ...wrong }, me('b'))).kind, JSON.stringify(wrong)).to.equal('quarantine');
      }
      expect(
        (await a.renew([{ lease: L, token: won.token, epoch: won.epoch, notAfterStoreMs: 0 }], TTL, me('a'))).get(L)
          ?.kind,
        'the holder takes it back',
      ).to.equal('renewed');
      await suite.raw.del(keys.lock);
      const fresh = (await look(b, 'b')).view;
      expect((await b.acquire(L, { ...want, beat: fresh.beat }, me('b'))).kind).to.equal('won');
    });

    it(
      'an acquisition that nobody completed leaves no word: the ' + 'record of the holder before stands as it was',
      async () => {
        const { a, b, keys, linkA } = await pair();
        const won = await win(a, 'a');
        await suite.raw.del(keys.lock);
        const before = (await look(b, 'b')).view;
        const release = releaseScript(`p${String(serial)}:ev`);
        const lock =
          adapter === 'redlock' ? new RedlockAdapter(linkA, release) : new PlainAdapter(linkA, release, () => 'undone');
        const token = await lock.acquire(keys, TTL);
        expect(await lock.release(keys, token ?? '')).to.equal(true);
        const { view } = await look(b, 'b');
        const { state, fenceToken, epoch, beat } = before;
        expect(view).to.deep.include({ token: undefined, state, fenceToken, epoch, beat });
        expect(state, 'nobody stopped').to.equal('held');
        expect(
          (await a.renew([{ lease: L, token: won.token, epoch: won.epoch, notAfterStoreMs: 0 }], TTL, me('a'))).get(L)
            ?.kind,
          'the holder takes it back',
        ).to.equal('renewed');
        await suite.raw.del(keys.lock, keys.fence);
        const first = await lock.acquire(keys, TTL);
        expect(await lock.release(keys, first ?? '')).to.equal(true);
        expect((await look(b, 'b')).view.state, 'there was none before').to.equal('none');
      },
    );

    it('breaks exactly the lock of the evidence', async () => {
      const { a, b, linkA } = await pair();
      const won = await win(a, 'a');
      const { view } = await look(b, 'b');
      expect(await b.break(L, { token: won.token, conn: '999999', beat: view.beat })).to.equal(false);
      expect(await b.break(L, { token: 'other', conn: view.conn, beat: view.beat })).to.equal(false);
      expect(await b.break(L, { token: won.token, conn: view.conn, beat: 'another' })).to.equal(false);
      linkA.close();
      await until('the connection is gone', async () => (await b.gone([view.conn]))?.get(view.conn) === true);
      expect(await b.break(L, { token: won.token, conn: view.conn, beat: view.beat })).to.equal(true);
      expect((await look(b, 'b')).view).to.deep.include({ token: undefined, state: 'released' });
      expect((await win(b, 'b')).epoch).to.be.greaterThan(won.epoch);
    });

    it('transfers in one instant, twice with the same effect as once', async () => {
      const { a, b } = await pair();
      const won = await win(a, 'a');
      const to = { heir: 'b', token: 'heir-token', epoch: won.epoch + 5 };
      expect(await a.transfer(L, { token: 'wrong', epoch: won.epoch }, to, TTL)).to.equal(false);
      expect(
        await a.transfer(L, { token: won.token, epoch: won.epoch }, { ...to, epoch: won.epoch }, TTL),
        'not the same epoch',
      ).to.equal(false);
      expect(await a.transfer(L, { token: won.token, epoch: won.epoch }, to, TTL)).to.equal(true);
      expect(await a.transfer(L, { token: won.token, epoch: won.epoch }, to, TTL)).to.equal(true);
      expect((await look(b, 'b')).view).to.deep.include({ token: 'heir-token', epoch: won.epoch + 5, conn: '' });
      expect(
        (await a.renew([{ lease: L, token: won.token, epoch: won.epoch, notAfterStoreMs: 0 }], TTL, me('a'))).get(L),
      ).to.deep.equal({ kind: 'lost' });
    });

    it(
      'an heir that gives back what it never renewed leaves the ' + 'record of its own term, not of those before',
      async () => {
        const { a, b } = await pair();
        const won = await win(a, 'a');
        expect(
          await a.transfer(
            L,
            { token: won.token, epoch: won.epoch },
            { heir: 'b', token: 'heir-token', epoch: won.epoch + 5 },
            TTL,
          ),
        ).to.equal(true);
        expect(await b.release(L, 'heir-token')).to.equal(true);
        expect((await look(b, 'b')).view).to.deep.include({
          token: undefined,
          state: 'released',
          epoch: won.epoch + 5,
        });
        expect(
          (await a.renew([{ lease: L, token: won.token, epoch: won.epoch, notAfterStoreMs: 0 }], TTL, me('a'))).get(L),
        ).to.deep.equal({ kind: 'lost' });
      },
    );

    it('a key of ours that holds something else blinds nobody to the other leases', async () => {
      const { a } = await pair();
      const other = new RedisKeys(`p${String(serial)}`, 'bad');
      await suite.raw.set(other.fence, 'text');
      const seen = await a.observe([L, 'bad'], me('a'));
      expect([...seen.keys()]).to.deep.equal([L]);
      await suite.raw.set(other.members, 'text');
      await suite.raw.hset(new RedisKeys(`p${String(serial)}`, L).fence, 'epoch', 'many');
      expect((await a.observe([L], me('a'))).size).to.equal(0);
      let code = '';
      const incarnation = seen.get(L)?.view.incarnation ?? '';
      await a
        .acquire(L, { ttlMs: TTL, incarnation, floor: 0, fenceToken: '', beat: '' }, me('a'))
        .catch((error: unknown) => {
          code = error instanceof HoldfastError ? error.code : '';
        });
      expect(code).to.equal('HF_STORE_CORRUPT');
    });

    it('survives whatever is published', async () => {
      const { a } = await pair();
      const heard: unknown[] = [];
      a.onNotice((notice) => heard.push(notice));
      const channel = `p${String(serial)}:ev`;
      await until('it listens', async () => Number((await suite.raw.pubsub('NUMSUB', channel))[1]) >= 1);
      for (const text of [
        '',
        'null',
        '{',
        '[]',
        '{"kind":"offer"}',
        '{"kind":"warm","lease":1}',
        'changed nothing',
        'x'.repeat(10_000),
        '{"kind":"hand-over","lease":"L"}',
        '{"kind":"hand-over","lease":"L","epoch":7}',
      ])
        await suite.raw.publish(channel, text);
      await until('the good one is heard', () => heard.length === 1);
    });

    it('works on after the server forgot its scripts, and fails within its limit while it is frozen', async () => {
      const { a } = await pair();
      const won = await win(a, 'a');
      await suite.raw.script('FLUSH');
      expect(await a.release(L, won.token)).to.equal(true);
      const { view } = await look(a, 'a');
      suite.server.signal('SIGSTOP');
      let code = '';
      await a
        .acquire(
          L,
          { ttlMs: TTL, incarnation: view.incarnation, floor: 0, fenceToken: view.fenceToken, beat: view.beat },
          me('a'),
        )
        .catch((error: unknown) => {
          code = error instanceof HoldfastError ? error.code : 'other';
        });
      suite.server.signal('SIGCONT');
      expect(code).to.equal('HF_STORE_UNAVAILABLE');
    });
  });
}

describe('the scripts of the lease', () => {
  it('declare as many keys as they use', () => {
    for (const script of [ACQUIRE, CLAIM_LEASE, releaseScript('c'), TRANSFER, BREAK]) {
      const used = new Set([...script.lua.matchAll(/KEYS\[(\d)\]/g)].map((match) => Number(match[1])));
      expect(Math.max(...used), script.name).to.be.at.most(script.keys);
    }
  });
});
