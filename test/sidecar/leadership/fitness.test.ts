import { expect } from 'chai';
import { SampleConsumer } from '../../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { LeadingCandidate } from '../../support/leading-candidate.ts';
import { until } from '../../support/until.ts';

const LATER_MS = 3_600_000;

// Found and mended: B1
describe('a leader whose stream is stopped', () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  it('is fit while the stream is only suspended, with or without its consumer, as a standby too', async () => {
    const leading = await new LeadingCandidate({
      simPort: 9,
      dialect: 'genesys-streams',
      stream: { suspend: true },
    }).lead();
    ends.push(() => leading.stop());
    expect(leading.candidate.unfit()).to.equal(undefined);
    leading.aheadMs = LATER_MS;
    expect(leading.candidate.unfit(), 'nobody pulls from it').to.equal(undefined);
    expect(leading.candidate.fit).to.equal(true);
    leading.candidate.lost('handed_over');
    expect(leading.candidate.fit, 'as a standby').to.equal(true);
  });

  it('is not fit once the store refuses its checkpoints for good', async () => {
    const sim = new Simulator({ port: 0, rate: 50, size: 200, keys: 3, serverPingEveryMs: 200, historyLimit: 10_000 });
    const consumer = new SampleConsumer();
    const leading = new LeadingCandidate({
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
    expect(leading.candidate.unfit()).to.equal(undefined);
    // Another process of the same epoch is further than we are.
    await leading.world.store.save(leading.candidate.lease, leading.held.epoch, {
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
    await until('it asks for another leader', () => leading.candidate.unfit() === 'store');
  });
});
