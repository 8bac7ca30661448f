import { expect } from 'chai';
import { Fleet } from '../support/fleet.ts';
import { until } from '../support/until.ts';

describe('a leader that is stopped', () => {
  it('gives the lease back in time although no heir answers and no acknowledgement comes', async function () {
    this.timeout(60_000);
    const fleet = await Fleet.start({ replicas: 3, dialect: 'genesys-streams' });
    fleet.sim.rate = 200;
    await until('events flow', () => fleet.consumer.distinct > 200);
    const leader = await fleet.leader();
    if (leader === undefined) throw new Error('nobody leads');
    const others = fleet.replicas.filter((one) => one !== leader);
    for (const one of others) one.program.signal('SIGSTOP');
    fleet.consumer.behaviour.delayMs = 60_000;
    expect(await fleet.end(leader, 'SIGTERM'), 'clean end').to.equal(0);
    expect(leader.program.output, 'given back, not left to expire').to.match(/"event":"lease.lost".*"why":"released"/);
    fleet.consumer.behaviour.delayMs = 0;
    for (const one of others) one.program.signal('SIGCONT');
    await until('events flow again', () => fleet.consumer.distinct > 400, 30_000);
    fleet.sim.rate = 0;
    await until('everything is delivered', () => fleet.verdict.complete(), 30_000);
    fleet.verdict.check({ maxDuplicates: 512, gaps: 0 });
    await fleet.stop();
  });
});
