import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { expectNoSecret } from '../support/canary.ts';
import { writeDocuments } from '../support/documents.ts';
import { seeded } from '../support/global.ts';
import { Program } from '../support/process.ts';
import { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { Verdict } from '../support/verdict.ts';

/** Redelivered after a crash: maxInFlight + maxUncheckpointed. */
const BOUND = 512;
const KILLS = 20;
const RATE = 2000;

const CASES = [
  { kind: 'embedded', dialect: 'genesys-streams', kills: KILLS },
  { kind: 'redis', dialect: 'genesys-streams', kills: 5 },
  { kind: 'embedded', dialect: 'genesys-analytics-events', kills: 4 },
  { kind: 'embedded', dialect: 'cxone-events', kills: 4 },
] as const;

for (const { kind, dialect, kills } of CASES) {
  describe(`kill -9 under ${String(RATE)} events/s, ${dialect}, ${kind} store`, function () {
    this.timeout(180_000);

    it(
      `${String(kills)} times at random moments: nothing lost, at most ${String(BOUND)} repeated each time, ` +
        'every repeat marked',
      async () => {
        const random = seeded(99);
        const redis = kind === 'redis' ? await TestRedis.start() : undefined;
        const store =
          redis === undefined
            ? `embedded:${mkdtempSync(join(tmpdir(), 'hf-kill-'))}`
            : `redis://127.0.0.1:${String(redis.port)}`;
        const sim = new Simulator({ port: 0, rate: 0, size: 400, keys: 11, serverPingEveryMs: 200 });
        const consumer = new SampleConsumer();
        const verdict = new Verdict(sim, consumer, dialect);
        const file = writeDocuments({ simPort: await sim.listen(), consumerPort: await consumer.listen(), dialect });
        let output = '';
        let program = await Program.run(file, ['--store', store]);
        await until('the stream is open', () => sim.connections.length > 0);
        sim.rate = RATE;
        const worst: number[] = [];
        for (let n = 0; n < kills; n += 1) {
          const target = consumer.distinct + 1 + Math.floor(random() * 1500);
          await until('a random number of events went by', () => consumer.distinct >= target);
          const repeats = consumer.repeats;
          await program.stop('SIGKILL');
          output += program.output;
          program = await Program.run(file, ['--store', store]);
          const caughtUp = consumer.distinct + 200;
          await until('events flow again', () => consumer.distinct >= caughtUp);
          worst.push(consumer.repeats - repeats);
        }
        sim.rate = 0;
        await until('everything is delivered', () => verdict.complete(), 30_000);
        expect(await program.stop('SIGTERM'), 'clean end').to.equal(0);
        output += program.output;
        expect(Math.max(...worst), `repeats after each kill: ${worst.join(' ')}`).to.be.at.most(BOUND);
        verdict.check({ maxDuplicates: BOUND * kills, gaps: 0 });
        const seen = new Set<string>();
        for (const event of consumer.received) {
          if (event.type.startsWith('dev.holdfast.')) continue;
          if (seen.has(event.id))
            expect(event.attempt > 1 || event.replay !== 'live', `repeat of ${event.id} is marked`).to.equal(true);
          seen.add(event.id);
        }
        expectNoSecret(output, `kill ${kind} ${dialect}`);
        await consumer.close();
        await sim.close();
        await redis?.stop();
      },
    );
  });
}
