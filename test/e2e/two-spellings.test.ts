import { expect } from 'chai';
import { Fleet } from '../support/fleet.ts';
import { until } from '../support/until.ts';

describe('two installations with one OAuth client', function () {
  this.timeout(60_000);
  const fleets: Fleet[] = [];
  after(async () => {
    for (const fleet of fleets.toReversed()) await fleet.stop();
  });

  // Found and mended: A4.
  it('that spell the region in two ways have one leader', async () => {
    const one = await Fleet.start({
      replicas: 1,
      dialect: 'genesys-streams',
      documents: { client: { region: 'us-east-1' } },
    });
    fleets.push(one);
    const options = {
      replicas: 0,
      dialect: 'genesys-streams',
      documents: { client: { region: 'mypurecloud.com' } },
    } as const;
    const two = await Fleet.start(options, one.redis);
    fleets.push(two);
    const other = await two.add('', 'pod-of-two');
    const seen = async () => {
      const { clients } = (await other.program.status()) as unknown as { clients: { lease: string; holder: string }[] };
      return clients[0];
    };
    await until('the other one knows who leads', async () => ((await seen())?.holder ?? '') !== '', 20_000);
    expect(await seen()).to.deep.include({ lease: 'GenesysCloud:us-east-1:sim-client' });
    expect((await seen())?.holder).to.match(/pod-1/);
    expect(two.sim.connections).to.have.length(0);
    expect(one.sim.connections).to.have.length(1);
  });
});
