import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { EmbeddedStore } from '../../src/coordination/embedded/embedded-store.ts';
import { RedisStore } from '../../src/coordination/redis/redis-store.ts';
import { letterBytes, type Store } from '../../src/coordination/store.ts';
import { checkpoint, letter } from '../support/records.ts';
import { SuiteRedis } from '../support/suite-redis.ts';

const LIMITS = { count: 2, bytes: 2 * letterBytes(letter('1', Buffer.alloc(60))) };

/** One side: a store and the epochs it gave, lowest first. They are compared by order, not by value. */
interface Side {
  readonly store: Store;
  readonly epochs: number[];
}
type Ask = (side: Side, client: string) => Promise<unknown>;
interface Asked {
  readonly name: string;
  readonly ask: Ask;
}
const asked = (name: string, ask: Ask): Asked => ({ name, ask });

const stream = fc.constantFrom('a', 'a', 'b');
const id = fc.constantFrom('1', '2', '3');
const order = fc.record({ index: fc.nat(3), aheadCount: fc.constantFrom(undefined, 0, 1, 2) });
const record = ({ index, aheadCount }: { readonly index: number; readonly aheadCount: number | undefined }) =>
  checkpoint(1, index, aheadCount === undefined ? {} : { ahead: [2, aheadCount], aheadCount });
/** The newest epoch, an older one, one that nobody ever had. */
const epochOf = (side: Side, back: number): number => side.epochs.at(-1 - back) ?? 5;

const command: fc.Arbitrary<Asked> = fc.oneof(
  fc.tuple(fc.boolean()).map(([ahead]) => {
    const ask: Ask = async (side, client) => {
      const floor = (side.epochs.at(-1) ?? 0) + (ahead ? 1000 : 0);
      const epoch = await side.store.claim(client, 'holder', ahead ? floor : 0);
      const higher = epoch > Math.max(ahead ? floor : 0, ...side.epochs);
      side.epochs.push(epoch);
      return { higher, stored: (await side.store.epoch(client)) === epoch };
    };
    return asked(`claim ${String(ahead)}`, ask);
  }),
  fc.tuple(fc.nat(2), fc.dictionary(stream, order, { minKeys: 1 })).map(([back, records]) => {
    const all = Object.fromEntries(Object.entries(records).map(([name, one]) => [name, record(one)]));
    const ask: Ask = (side, client) => side.store.save(client, epochOf(side, back), all);
    return asked(`save ${String(back)} ${JSON.stringify(records)}`, ask);
  }),
  stream.map((name) => asked(`load ${name}`, ({ store }, client) => store.load(client, name))),
  fc
    .tuple(stream, order)
    .map(([name, one]) => asked(`seed ${name}`, ({ store }, client) => store.seed(client, name, record(one)))),
  fc.tuple(fc.nat(2), stream).map(([back, name]) => {
    const ask: Ask = (side, client) => side.store.saveSealed(client, epochOf(side, back), name, `v1.${String(back)}`);
    return asked(`saveSealed ${String(back)} ${name}`, ask);
  }),
  stream.map((name) => asked(`loadSealed ${name}`, ({ store }, client) => store.loadSealed(client, name))),
  fc.tuple(id, stream, fc.constantFrom(0, 1, 60, 61, 200)).map(([one, name, bytes]) => {
    const ask: Ask = ({ store }, client) =>
      store.addDeadLetter(client, { ...letter(one, Buffer.alloc(bytes, 7)), stream: name });
    return asked(`add ${one} ${name} ${String(bytes)}`, ask);
  }),
  fc
    .tuple(stream, fc.option(id, { nil: undefined }), fc.nat(3))
    .map(([name, after, n]) =>
      asked(`list ${name}`, ({ store }, client) => store.listDeadLetters(client, name, after, n)),
    ),
  fc
    .tuple(stream, id)
    .map(([name, one]) => asked(`get`, ({ store }, client) => store.getDeadLetter(client, name, one))),
  fc
    .tuple(stream, id)
    .map(([name, one]) => asked(`remove ${one}`, ({ store }, client) => store.removeDeadLetter(client, name, one))),
  stream.map((name) => asked(`purge ${name}`, ({ store }, client) => store.purgeDeadLetters(client, name))),
  stream.map((name) => asked(`count ${name}`, ({ store }, client) => store.countDeadLetters(client, name))),
);

describe('the Redis store against the embedded one', function () {
  this.timeout(60_000);
  const suite = new SuiteRedis();

  it('answer every sequence alike', async () => {
    const redis = new RedisStore(await suite.link('stores'), LIMITS);
    const embedded = new EmbeddedStore(mkdtempSync(join(tmpdir(), 'hf-diff-')), LIMITS);
    let serial = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 60 }), async (commands) => {
          serial += 1;
          const client = `client-${String(serial)}`;
          const [one, two]: readonly Side[] = [
            { store: redis, epochs: [] },
            { store: embedded, epochs: [] },
          ];
          if (one === undefined || two === undefined) throw new Error('two sides');
          for (const { name, ask } of commands)
            expect(await ask(one, client), name).to.deep.equal(await ask(two, client));
        }),
        { numRuns: 100 },
      );
    } finally {
      await embedded.close();
    }
  });
});
