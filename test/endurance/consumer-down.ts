import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { Program } from '../support/process.ts';
import { until } from '../support/until.ts';
import { Verdict } from '../support/verdict.ts';

/**
 * npm run endurance: the consumer is away, then slow at a rate it cannot follow. Nothing is lost, no dead letter, pings
 * are answered while the stream is held, the stream is parked, and memory stays flat. Thirty seconds stand for two
 * minutes: events, retries and pings come four times as often, so there are as many of each. Not shown by that: what
 * only time brings about, such as a timer of more than thirty seconds. DOWN_S=120 RATE=1 is the real two minutes.
 */
const DOWN_S = Number(process.env['DOWN_S'] ?? 30);
/** How much faster everything goes than in the two minutes it stands for. */
const RATE = Number(process.env['RATE'] ?? 4);
const SLOW_S = 16;
const EVENTS_PER_S = 40 * RATE;
const PINGS_PER_S = RATE;
/**
 * What resident memory may grow by after it has settled: the buffer has been full once, the heap has found its size.
 */
const GROWTH_LIMIT_MIB = 32;
/** What it may never pass while a consumer is slow or away. */
const CEILING_MIB = 256;
let highestMiB = 0;

const sim = new Simulator({ port: 0, rate: 0, size: 600, keys: 5, serverPingEveryMs: 1000 / PINGS_PER_S });
const consumer = new SampleConsumer();
const verdict = new Verdict(sim, consumer, 'genesys-streams');
const file = writeDocuments({
  simPort: await sim.listen(),
  consumerPort: await consumer.listen(),
  dialect: 'genesys-streams',
  stream: { heartbeat: { silence: `${String(10_000 / RATE)}ms` } },
  push: { contentMode: 'structured' },
  delivery: { order: 'stream', retryMaxDelay: `${String(2000 / RATE)}ms` },
});
const program = await Program.run(file, [
  '--store',
  `embedded:${mkdtempSync(join(tmpdir(), 'hf-endure-'))}`,
  '--log-level',
  'error',
]);
const say = (text: string): void => void process.stdout.write(`endurance: ${text}\n`);
const fail = (text: string): never => {
  process.stderr.write(`endurance: FAILED: ${text}\n`);
  process.exit(1);
};

async function rssMiB(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${String(program.admin)}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (.*)$/m.exec(text)?.[1] ?? 0) / 2 ** 20;
}

/** How far resident memory rises above what it had reached when `settled` (a share of the time) was over. */
async function watch(seconds: number, settled: number): Promise<number> {
  const samples: number[] = [];
  const endsAt = performance.now() + seconds * 1000;
  await until(
    `${String(seconds)} s have passed`,
    async () => {
      samples.push(await rssMiB());
      await new Promise((resolve) => setTimeout(resolve, 500));
      return performance.now() > endsAt;
    },
    seconds * 1000 + 10_000,
  );
  const cut = Math.floor(samples.length * settled);
  highestMiB = Math.max(highestMiB, ...samples);
  return Math.max(...samples.slice(cut)) - Math.max(...samples.slice(0, cut));
}

await until('the stream is open', () => sim.connections.length > 0);
sim.rate = EVENTS_PER_S;
await until('events flow', () => consumer.distinct > 100);
const { port } = consumer;
await consumer.close();
const pongs = sim.history.counts.get('pong.rx') ?? 0;
const grown = await watch(DOWN_S, 0.2);
const answered = (sim.history.counts.get('pong.rx') ?? 0) - pongs;
say(`down for ${String(DOWN_S)} s: ${String(answered)} pings answered, RSS grew by ${grown.toFixed(1)} MiB`);
if (answered < DOWN_S * PINGS_PER_S * 0.8) fail('pings were not answered');
if (grown > GROWTH_LIMIT_MIB) fail('memory grew');
await consumer.listen(port);
await until('the backlog is delivered', () => verdict.missing().length < 100, 60_000);

consumer.behaviour.delayMs = 20;
sim.rate = 1500;
const slow = await watch(SLOW_S, 0.5);
sim.rate = 0;
consumer.behaviour.delayMs = 0;
await until(
  'everything is delivered',
  () => verdict.complete(),
  180_000,
  () => `${String(consumer.distinct)} so far`,
);
const status = (await program.status()) as {
  streams: { events: { deadLettered: number }; delivery: { parks: number } }[];
};
say(
  `slow for ${String(SLOW_S)} s: parked ${String(status.streams[0]?.delivery.parks)} times, RSS grew by ` +
    `${slow.toFixed(1)} MiB once the buffer had been full; never above ${highestMiB.toFixed(0)} MiB`,
);
if (slow > GROWTH_LIMIT_MIB) fail('memory grew');
if ((status.streams[0]?.delivery.parks ?? 0) === 0) fail('the stream was never parked: the buffer was not full');
if (highestMiB > CEILING_MIB) fail(`more than ${String(CEILING_MIB)} MiB`);
if (status.streams[0]?.events.deadLettered !== 0) fail('there are dead letters');
verdict.check({ maxDuplicates: 0, gaps: 0 });
say(`${String(consumer.distinct)} events, none lost, none repeated, no dead letter`);
await program.stop('SIGTERM');
await consumer.close();
await sim.close();
process.exit(0);
