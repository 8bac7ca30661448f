import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { parseStoreUrl } from '../../src/coordination/store-url.ts';
import { EmbeddedStore } from '../../src/coordination/embedded/embedded-store.ts';
import { RedisKeys } from '../../src/coordination/redis/redis-keys.ts';
import { SCRIPTS } from '../../src/coordination/redis/scripts/store-scripts.ts';
import { seal, unseal } from '../../src/coordination/sealed-value.ts';
import {
  AHEAD_LIMIT_BYTES,
  letterBytes,
  letterText,
  newerOf,
  parseCheckpoint,
  type Checkpoint,
  type DeadLetter,
  type LetterLimits,
  type Store,
} from '../../src/coordination/store.ts';
import { HoldfastError } from '../../src/core/errors.ts';
import { checkpoint, letter } from '../support/records.ts';
import { redisStore, TestRedis } from '../support/redis.ts';

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof HoldfastError ? error.code : String(error)),
  );

interface Adapter {
  readonly open: (limits?: LetterLimits) => Promise<Store>;
  readonly after: () => Promise<void>;
}

let redis: TestRedis;
let prefix = 0;
const ADAPTERS: Readonly<Record<string, () => Adapter>> = {
  embedded: () => {
    const directory = mkdtempSync(join(tmpdir(), 'hf-contract-'));
    return { open: (limits) => Promise.resolve(new EmbeddedStore(directory, limits)), after: () => Promise.resolve() };
  },
  redis: () => {
    prefix += 1;
    const name = `t${String(prefix)}`;
    return {
      open: async (limits) => {
        const store = redisStore({ options: { host: '127.0.0.1', port: redis.port }, prefix: name }, limits);
        expect(await store.link.ready(5000)).to.equal(true);
        return store;
      },
      after: () => Promise.resolve(),
    };
  },
};

before(async () => {
  redis = await TestRedis.start();
});
after(() => redis.stop());

for (const [name, make] of Object.entries(ADAPTERS)) {
  describe(`Store contract: ${name}`, () => {
    let adapter: Adapter;
    let store: Store;
    beforeEach(async () => {
      adapter = make();
      store = await adapter.open();
    });
    afterEach(async () => {
      await store.close();
      await adapter.after();
    });

    it("gives a higher epoch each time, above the caller's floor, also after reopening", async () => {
      const first = await store.claim('c', 'a', 0);
      const second = await store.claim('c', 'b', 0);
      expect(second).to.be.greaterThan(first);
      const floor = second + 1_000_000;
      expect(await store.claim('c', 'b', floor)).to.be.greaterThan(floor);
      await store.close();
      store = await adapter.open();
      expect(await store.claim('c', 'b', 0)).to.be.greaterThan(floor);
    });

    it('keeps a checkpoint and refuses another epoch and an earlier index', async () => {
      const epoch = await store.claim('c', 'a', 0);
      expect(await store.load('c', 's')).to.equal(undefined);
      expect(await store.save('c', epoch, { s: checkpoint(epoch, 5) })).to.equal('stored');
      expect(await store.save('c', epoch, { s: checkpoint(epoch, 5) }), 'the same again').to.equal('stored');
      expect(await store.save('c', epoch, { s: checkpoint(epoch, 4) })).to.equal('regressed');
      expect(await store.save('c', epoch - 1, { s: checkpoint(epoch - 1, 9) })).to.equal('fenced');
      expect(await store.load('c', 's')).to.deep.equal(checkpoint(epoch, 5));
      const next = await store.claim('c', 'b', 0);
      expect(await store.save('c', epoch, { s: checkpoint(epoch, 9) }), 'the older leader').to.equal('fenced');
      expect(await store.save('c', next, { s: checkpoint(next, 6) })).to.equal('stored');
    });

    it('orders records by index, then by what is settled ahead of it', async () => {
      const epoch = await store.claim('c', 'a', 0);
      const at = (index: number, aheadCount?: number): Checkpoint =>
        checkpoint(epoch, index, aheadCount === undefined ? {} : { ahead: [2, aheadCount], aheadCount });
      const save = (one: Checkpoint) => store.save('c', epoch, { s: one });
      expect(await save(at(5, 3))).to.equal('stored');
      expect(await save(at(5, 3)), 'the same again').to.equal('stored');
      expect(await store.load('c', 's')).to.deep.equal(at(5, 3));
      expect(await save(at(5, 2))).to.equal('regressed');
      expect(await save(at(5)), 'none ahead').to.equal('regressed');
      expect(await save(at(5, 4))).to.equal('stored');
      expect(await save(at(6)), 'a higher index counts more').to.equal('stored');
      expect(await save(at(5, 100))).to.equal('regressed');
      expect(await save(at(6, 1))).to.equal('stored');
      expect(await store.save('c', epoch, { s: at(7), t: at(1), u: at(1) })).to.equal('stored');
      expect(await store.seed('c', 'new', at(5, 3))).to.equal(true);
      expect(await store.save('c', epoch, { new: at(5, 2) }), 'what was put back counts').to.equal('regressed');
    });

    it('puts back a record that was lost, and leaves one that is there', async () => {
      const epoch = await store.claim('c', 'a', 0);
      expect(await store.seed('c', 's', checkpoint(epoch, 7))).to.equal(true);
      expect((await store.load('c', 's'))?.index).to.equal(7);
      expect(await store.seed('c', 's', checkpoint(epoch, 9))).to.equal(false);
      expect((await store.load('c', 's'))?.index).to.equal(7);
      expect(await store.save('c', epoch, { s: checkpoint(epoch, 6) }), 'its index counts').to.equal('regressed');
    });

    it('writes several checkpoints all or none', async () => {
      const epoch = await store.claim('c', 'a', 0);
      await store.save('c', epoch, { a: checkpoint(epoch, 5), b: checkpoint(epoch, 5) });
      expect(await store.save('c', epoch, { a: checkpoint(epoch, 6), b: checkpoint(epoch, 4) })).to.equal('regressed');
      expect((await store.load('c', 'a'))?.index).to.equal(5);
    });

    it('keeps clients apart', async () => {
      const one = await store.claim('one', 'a', 0);
      await store.save('one', one, { s: checkpoint(one, 3) });
      await store.claim('two', 'a', 0);
      expect(await store.load('two', 's')).to.equal(undefined);
      expect(await store.save('one', one, { s: checkpoint(one, 4) })).to.equal('stored');
    });

    it('survives reopening, ids with glob characters and braces, and large epochs', async () => {
      const client = 'we{i}rd*?[x]';
      const epoch = await store.claim(client, 'a', 2 ** 52);
      await store.save(client, epoch, { 's*': checkpoint(epoch, 7) });
      await store.close();
      store = await adapter.open();
      expect((await store.load(client, 's*'))?.index).to.equal(7);
    });

    it('keeps sealed values, fenced like checkpoints', async () => {
      const epoch = await store.claim('c', 'a', 0);
      expect(await store.saveSealed('c', epoch, 'refreshToken', 'v1.abc')).to.equal('stored');
      expect(await store.saveSealed('c', epoch - 1, 'refreshToken', 'v1.old')).to.equal('fenced');
      expect(await store.loadSealed('c', 'refreshToken')).to.equal('v1.abc');
      expect(await store.loadSealed('c', 'other')).to.equal(undefined);
    });

    it('keeps dead letters byte for byte, oldest first, in pages', async () => {
      for (const id of ['003', '001', '002']) expect(await store.addDeadLetter('c', letter(id))).to.equal('stored');
      expect(await store.addDeadLetter('c', letter('002')), 'the same again').to.equal('stored');
      expect((await store.listDeadLetters('c', 's', undefined, 2)).map((one) => one.id)).to.deep.equal(['001', '002']);
      expect((await store.listDeadLetters('c', 's', '002', 10)).map((one) => one.id)).to.deep.equal(['003']);
      expect((await store.getDeadLetter('c', 's', '001'))?.data.equals(Buffer.from([0, 255, 123]))).to.equal(true);
      expect(await store.removeDeadLetter('c', 's', '001')).to.equal(true);
      expect(await store.removeDeadLetter('c', 's', '001')).to.equal(false);
      expect(await store.countDeadLetters('c', 's')).to.equal(2);
      expect(await store.purgeDeadLetters('c', 's')).to.equal(2);
      expect(await store.countDeadLetters('c', 's')).to.equal(0);
    });

    // Found and mended: D6 (dead letters without a bound fill the Redis of every lease).
    it(
      'keeps dead letters up to a number and up to a sum of bytes; what is replaced, removed or purged makes ' + 'room',
      async () => {
        await store.close();
        const size = letterBytes(letter('001', Buffer.alloc(300)));
        const small = (id: string) => letter(id, Buffer.alloc(30));
        store = await adapter.open({ count: 4, bytes: 2 * size });
        const add = (one: DeadLetter) => store.addDeadLetter('c', one);
        expect(await add(letter('001', Buffer.alloc(300)))).to.equal('stored');
        expect(await add(letter('002', Buffer.alloc(301))), 'a byte too many').to.equal('full');
        expect(await add(letter('002', Buffer.alloc(300))), 'exactly full').to.equal('stored');
        expect(await add(small('003'))).to.equal('full');
        expect(await add(letter('002', Buffer.alloc(300))), 'the same again').to.equal('stored');
        expect(await store.addDeadLetter('another', small('001')), 'another client').to.equal('stored');
        expect(await add({ ...small('001'), stream: 'other' }), 'another stream').to.equal('stored');
        expect(await add(small('002')), 'a smaller one in its place').to.equal('stored');
        expect(await store.removeDeadLetter('c', 's', '001')).to.equal(true);
        expect(await store.removeDeadLetter('c', 's', '001')).to.equal(false);
        for (const id of ['003', '004', '005']) expect(await add(small(id)), id).to.equal('stored');
        expect(await add(small('006')), 'too many').to.equal('full');
        expect(await add(small('005')), 'it is there').to.equal('stored');
        expect(await store.purgeDeadLetters('c', 's')).to.equal(4);
        for (const id of ['001', '002']) expect(await add(letter(id, Buffer.alloc(300)))).to.equal('stored');
        for (const id of ['001', '002']) await store.removeDeadLetter('c', 's', id);
        expect(await add(letter('007', Buffer.alloc(300)))).to.equal('stored');
      },
    );
  });
}

it('a dead letter counts as many bytes as its text has', () => {
  fc.assert(
    fc.property(fc.string(), fc.uint8Array({ maxLength: 50 }), (reason, data) => {
      const one = { ...letter('1', Buffer.from(data)), reason };
      return letterBytes(one) === Buffer.byteLength(letterText(one));
    }),
  );
});

describe('a checkpoint', () => {
  const read = (more: Record<string, unknown>) => parseCheckpoint(JSON.stringify({ ...checkpoint(1, 1), ...more }));

  it('with something settled ahead is read as it was written', () => {
    const one = checkpoint(1, 1, { ahead: [2, 3, 1, 7], aheadCount: 10 });
    expect(read(one as unknown as Record<string, unknown>)).to.deep.equal(one);
  });

  it('is unsound when what is settled ahead is no list of numbers, or larger than its limit', () => {
    for (const ahead of ['2,3', {}, null, [1.5], [-1], ['2'], [2 ** 53], [[2, 3]]])
      expect(read({ ahead, aheadCount: 1 }), JSON.stringify(ahead)).to.equal(undefined);
    for (const aheadCount of ['1', -1, 1.5, null, 2 ** 53])
      expect(read({ ahead: [2, 1], aheadCount }), JSON.stringify(aheadCount)).to.equal(undefined);
    const largest = Array.from({ length: (AHEAD_LIMIT_BYTES - 2) / 2 }, () => 1);
    expect(JSON.stringify([...largest, 1]).length).to.equal(AHEAD_LIMIT_BYTES + 1);
    expect(read({ ahead: [...largest, 1] })).to.equal(undefined);
    expect(read({ ahead: largest })).to.not.equal(undefined);
  });

  it('is newer by index, then by what is settled ahead', () => {
    const less = checkpoint(1, 5);
    const more = checkpoint(1, 5, { aheadCount: 1 });
    const further = checkpoint(1, 6);
    expect(newerOf(less, more)).to.equal(more);
    expect(newerOf(more, less)).to.equal(more);
    expect(newerOf(further, more)).to.equal(further);
    expect(newerOf(more, further)).to.equal(further);
    expect(newerOf(undefined, more)).to.equal(more);
    expect(newerOf(less, undefined)).to.equal(less);
  });
});

describe('EmbeddedStore', () => {
  it('refuses a second process on the same directory', () => {
    const directory = mkdtempSync(join(tmpdir(), 'hf-lock-'));
    const first = new EmbeddedStore(directory);
    expect(() => new EmbeddedStore(directory))
      .to.throw(HoldfastError)
      .with.property('code', 'HF_STORE_BUSY');
    void first.close();
    void new EmbeddedStore(directory).close();
  });

  it('refuses records and files of a newer version, and names a corrupt record', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'hf-newer-'));
    const store = new EmbeddedStore(directory);
    const epoch = await store.claim('c', 'a', 0);
    await store.save('c', epoch, {
      newer: { ...checkpoint(epoch, 1), schema: 2 as 1 },
      broken: { ...checkpoint(epoch, 1), distinct: 'x' as unknown as number },
    });
    expect(await codeOf(store.load('c', 'newer'))).to.equal('HF_STORE_SCHEMA');
    expect(await codeOf(store.load('c', 'broken'))).to.equal('HF_STORE_CORRUPT');
    await store.close();
    const db = new DatabaseSync(join(directory, 'holdfast.db'));
    db.exec("UPDATE meta SET value = '99' WHERE name = 'schema'");
    db.close();
    expect(() => new EmbeddedStore(directory))
      .to.throw(HoldfastError)
      .with.property('code', 'HF_STORE_SCHEMA');
  });
});

describe('RedisStore', () => {
  it('fails within its time limit while Redis is frozen, and works again afterwards', async () => {
    const own = await TestRedis.start();
    const store = redisStore({ options: { host: '127.0.0.1', port: own.port }, prefix: 'f' });
    await store.link.ready(5000);
    own.signal('SIGSTOP');
    expect(await codeOf(store.claim('c', 'a', 0))).to.equal('HF_STORE_UNAVAILABLE');
    own.signal('SIGCONT');
    let code = 'HF_STORE_UNAVAILABLE';
    for (let n = 0; n < 50 && code !== 'no error'; n += 1) {
      await store.link.ready(1000);
      code = await codeOf(store.claim('c', 'a', 0));
    }
    expect(code).to.equal('no error');
    await store.close();
    await own.stop();
  });

  it('goes on after the server forgot its scripts, and refuses keys of ours that hold something else', async () => {
    const raw = new Redis({ host: '127.0.0.1', port: redis.port });
    const store = redisStore({ options: { host: '127.0.0.1', port: redis.port }, prefix: 'x' });
    await store.link.ready(5000);
    await store.claim('c', 'a', 0);
    await raw.script('FLUSH');
    expect(await store.claim('c', 'a', 0)).to.be.greaterThan(0);
    const { fence } = new RedisKeys('x', 'c');
    await raw.hset(fence, 'epoch', 'many');
    expect(await codeOf(store.claim('c', 'a', 0))).to.equal('HF_STORE_CORRUPT');
    await raw.hset(fence, 'epoch', '9223372036854775807');
    expect(await codeOf(store.claim('c', 'a', 0))).to.equal('HF_STORE_CORRUPT');
    await raw.del(fence);
    await raw.set(fence, 'text');
    expect(await codeOf(store.claim('c', 'a', 0))).to.equal('HF_STORE_CORRUPT');
    raw.disconnect();
    await store.close();
  });

  it('warns about a policy that may evict checkpoints', async () => {
    const own = await TestRedis.start(['--maxmemory-policy', 'allkeys-lru']);
    const store = redisStore({ options: { host: '127.0.0.1', port: own.port }, prefix: 'w' });
    await store.link.ready(5000);
    expect((await store.condition()).warnings.join()).to.include('allkeys-lru');
    await store.close();
    await own.stop();
  });

  it('declares as many keys as each script uses', () => {
    for (const script of SCRIPTS) {
      const used = new Set([...script.lua.matchAll(/KEYS\[(\d)\]/g)].map((match) => match[1]));
      expect(used.size, script.name).to.equal(script.keys);
    }
  });
});

describe('parseStoreUrl', () => {
  it('reads every form', () => {
    expect(parseStoreUrl('embedded:dir', 'hf', undefined)).to.deep.equal({ kind: 'embedded', directory: 'dir' });
    expect(parseStoreUrl('redis://h:1/2', 'hf', 'pw')).to.deep.include({
      kind: 'redis',
      options: { host: 'h', port: 1, db: 2, password: 'pw' },
    });
    expect(parseStoreUrl('rediss://user@h', 'hf', undefined)).to.have.nested.property('options.tls.servername', 'h');
    expect(parseStoreUrl('redis+sentinel://a:1,b/mymaster', 'hf', undefined)).to.deep.include({
      options: {
        sentinels: [
          { host: 'a', port: 1 },
          { host: 'b', port: 26_379 },
        ],
        name: 'mymaster',
      },
    });
  });
  it('refuses what is unsafe or unreadable, with a remedy', () => {
    for (const value of [
      '',
      'http://x',
      'redis://:pw@h',
      'redis://h/99',
      'redis://h/x',
      'redis://',
      'redis://h/0?password=x',
      'redis+sentinel://a:1',
      'redis+sentinel://a:x/m',
      'embedded:',
    ]) {
      expect(parseStoreUrl(value, 'hf', undefined), value).to.include.keys('rule', 'remedy');
    }
    for (const prefix of ['', 'a b', 'a{b}', '*', 'x'.repeat(100)])
      expect(parseStoreUrl('redis://h', prefix, undefined), prefix).to.include.keys('rule', 'remedy');
  });
});

describe('seal', () => {
  it('opens with the same secret and context only, and tells tampering', () => {
    const sealed = seal('token', 'secret', 'c');
    expect(unseal(sealed, 'secret', 'c')).to.equal('token');
    expect(unseal(sealed, 'other', 'c')).to.equal(undefined);
    expect(unseal(sealed, 'secret', 'd')).to.equal(undefined);
    expect(unseal(`${sealed.slice(0, -2)}AA`, 'secret', 'c')).to.equal(undefined);
    expect(sealed).to.not.include('token');
  });

  it('two seals of one value differ: in salt, in nonce and in all that follows', () => {
    const [one, two] = [1, 2].map(() => Buffer.from(seal('token', 'secret', 'c').slice(3), 'base64url'));
    for (const [from, to] of [
      [0, 16],
      [16, 28],
      [28, 44],
      [44, undefined],
    ] as const)
      expect(one?.subarray(from, to).equals(two?.subarray(from, to) ?? Buffer.alloc(0))).to.equal(false);
  });
});
