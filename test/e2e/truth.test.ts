import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { NODE_FLAG } from '../../src/cli/node-flag.ts';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments, type DocumentOptions } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { EmbeddedStore } from '../../src/coordination/embedded/embedded-store.ts';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;
/** How long nothing is connected between two sidecars. */
const AWAY_MS = 1200;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One command as a user types it. */
async function holdfast(...args: readonly string[]): Promise<Ran> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [NODE_FLAG, MAIN, ...args]);
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as {
      readonly code: number;
      readonly stdout: string;
      readonly stderr: string;
    };
    return { code, out: stdout, err: stderr };
  }
}

describe('what the operator is told is true', () => {
  let sim: Simulator;
  let consumer: SampleConsumer;
  let sidecar: TestSidecar;
  let documents: string;
  const start = async (more: Partial<DocumentOptions>, store?: EmbeddedStore): Promise<void> => {
    sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 5, serverPingEveryMs: 100 });
    consumer = new SampleConsumer();
    documents = writeDocuments({
      simPort: await sim.listen(),
      consumerPort: await consumer.listen(),
      dialect: 'genesys-streams',
      ...more,
    });
    sidecar = await new TestSidecar(documents, store).start();
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
  };
  const metric = async (name: string): Promise<number> => {
    sidecar.supervisor.status(); // sets the gauges, as a scrape does
    const text = await sidecar.deps.metrics.registry.metrics();
    return Number(new RegExp(`^holdfast_${name} (\\S+)$`, 'm').exec(text)?.[1]);
  };
  const controls = (type: string): readonly Record<string, unknown>[] =>
    consumer.controls
      .filter((event) => event.type === `dev.holdfast.${type}`)
      .map((event) => event.data as Record<string, unknown>);
  afterEach(async () => {
    await sidecar.stop();
    await consumer.close();
    await sim.close();
  });

  // Found and mended: B12
  it('class C: beside a gap continuity is below 100 % in status, metric and table', async () => {
    await start({ dialect: 'genesys-gateway' });
    sim.generate(20);
    await until('they are taken', () => consumer.distinct === 20);
    expect(sidecar.stream.continuity).to.include({ rate: 1, gaps: 0 });
    sim.do({ do: 'drop' });
    await until('the gap is announced', () => sidecar.stream.continuity.gaps === 1);
    const { rate } = sidecar.stream.continuity;
    expect(rate).to.be.lessThan(1).and.greaterThan(0);
    expect(await metric('continuity_ratio\\{client="acme",stream="main"\\}')).to.be.lessThan(1);
    const { out } = await holdfast('status', '--admin-port', String(sidecar.adminPort));
    expect(out).to.include('CONTINUITY').and.not.include('100.00%');
  });

  // Found and mended: B11
  it('downMs is the time without a connection, also after a restart', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'hf-down-'));
    await start({}, new EmbeddedStore(directory));
    sim.generate(20);
    await until('they are taken', () => consumer.distinct === 20);
    await until('they are stored', () => sidecar.stream.delivery.uncheckpointed === 0);
    const lastAtMs = performance.now();
    await sidecar.stop();
    const endedAtMs = performance.now();
    await until('nothing was connected for a while', () => performance.now() - endedAtMs > AWAY_MS);
    sidecar = await new TestSidecar(documents, new EmbeddedStore(directory)).start();
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
    sim.generate(5);
    await until('it says that it goes on', () => controls('stream.resumed').length === 1);
    const downMs = Number(controls('stream.resumed')[0]?.['downMs']);
    expect(downMs).to.be.within(AWAY_MS, performance.now() - lastAtMs + 1000);
  });

  // Found and mended: B6
  it('an application that refuses is told as held, by reason, and as no dead letter', async () => {
    await start({});
    consumer.behaviour.status = 401;
    sim.generate(20);
    const held = (reason: string): Promise<number> =>
      metric(`delivery_held\\{client="acme",stream="main",reason="${reason}"\\}`);
    await until('it is held', async () => (await held('consumer_rejected')) === 1);
    expect(await held('consumer_down')).to.equal(0);
    expect(await metric('backlog_events\\{client="acme",stream="main"\\}')).to.be.greaterThan(0);
    expect(sidecar.stream.delivery.hold).to.equal('consumer_rejected');
    consumer.behaviour.status = 204;
    await until('it goes on', async () => (await held('consumer_rejected')) === 0);
    await until('all is taken', () => sidecar.stream.delivery.backlog === 0);
    expect(await metric('backlog_events\\{client="acme",stream="main"\\}')).to.equal(0);
  });

  // Found and mended: B5
  it('a suspended stream is told as suspended', async () => {
    await start({});
    expect(await metric('stream_suspended\\{client="acme",stream="main"\\}')).to.equal(0);
    const asleep = new TestSidecar(
      writeDocuments({ simPort: 1, dialect: 'genesys-streams', stream: { suspend: true } }),
    );
    expect(await asleep.deps.metrics.registry.metrics()).to.match(
      /^holdfast_stream_suspended\{client="acme",stream="main"\} 1$/m,
    );
    await asleep.store.close();
  });

  // Found and mended: B9
  it('dlq list and redrive of a stream that is not there fail and say so', async () => {
    await start({});
    const port = ['--delivery-port', String(sidecar.deliveryPort)];
    const fine = await holdfast('dlq', 'list', 'main', ...port);
    expect(fine).to.include({ code: 0, out: 'no dead letters\n' });
    for (const words of [
      ['list', 'mian'],
      ['redrive', 'mian', 'all'],
    ]) {
      const wrong = await holdfast('dlq', ...words, ...port);
      expect(wrong.code, words[0]).to.equal(70);
      expect(wrong.out).to.equal('');
      expect(wrong.err).to.include('mian');
    }
  });
});
