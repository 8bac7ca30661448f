import { expect } from 'chai';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import { Verdict } from '../support/verdict.ts';

/** Fresh streams, each of which loses its connection once. HOLDFAST_REDIALS=20 for figures. */
const ROUNDS = Number(process.env['HOLDFAST_REDIALS'] ?? 2);
const RATE = 100;

/**
 * One stream with the delays that a user has, whose connection is reset. @returns how many events it missed, all of
 * them announced.
 */
async function lose(): Promise<number> {
  const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 7 });
  const consumer = new SampleConsumer();
  const verdict = new Verdict(sim, consumer, 'genesys-gateway');
  const file = writeDocuments({
    simPort: await sim.listen(),
    dialect: 'genesys-gateway',
    consumerPort: await consumer.listen(),
    client: { reconnect: {}, gate: {} },
    stream: { heartbeat: {} },
  });
  const sidecar = await new TestSidecar(file).start();
  try {
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
    sim.rate = RATE;
    await until('events flow', () => consumer.distinct > RATE / 2);
    sim.do({ do: 'drop', how: 'reset' });
    const before = consumer.distinct;
    await until('events flow again', () => verdict.gaps().length > 0 && consumer.distinct > before + RATE / 4);
    sim.rate = 0;
    await until('everything is delivered or announced', () => verdict.complete());
    verdict.check({ maxDuplicates: 0, gaps: 1 });
    const waits = sidecar.audits('RECONNECT_FAIL').map((record) => Number(record['retryInMs']));
    expect(waits, 'one redial').to.have.length(1);
    expect(waits[0], 'of the delay that was chosen, not of the time it took').to.be.within(0, 100);
    return verdict.missing().length;
  } finally {
    await sidecar.stop();
    await consumer.close();
    await sim.close();
  }
}

// Found and mended: C3.
describe('a lost connection of a stream that cannot be replayed', () => {
  it('is redialed at once, and what it missed meanwhile is announced', async function () {
    this.timeout(ROUNDS * 20_000);
    const missed: number[] = [];
    for (let n = 0; n < ROUNDS; n += 1) missed.push(await lose());
    missed.sort((a, b) => a - b);
    const p50 = missed[Math.floor((missed.length - 1) / 2)];
    if (ROUNDS > 2) console.log(`missed at ${String(RATE)}/s: p50 ${String(p50)}, all ${missed.join(' ')}`);
  });
});
