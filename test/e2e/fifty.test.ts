import { monitorEventLoopDelay } from 'node:perf_hooks';
import { appendFileSync } from 'node:fs';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { Program } from '../support/process.ts';
import { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const STREAMS = 50;
const CAPACITY = 5;
const REFILL_MS = 100;
const WINDOWS_MS = [100, 500, 1000, 3000];

/** The longest time, in ms, for which a process did not look at anything since it was asked last. */
async function lagOf(program: Program): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${String(program.admin)}/metrics`)).text();
  const lagMs = Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]) * 1000;
  expect(lagMs, 'the lag that the sidecar reports').to.be.above(0);
  return lagMs;
}

describe('fifty streams of one OAuth client', function () {
  this.timeout(90_000);

  it(
    'dropped all at once, then the leader is killed: in no window the platform sees more attempts than the ' +
      'gate allows',
    async () => {
      const redis = await TestRedis.start();
      const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 3, serverPingEveryMs: 200 });
      const consumer = new SampleConsumer();
      const [simPort, consumerPort] = [await sim.listen(), await consumer.listen()];
      const client = {
        gate: { capacity: CAPACITY, refillEvery: `${String(REFILL_MS)}ms`, concurrent: CAPACITY },
        lease: { ttl: '2s', renewEvery: '600ms', margin: '200ms' },
        circuitBreaker: { minSamples: 1000 },
      };
      const file = writeDocuments({ simPort, consumerPort, dialect: 'genesys-streams', client });
      for (let n = 1; n < STREAMS; n += 1) {
        const spec = {
          clientRef: { name: 'acme' },
          dialect: 'genesys-streams',
          path: 'routing-streams',
          delivery: {
            mode: 'Push',
            push: { url: `http://127.0.0.1:${String(consumerPort)}/events`, contentMode: 'batch' },
          },
        };
        const metadata = { name: `stream-${String(n)}` };
        const document = { apiVersion: 'holdfast.dev/v1alpha1', kind: 'EventStream', metadata, spec };
        appendFileSync(file, `---\n${stringify(document)}`);
      }
      const store = ['--store', `redis://127.0.0.1:${String(redis.port)}`];
      let program = await Program.run(file, store, { POD_NAME: 'p', POD_UID: 'u' });
      const delays = monitorEventLoopDelay({ resolution: 5 });
      delays.enable();
      await until('all are open', () => sim.connections.length === STREAMS, 30_000);
      for (const connection of sim.connections) connection.drop('reset');
      await until(
        'all are open again',
        () => sim.history.of('conn.open').length >= 2 * STREAMS && sim.connections.length === STREAMS,
        30_000,
      );
      const lagMs = await lagOf(program);
      await program.stop('SIGKILL');
      program = await Program.run(file, store, { POD_NAME: 'p', POD_UID: 'u' });
      await until(
        'all are open under the next leader',
        () => sim.history.of('conn.open').length >= 3 * STREAMS && sim.connections.length === STREAMS,
        30_000,
      );
      const lateMs = delays.max / 1e6 + Math.max(lagMs, await lagOf(program));
      delays.disable();
      const asked = sim.history.of('conn.req').map((record) => Number(BigInt(record.t) / 1000n) / 1000);
      for (const window of WINDOWS_MS) {
        const worst = Math.max(...asked.map((t) => asked.filter((other) => other >= t && other < t + window).length));
        // The platform sees an attempt a moment after the gate let it pass, later where a process waits for its turn of
        // the machine: what passed before may fall into the same window.
        expect(worst, `attempts within ${String(window)} ms`).to.be.at.most(
          CAPACITY + (window + lateMs) / REFILL_MS + 1,
        );
      }
      expect(await program.stop('SIGTERM')).to.equal(0);
      await consumer.close();
      await sim.close();
      await redis.stop();
    },
  );
});
