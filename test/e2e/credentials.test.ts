import { expect } from 'chai';
import { Fleet, type Replica } from '../support/fleet.ts';
import { until } from '../support/until.ts';
import { SIM_CLIENT } from '../../src/simulator/tokens.ts';

const LEASE = { ttl: '2s', renewEvery: '600ms', guard: '300ms' };
const WRONG = { clientId: SIM_CLIENT.clientId, clientSecret: 'a-secret-of-another-installation' };
/** 20 s of refusals, the trial, the hand-over. */
const HANDED_OVER_MS = 30_000;

interface Status {
  readonly clients: readonly [
    {
      readonly role: string;
      readonly members: readonly string[];
      readonly unfit?: { readonly why: string; readonly asked: number; readonly nextTryMs: number };
    },
  ];
}

const clientOf = async (replica: Replica): Promise<Status['clients'][0]> =>
  ((await replica.program.status()) as unknown as Status).clients[0];

/** Replica B leads first, with a wrong secret; A comes later, with `secret`. */
async function wrongFirst(secret: Record<string, string>): Promise<{ fleet: Fleet; a: Replica; b: Replica }> {
  const fleet = await Fleet.start({ replicas: 0, dialect: 'genesys-streams', lease: LEASE });
  const b = await fleet.add('', 'b', WRONG);
  await until('B leads', async () => (await clientOf(b)).role === 'leader', 15_000);
  const a = await fleet.add('', 'a', secret);
  await until('A takes part', async () => (await clientOf(b)).members.length === 2, 15_000);
  return { fleet, a, b };
}

// Found and mended: A5
describe('a leader whose credentials are refused', function () {
  this.timeout(90_000);

  it('gives the lease to a replica whose credentials work, which then streams', async () => {
    const { fleet, a, b } = await wrongFirst({ ...SIM_CLIENT });
    fleet.sim.rate = 100;
    await until('A leads', async () => (await clientOf(a)).role === 'leader', HANDED_OVER_MS);
    await until('events arrive', () => fleet.consumer.distinct > 50);
    expect((await clientOf(b)).role).to.equal('standby');
    expect(fleet.output.match(/"event":"lease.handed_over"/g)).to.have.length(1);
    expect(fleet.output).to.include('"event":"credentials.tried"').and.include('"result":"works"');
    await fleet.stop();
  });

  it('stays the leader where nobody has better ones, and says so; the lease does not move', async () => {
    const { fleet, a, b } = await wrongFirst(WRONG);
    await until('B says so', async () => (await clientOf(b)).unfit !== undefined, HANDED_OVER_MS + 5000);
    const { role, unfit } = await clientOf(b);
    expect(role).to.equal('leader');
    expect(unfit).to.include({ why: 'credentials', asked: 1 });
    expect(unfit?.nextTryMs).to.be.within(40_000, 60_000);
    expect((await clientOf(a)).role).to.equal('standby');
    expect(fleet.output.match(/"event":"leader.changed"/g), 'moves').to.have.length(1);
    expect(fleet.output.match(/"event":"credentials.tried"/g), 'trials').to.have.length(1);
    expect(fleet.output).to.include('"event":"lease.kept"').and.include('"result":"invalid_credentials"');
    await fleet.stop();
  });
});
