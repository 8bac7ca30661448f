import { expect } from 'chai';
import { seeded } from '../support/global.ts';
import { Fleet, statusOf } from '../support/fleet.ts';
import { until } from '../support/until.ts';

const KILLS = Number(process.env['HOLDFAST_KILLS'] ?? 6);
const ROLLOUTS = Number(process.env['HOLDFAST_ROLLOUTS'] ?? 2);
const RATE = 2000;
/** Repetitions after one disruption: maxInFlight + maxUncheckpointed. */
const BOUND = 512;

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function report(text: string): void {
  if (process.env['HOLDFAST_FIGURES'] !== undefined) process.stdout.write(`      ${text}\n`);
}

describe('three replicas under load', function () {
  this.timeout(60_000 + KILLS * 8000 + ROLLOUTS * 30_000);

  it(
    `kill -9 of the leader, ${String(KILLS)} times: nothing lost, repetitions within the bound, never two ` + 'sockets',
    async () => {
      const random = seeded(7);
      const fleet = await Fleet.start({ replicas: 3, dialect: 'genesys-streams' });
      fleet.sim.rate = RATE;
      const silences: number[] = [];
      const repeats: number[] = [];
      for (let n = 0; n < KILLS; n += 1) {
        const target = fleet.consumer.distinct + RATE + Math.floor(random() * RATE);
        await until('a random number of events went by', () => fleet.consumer.distinct >= target);
        const leader = await fleet.leader();
        if (leader === undefined) throw new Error('nobody leads');
        const before = fleet.consumer.repeats;
        const t = process.hrtime.bigint();
        await fleet.end(leader, 'SIGKILL');
        const again = fleet.consumer.distinct + RATE / 2;
        await until('events flow again', () => fleet.consumer.distinct >= again);
        silences.push(fleet.longestSilenceSince(t));
        repeats.push(fleet.consumer.repeats - before);
        await fleet.add();
      }
      fleet.sim.rate = 0;
      await until('everything is delivered', () => fleet.verdict.complete(), 30_000);
      fleet.verdict.check({ maxDuplicates: BOUND * KILLS, gaps: 0 });
      expect(Math.max(...repeats), `repetitions ${repeats.join(' ')}`).to.be.at.most(BOUND);
      expect(fleet.longestOverlapMs(), 'sockets open together').to.be.at.most(1000);
      report(
        `gap after kill -9: p50 ${quantile(silences, 0.5).toFixed(0)} ms, p99 ` +
          `${quantile(silences, 0.99).toFixed(0)} ms, repeats at most ${String(Math.max(...repeats))}, overlap ` +
          `${fleet.longestOverlapMs().toFixed(1)} ms`,
      );
      await fleet.stop();
    },
  );

  it(`rolling restart, ${String(ROLLOUTS)} times: nothing lost, nothing repeated, the lease moves once`, async () => {
    const fleet = await Fleet.start({ replicas: 3, dialect: 'genesys-streams' });
    fleet.sim.rate = RATE;
    const silences: number[] = [];
    for (let n = 0; n < ROLLOUTS; n += 1) {
      const changes = moves(fleet);
      for (const old of [...fleet.replicas]) {
        const fresh = await fleet.add(`revision-${String(n)}`);
        await until('the new replica takes part', async () => (await statusOf(fresh)).ready);
        const t = process.hrtime.bigint();
        expect(await fleet.end(old, 'SIGTERM'), 'clean end').to.equal(0);
        const again = fleet.consumer.distinct + RATE / 4;
        await until('events flow', () => fleet.consumer.distinct >= again);
        silences.push(fleet.longestSilenceSince(t));
      }
      expect(moves(fleet) - changes, 'moves in one rollout').to.equal(1);
    }
    fleet.sim.rate = 0;
    await until('everything is delivered', () => fleet.verdict.complete(), 30_000);
    fleet.verdict.check({ maxDuplicates: 0, gaps: 0 });
    expect(fleet.longestOverlapMs(), 'sockets open together').to.be.at.most(1000);
    report(
      `gap of a planned change: p50 ${quantile(silences, 0.5).toFixed(0)} ms, p99 ` +
        `${quantile(silences, 0.99).toFixed(0)} ms, repeats ${String(fleet.consumer.repeats)}`,
    );
    await fleet.stop();
  });
});

/** How often somebody became the leader so far. */
function moves(fleet: Fleet): number {
  return fleet.output.match(/"event":"leader.changed"/g)?.length ?? 0;
}
