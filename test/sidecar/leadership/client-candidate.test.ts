import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EmbeddedStore } from '../../../src/coordination/embedded/embedded-store.ts';
import type { Checkpoint, Store } from '../../../src/coordination/store.ts';
import { SampleConsumer } from '../../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { LeadingCandidate } from '../../support/leading-candidate.ts';
import { until } from '../../support/until.ts';

/** A real store whose answers to `load` can be held back, and that remembers what was saved. */
class HeldStore {
  readonly saves: Record<string, Checkpoint>[] = [];
  readonly real = new EmbeddedStore(mkdtempSync(join(tmpdir(), 'hf-store-')));
  readonly store: Store;
  gate: Promise<void> | undefined;

  constructor() {
    this.store = new Proxy<EmbeddedStore>(this.real, {
      get: (target, name) => {
        if (name === 'load') return this.#load.bind(this);
        if (name === 'save') return this.#save.bind(this);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  async #load(lease: string, stream: string): Promise<Checkpoint | undefined> {
    await this.gate;
    return this.real.load(lease, stream);
  }

  #save(...args: Parameters<EmbeddedStore['save']>): ReturnType<EmbeddedStore['save']> {
    this.saves.push(args[2]);
    return this.real.save(...args);
  }
}

describe('an heir that connects before the lease is its own', () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  /** An heir of a stream that it has led before, so that a token is left for it and the store knows the stream. */
  async function heir(held?: HeldStore): Promise<{ sim: Simulator; leading: LeadingCandidate }> {
    const sim = new Simulator({ port: 0, rate: 0, size: 200, keys: 3, serverPingEveryMs: 200, historyLimit: 10_000 });
    ends.push(() => sim.close());
    const consumer = new SampleConsumer();
    ends.push(() => consumer.close());
    const ports = { simPort: await sim.listen(), consumerPort: await consumer.listen() };
    const leading = new LeadingCandidate({ ...ports, dialect: 'genesys-gateway' }, held?.store);
    ends.push(() => leading.stop());
    await leading.lead();
    const { lease } = leading.candidate;
    await until(
      'the stream is written down',
      async () => (await leading.world.store.load(lease, 'main')) !== undefined,
    );
    leading.candidate.lost('handed_over');
    leading.held.epoch = 0;
    await until('its link is closed', () => sim.connections.length === 0);
    return { sim, leading };
  }

  it('has one set of links, also when two offers overlap', async () => {
    const { sim, leading } = await heir();
    sim.faults.token = { status: 500, times: 0, delayMs: 500 };
    const slow = leading.candidate.warm(7, true);
    expect(await leading.candidate.warm(8, false), 'the second offer').to.equal(true);
    await until('it is connected', () => sim.connections.length === 1);
    await slow;
    leading.candidate.lost('stopped');
    await until('no link is left', () => sim.connections.length === 0);
  });

  it('writes no first record before it has read where the stream stands', async () => {
    const held = new HeldStore();
    const { sim, leading } = await heir(held);
    const before = await held.real.load(leading.candidate.lease, 'main');
    let open = (): void => undefined;
    held.gate = new Promise((resolve) => {
      open = resolve;
    });
    held.saves.length = 0;
    expect(await leading.candidate.warm(2, false)).to.equal(true);
    const epoch = await held.real.claim(leading.candidate.lease, 'me', 1);
    expect(epoch).to.equal(2);
    leading.held.epoch = epoch;
    leading.candidate.lead(epoch, { how: 'transferred', forgot: false });
    sim.generate(1);
    const received = (): unknown => leading.candidate.streams.get('main')?.intake.received;
    await until('its first event is here', () => received() === 1);
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    expect(held.saves).to.deep.equal([]);
    expect(await held.real.load(leading.candidate.lease, 'main')).to.deep.equal(before);
    open();
    await until('it goes on', () => leading.candidate.complete);
  });
});
