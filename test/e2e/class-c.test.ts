import { expect } from 'chai';
import { Fleet, statusOf } from '../support/fleet.ts';
import { until } from '../support/until.ts';

/** Events of one overlap: the early limit of 1.5 s at 200 a second. */
const OVERLAP_EVENTS = 300;

describe('a stream that cannot be replayed, at a planned change of leader', () => {
  for (const dialect of ['cxone-realtime', 'genesys-gateway'] as const) {
    it(`${dialect}: the heir connects first, and nothing is missing`, async function () {
      this.timeout(60_000);
      const fleet = await Fleet.start({ replicas: 2, dialect });
      fleet.sim.rate = 200;
      await until('events flow', () => fleet.consumer.distinct > 100);
      for (let n = 0; n < 3; n += 1) {
        const leader = await fleet.leader();
        if (leader === undefined) throw new Error('nobody leads');
        const fresh = await fleet.add();
        await until('it takes part', async () => (await statusOf(fresh)).ready);
        expect(await fleet.end(leader, 'SIGTERM')).to.equal(0);
        const target = fleet.consumer.distinct + 100;
        await until('events flow again', () => fleet.consumer.distinct >= target, 20_000);
      }
      fleet.sim.rate = 0;
      await until('everything is delivered', () => fleet.verdict.complete(), 20_000);
      // While both are connected the platform sends everything twice.
      fleet.verdict.check({ maxDuplicates: 3 * OVERLAP_EVENTS, gaps: 0 });
      await fleet.stop();
    });
  }
});
