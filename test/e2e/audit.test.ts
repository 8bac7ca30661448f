import { expect } from 'chai';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

describe('what the sidecar says about itself', () => {
  let sim: Simulator;
  let consumer: SampleConsumer;
  let sidecar: TestSidecar;
  const start = async (more: { readonly stream?: Record<string, unknown> } = {}): Promise<void> => {
    sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 5 });
    consumer = new SampleConsumer();
    sidecar = await new TestSidecar(
      writeDocuments({
        simPort: await sim.listen(),
        consumerPort: await consumer.listen(),
        dialect: 'genesys-architect',
        ...more,
      }),
    ).start();
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
    sim.rate = 200;
    await until('events flow', () => consumer.distinct > 20);
  };
  afterEach(async () => {
    await sidecar.stop();
    await consumer.close();
    await sim.close();
  });

  it('M1-M8: a reconnection leaves its records with their fields', async () => {
    await start();
    sim.do({ do: 'drop' });
    await until('it is reconnected', () => sidecar.audits('RECONNECT_SUCCESS').length === 1);
    const [record] = sidecar.audits('websocket_reconnection').filter((one) => one['status'] === 'success');
    expect(record).to.include.keys(
      'timestamp',
      'clientId',
      'retryCount',
      'latencyMs',
      'continuityRate',
      'connectionId',
    );
    expect(record?.['connectionId']).to.match(/^[0-9a-f]{16}$/);
    expect(sidecar.audits('websocket_reconnection').some((one) => one['status'] === 'failure')).to.equal(true);
    expect(sidecar.audits('RECONNECT_ATTEMPT')[0]).to.include.keys('connectionId', 'attempt', 'delayMs');
    expect(sidecar.audits('RECONNECT_SUCCESS')[0]).to.include.keys('connectionId', 'latencyMs', 'successRate');
    expect(sidecar.audits('RECONNECT_FAIL')[0]).to.include.keys('attempt', 'reason');
    expect(sidecar.audits('reconnect_ack').length).to.equal(2);
    expect(sidecar.audits('connection.dropped')[0]).to.include.keys('socketId', 'reason', 'timestamp', 'pendingBytes');
    expect(
      new Set(sidecar.audits('connection.opened').map((one) => one['connectionId'])).size,
      'a new id per connection',
    ).to.equal(2);
  });

  it('/healthz, /readyz, /metrics, /status and /audit answer; metrics agree with the records', async () => {
    await start();
    sim.rate = 0;
    await until('all is settled', () => sidecar.stream.delivery.backlog === 0);
    const get = async (path: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${String(sidecar.adminPort)}${path}`);
    expect((await get('/healthz')).status).to.equal(200);
    expect((await get('/readyz')).status).to.equal(200);
    expect((await get('/nothing')).status).to.equal(404);
    const before = performance.now();
    await until('the metrics cache is old', () => performance.now() - before > 300);
    const metrics = await (await get('/metrics')).text();
    const value = (name: string): number =>
      Number(new RegExp(`^holdfast_${name}\\{[^}]*\\} (.*)$`, 'm').exec(metrics)?.[1]);
    expect(value('events_received_total')).to.equal(sidecar.stream.events.received);
    expect(value('events_received_total')).to.equal(consumer.distinct);
    expect(value('connected')).to.equal(1);
    expect(value('continuity_ratio')).to.equal(1);
    expect(
      (await (await get('/audit')).text())
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { event: string }).event),
    ).to.include('connection.opened');
    expect(
      (
        await fetch(`http://127.0.0.1:${String(sidecar.adminPort)}/status`, {
          headers: { origin: 'https://evil.example' },
        })
      ).status,
    ).to.equal(403);
  });

  it('R3: after a gap the snapshot path is asked and its answer delivered behind the gap', async () => {
    await start({ stream: { resume: { reorderWindow: '100ms', snapshotPath: '/api/v2/state' } } });
    sim.do({ do: 'jump', count: 3 });
    await until('the snapshot is delivered', () =>
      consumer.controls.some((event) => event.type === 'dev.holdfast.gap.filled'),
    );
    const order = consumer.controls
      .map((event) => event.type.replace('dev.holdfast.', ''))
      .filter((type) => type.startsWith('gap'));
    expect(order).to.deep.equal(['gap.detected', 'gap.filled']);
    const filled = consumer.controls.find((event) => event.type === 'dev.holdfast.gap.filled')?.data as {
      snapshot: { path: string };
    };
    expect(filled.snapshot.path).to.equal('/api/v2/state');
  });
});
