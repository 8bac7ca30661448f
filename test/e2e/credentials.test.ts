import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { Dialect } from '../../src/platforms/profile.ts';
import { SIM_CLIENT } from '../../src/simulator/token-office.ts';
import { Fleet, type Replica } from '../support/fleet.ts';
import { command } from '../support/process.ts';
import { until } from '../support/until.ts';

const LEASE = { ttl: '2s', renewEvery: '600ms', margin: '300ms' };
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
async function wrongFirst(
  dialect: Dialect,
  secret: Record<string, string>,
): Promise<{ fleet: Fleet; a: Replica; b: Replica }> {
  const fleet = await Fleet.start({ replicas: 0, dialect, lease: LEASE });
  const b = await fleet.add('', 'b', WRONG);
  await until('B leads', async () => (await clientOf(b)).role === 'leader');
  const a = await fleet.add('', 'a', secret);
  await until('A takes part', async () => (await clientOf(b)).members.length === 2);
  return { fleet, a, b };
}

/** A takes the lease from B and streams; its token waits for whoever comes after it. */
async function handsOver(dialect: Dialect): Promise<void> {
  const { fleet, a, b } = await wrongFirst(dialect, { ...SIM_CLIENT });
  fleet.sim.rate = 100;
  await until('A leads', async () => (await clientOf(a)).role === 'leader', HANDED_OVER_MS);
  await until('events arrive', () => fleet.consumer.distinct > 50);
  expect((await clientOf(b)).role).to.equal('standby');
  expect(fleet.output.match(/"event":"lease.handed_over"/g), 'moves').to.have.length(1);
  expect(fleet.output).to.include('"event":"credentials.tried"').and.include('"result":"works"');
  const grants = fleet.sim.history.of('tok.req').map((record) => record['grant']);
  expect(new Set(grants), 'A holds a refresh token too').to.deep.equal(new Set(['client_credentials']));
  expect(fleet.sim.history.of('tok.ok'), 'the proof is the first token').to.have.length(1);
  const redis = new Redis({ port: fleet.redis.port });
  const left = (): Promise<number> => redis.hexists(`${fleet.leaseKey}:sealed`, 'accessToken');
  await until('its token is left for the next leader', async () => (await left()) === 1);
  redis.disconnect();
  await fleet.stop();
}

// Found and mended: A5
describe('a leader whose credentials are refused', function () {
  this.timeout(90_000);

  it('gives the lease to one whose credentials work, also where the heir connects first; events flow', async () => {
    await Promise.all([handsOver('genesys-streams'), handsOver('genesys-gateway')]);
  });

  it('stays the leader where nobody has better ones, and says so; the lease does not move', async () => {
    const { fleet, a, b } = await wrongFirst('genesys-streams', WRONG);
    await until('B says so', async () => (await clientOf(b)).unfit !== undefined, HANDED_OVER_MS + 5000);
    const { role, unfit } = await clientOf(b);
    expect(role).to.equal('leader');
    expect(unfit).to.include({ why: 'credentials', asked: 1 });
    expect(unfit?.nextTryMs).to.be.within(40_000, 60_000);
    expect((await command(['status', '--admin-port', String(b.program.admin)])).out).to.match(
      /the leader cannot do its work \(credentials\), and none of the 1 others asked can; the next try in \d+/,
    );
    expect((await clientOf(a)).role).to.equal('standby');
    expect(fleet.output.match(/"event":"leader.changed"/g), 'moves').to.have.length(1);
    expect(fleet.output.match(/"event":"credentials.tried"/g), 'trials').to.have.length(1);
    expect(fleet.output).to.include('"event":"lease.kept"').and.include('"result":"invalid_credentials"');
    await fleet.stop();
  });
});
