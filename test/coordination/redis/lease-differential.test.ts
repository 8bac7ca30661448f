import { expect } from 'chai';
import fc from 'fast-check';
import { RedisKeys } from '../../../src/coordination/redis/redis-keys.ts';
import type { SelfReport } from '../../../src/coordination/leases.ts';
import { RedisConnection } from '../../../src/coordination/redis/redis-connection.ts';
import { CLOCK, type Script } from '../../../src/coordination/redis/scripts/script-prelude.ts';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { RedisStore } from '../../../src/coordination/redis/redis-store.ts';
import type { LeaseView } from '../../../src/core/lease/lease.ts';
import { StoreModel } from '../../simulation/store.ts';
import { checkpoint } from '../../support/records.ts';
import { SuiteRedis } from '../../support/suite-redis.ts';

const CLOCK_KEY = 'test:clock';
const KEY_CLOCK = `
local function clock() return tonumber(redis.call('GET', '${CLOCK_KEY}')) end
`;
/** Locks end in this test only where it says so. */
const FOR_EVER_MS = 3_600_000;
const START_MS = 1_000_000;
const me: SelfReport = { id: 'me', revision: '', load: 0, ready: true, refusedLeases: [] };

/** The scripts as they are, but for the clock, which is a key. */
class ClockedLink extends RedisConnection {
  readonly #clocked = new Map<string, Script>();

  override script(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const lua = script.lua.replace(CLOCK, KEY_CLOCK);
    const one = this.#clocked.get(lua) ?? { ...script, lua };
    this.#clocked.set(lua, one);
    if (lua.includes("'TIME'")) throw new Error(`${script.name} has a clock of its own`);
    return super.script(one, keys, args);
  }
}

type Command =
  | { readonly kind: 'look' | 'acquire'; readonly who: number; readonly wrong: string; readonly floor: number }
  | { readonly kind: 'renew'; readonly grant: number; readonly late: boolean }
  | { readonly kind: 'release'; readonly grant: number }
  | { readonly kind: 'break'; readonly who: number; readonly conn: string; readonly wrong: string }
  | { readonly kind: 'transfer'; readonly grant: number; readonly heir: number; readonly up: number }
  | { readonly kind: 'save'; readonly grant: number; readonly value: number }
  | { readonly kind: 'expire' }
  | { readonly kind: 'wipe' }
  | { readonly kind: 'tick'; readonly ms: number };

const who = fc.nat(1);
const grant = fc.nat(5);
const wrong = fc.constantFrom('', '', '', 'incarnation', 'fenceToken', 'beat');
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('look'), who, wrong, floor: fc.constant(0) } as const) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('acquire'),
      who,
      wrong,
      floor: fc.constantFrom(0, 5, 2_000_000),
    } as const),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('renew'), grant, late: fc.boolean() } as const) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release'), grant } as const) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('break'),
      who,
      conn: fc.constantFrom('any', 'seen', 'other'),
      wrong,
    } as const),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('transfer'), grant, heir: fc.nat(3), up: fc.nat(2) } as const),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('save'), grant, value: fc.nat(4) } as const) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('expire') } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wipe') } as const) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick'), ms: fc.integer({ min: -50, max: 100 }) } as const) },
);

interface Seen {
  readonly model: LeaseView;
  readonly real: LeaseView;
}

/** One sequence on both sides: the Lua scripts on a real server, and the store of the simulation. */
class Pair {
  readonly model = new StoreModel(() => START_MS, undefined);
  readonly #leases: RedisLeases;
  readonly #store: RedisStore;
  readonly #suite: SuiteRedis;
  readonly #lease: string;
  readonly #keys: RedisKeys;
  readonly #grants: { readonly token: string; readonly epoch: number }[] = [{ token: 'nobody', epoch: 7 }];
  readonly #seen: Seen[] = [];
  #wipes = 0;

  constructor(suite: SuiteRedis, link: RedisConnection, leases: RedisLeases, lease: string) {
    this.#suite = suite;
    this.#leases = leases;
    this.#store = new RedisStore(link);
    this.#lease = lease;
    this.#keys = new RedisKeys(link.prefix, lease);
    this.model.clockAheadMs = 0;
  }

  async begin(): Promise<void> {
    await this.#suite.raw.set(CLOCK_KEY, START_MS);
    for (const who of [0, 1]) this.#seen[who] = await this.#look();
  }

  async run(one: Command): Promise<void> {
    const [model, real] = await this.#both(one);
    expect(real, JSON.stringify(one)).to.deep.equal(model);
    await this.#compare(one);
  }

  async #both(one: Command): Promise<readonly [unknown, unknown]> {
    switch (one.kind) {
      case 'look':
        this.#seen[one.who] = await this.#look();
        return ['looked', 'looked'];
      case 'acquire':
        return this.#acquire(one);
      case 'renew':
        return this.#renew(one);
      case 'release': {
        const { token } = this.#grant(one.grant);
        const held = this.model.held === token;
        this.model.release(token);
        return [held, await this.#leases.release(this.#lease, token)];
      }
      case 'break':
        return this.#break(one);
      case 'transfer':
        return this.#transfer(one);
      case 'save': {
        const { epoch } = this.#grant(one.grant);
        const stored = this.model.save(epoch, one.value);
        const answer = await this.#store.save(this.#lease, epoch, { s: checkpoint(1, one.value) });
        return [stored, answer === 'stored'];
      }
      default:
        return this.#world(one);
    }
  }

  async #world(one: Extract<Command, { kind: 'expire' | 'wipe' | 'tick' }>): Promise<readonly [unknown, unknown]> {
    const { raw } = this.#suite;
    const { lock, fence, incarnation, members, checkpoints } = this.#keys;
    if (one.kind === 'expire') {
      this.model.lock = undefined;
      await raw.pexpire(lock, 0);
    } else if (one.kind === 'wipe') {
      this.#wipes += 1;
      this.model.wipe(this.#wipes);
      await raw.del(lock, fence, incarnation, members, checkpoints);
    } else {
      this.model.step(one.ms);
      await raw.set(CLOCK_KEY, this.model.time);
    }
    return [one.kind, one.kind];
  }

  async #acquire(one: Extract<Command, { kind: 'look' | 'acquire' }>): Promise<readonly [unknown, unknown]> {
    const want = (side: 'model' | 'real') => {
      const { incarnation, fenceToken, beat } = this.#view(one.who, side);
      const run = incarnation.split('@')[1] ?? '';
      return {
        incarnation: one.wrong === 'incarnation' ? `x@${run}` : incarnation,
        floor: one.floor,
        fenceToken: one.wrong === 'fenceToken' ? 'x' : fenceToken,
        beat: one.wrong === 'beat' ? '99' : beat,
      };
    };
    const real = await this.#leases.acquire(this.#lease, { ...want('real'), ttlMs: FOR_EVER_MS }, me);
    const token = real.kind === 'won' ? real.token : `refused-${String(this.#grants.length)}`;
    const model = this.model.acquire(token, { kind: 'acquire', ...want('model') } as never, 'c');
    if (real.kind === 'won') this.#grants.push({ token, epoch: real.epoch });
    return [typeof model === 'string' ? model : model.epoch, real.kind === 'won' ? real.epoch : real.kind];
  }

  async #renew(one: Extract<Command, { kind: 'renew' }>): Promise<readonly [unknown, unknown]> {
    const { token, epoch } = this.#grant(one.grant);
    const notAfterStoreMs = this.model.time + (one.late ? -1 : 0);
    const model = this.model.renew(token, epoch, notAfterStoreMs, 'c');
    const request = { lease: this.#lease, token, epoch, notAfterStoreMs };
    const real = (await this.#leases.renew([request], FOR_EVER_MS, me)).get(this.#lease);
    return [model, real?.kind === 'renewed' ? (real.forgotten ? 'rewritten' : 'renewed') : real?.kind];
  }

  async #break(one: Extract<Command, { kind: 'break' }>): Promise<readonly [unknown, unknown]> {
    const of = (side: 'model' | 'real') => {
      const view = this.#view(one.who, side);
      return {
        token: one.wrong === 'fenceToken' ? 'x' : view.fenceToken,
        conn: { any: undefined, seen: view.conn, other: 'other' }[one.conn],
        beat: one.wrong === 'beat' ? '99' : view.beat,
      };
    };
    const { token, conn, beat } = of('model');
    this.model.break(token, conn, beat);
    await this.#leases.break(this.#lease, of('real'));
    return ['see what is left', 'see what is left'];
  }

  async #transfer(one: Extract<Command, { kind: 'transfer' }>): Promise<readonly [unknown, unknown]> {
    const { token, epoch } = this.#grant(one.grant);
    const to = { heir: 'heir', token: `heir-${String(one.heir)}`, epoch: epoch + one.up };
    const model = this.model.transfer(token, epoch, to.epoch, to.token);
    const real = await this.#leases.transfer(this.#lease, { token, epoch }, to, FOR_EVER_MS);
    if (real) this.#grants.push({ token: to.token, epoch: to.epoch });
    return [model, real];
  }

  async #compare(one: Command): Promise<void> {
    const { model, real } = await this.#look();
    const told = ({ token, epoch, fenceToken, state, conn, beat, storeMs }: LeaseView) => ({
      ...{ token, epoch, fenceToken, state, beat, storeMs },
      conn: conn === '' ? '' : 'c',
    });
    expect(told(real), `what is seen after ${JSON.stringify(one)}`).to.deep.equal(told(model));
    const stored = await this.#store.load(this.#lease, 's');
    expect(stored?.index, 'the checkpoint').to.equal(this.model.checkpoint?.value);
  }

  async #look(): Promise<Seen> {
    const real = (await this.#leases.observe([this.#lease], me)).get(this.#lease)?.view;
    if (real === undefined) throw new Error('no sighting');
    return { model: this.model.view(), real };
  }

  #view(who: number, side: 'model' | 'real'): LeaseView {
    const seen = this.#seen[who];
    if (seen === undefined) throw new Error('nobody looked');
    return seen[side];
  }

  #grant(n: number): { readonly token: string; readonly epoch: number } {
    return this.#grants.at(-1 - (n % this.#grants.length)) ?? { token: 'nobody', epoch: 0 };
  }
}

describe('the scripts of the lease against the store of the simulation', function () {
  this.timeout(60_000);
  const suite = new SuiteRedis();

  it('answer every sequence alike and leave the same record', async () => {
    const link = new ClockedLink(
      { options: { host: '127.0.0.1', port: suite.server.port }, prefix: 'diff' },
      { ttlMs: FOR_EVER_MS, onTrouble: () => undefined },
    );
    link.open();
    expect(await link.ready(5000)).to.equal(true);
    const leases = new RedisLeases(link, 'plain');
    let serial = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
          serial += 1;
          const pair = new Pair(suite, link, leases, `lease-${String(serial)}`);
          await pair.begin();
          for (const one of commands) await pair.run(one);
        }),
        { numRuns: 150 },
      );
    } finally {
      link.close();
    }
  });
});
