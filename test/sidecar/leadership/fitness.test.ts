import { StoreTrouble } from '../../../src/sidecar/runtime/store-trouble.ts';
import { expect } from 'chai';
import { loadDocuments } from '../../../src/config/load-documents.ts';
import { resolve } from '../../../src/config/plan.ts';
import { SampleConsumer } from '../../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { StoreRefusals } from '../../../src/sidecar/runtime/store-refusals.ts';
import { ClientCandidate } from '../../../src/sidecar/leadership/client-candidate.ts';
import { writeDocuments, type DocumentOptions } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';

const LATER_MS = 3_600_000;

/** A seat that leads one client with one stream, without an election, on a clock that the test can put forward. */
class LeadingSeat {
  readonly world: TestSidecar;
  readonly seat: ClientCandidate;
  readonly held = { epoch: 0, openUntilMs: Infinity, holder: '' };
  aheadMs = 0;

  constructor(documents: DocumentOptions) {
    const file = writeDocuments(documents);
    this.world = new TestSidecar(file);
    const [plan] = resolve(loadDocuments([file]));
    if (plan === undefined) throw new Error('the documents hold no client');
    const { deps } = this.world;
    this.seat = new ClientCandidate(
      plan,
      {
        ...deps,
        nowMs: () => deps.nowMs() + this.aheadMs,
        storeTrouble: new StoreTrouble(),
        refusals: new StoreRefusals(deps.log),
      },
      { held: () => this.held, doubt: () => undefined },
    );
  }

  async lead(): Promise<this> {
    this.held.epoch = await this.world.store.claim(this.seat.lease, 'me', 0);
    this.seat.lead(this.held.epoch, { how: 'acquired', forgot: false });
    await until('its streams have begun', () => this.seat.complete);
    return this;
  }

  async stop(): Promise<void> {
    this.seat.lost('stopped');
    await this.world.store.close();
  }
}

// Found and mended: B1
describe('a leader whose stream is stopped', () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  it('is fit while the stream is only suspended, with or without its consumer, as a standby too', async () => {
    const leading = await new LeadingSeat({
      simPort: 9,
      dialect: 'genesys-streams',
      stream: { suspend: true },
    }).lead();
    ends.push(() => leading.stop());
    expect(leading.seat.unfit()).to.equal(undefined);
    leading.aheadMs = LATER_MS;
    expect(leading.seat.unfit(), 'nobody pulls from it').to.equal(undefined);
    expect(leading.seat.fit).to.equal(true);
    leading.seat.lost('handed_over');
    expect(leading.seat.fit, 'as a standby').to.equal(true);
  });

  it('is not fit once the store refuses its checkpoints for good', async () => {
    const sim = new Simulator({ port: 0, rate: 50, size: 200, keys: 3, serverPingEveryMs: 200, historyLimit: 10_000 });
    const consumer = new SampleConsumer();
    const leading = new LeadingSeat({
      simPort: await sim.listen(),
      consumerPort: await consumer.listen(),
      dialect: 'genesys-streams',
    });
    ends.push(
      () => leading.stop(),
      () => consumer.close(),
      () => sim.close(),
    );
    await leading.lead();
    expect(leading.seat.unfit()).to.equal(undefined);
    // Another process of the same epoch is further than we are.
    await leading.world.store.save(leading.seat.lease, leading.held.epoch, {
      main: {
        schema: 1,
        epoch: leading.held.epoch,
        index: 1_000_000_000,
        position: '',
        era: 0,
        tail: [],
        distinct: 0,
        missing: 0,
        settledAtEpochMs: 0,
      },
    });
    await until('it asks for another leader', () => leading.seat.unfit() === 'store');
  });
});
