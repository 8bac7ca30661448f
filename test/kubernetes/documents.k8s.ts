import { expect } from 'chai';
import { until } from '../support/until.ts';
import { condition, NS, type LiveFleet } from './live-fleet.ts';

/** Documents that change under running sidecars. */
export function documentTests(fleet: LiveFleet): void {
  it('changed documents reach the sidecars, which begin anew one after another; nothing is missed', async () => {
    const { continuity, leader: old } = { ...fleet.stream().status, ...fleet.client().status };
    expect(
      fleet.kubectl('patch', 'hfs', 'main', '-n', NS, '--type=merge', '-p', '{"spec":{"delivery":{"maxInFlight":128}}}')
        .code,
    ).to.equal(0);
    const annotated = (name: string): string =>
      fleet.kubectl('get', 'pod', name, '-n', NS, '-o', 'jsonpath={.metadata.annotations.holdfast\\.dev/config}').out;
    await fleet.told('the annotations are new', () =>
      fleet.sidecars.every((one) => annotated(one.name).includes('"maxInFlight":128')),
    );
    // Here a kubelet would write the file.
    const restarts = fleet.sidecars.map((one) => one.restarts);
    for (const one of fleet.sidecars) one.project();
    await until(
      'each has begun anew',
      () => fleet.sidecars.every((one, index) => one.restarts === (restarts[index] ?? 0) + 1),
      60_000,
    );
    await fleet.flows(50);
    await fleet.told(
      'another term has begun and all is well',
      () =>
        (fleet.client().status?.leader?.epoch ?? 0) > (old?.epoch ?? 0) &&
        condition(fleet.client(), 'Ready') === 'True Leading' &&
        fleet.client().status?.podsSummary === '3/3' &&
        condition(fleet.stream(), 'Ready') === 'True Streaming',
      30_000,
    );
    expect(fleet.stream().status?.continuity?.gaps ?? 0).to.be.at.most(continuity?.gaps ?? 0);
  });

  it('suspend closes the streams, and resume opens them', async () => {
    const project = async (word: string): Promise<void> => {
      await fleet.told('the annotations are new', () =>
        fleet.sidecars.every(
          (one) =>
            fleet
              .kubectl('get', 'pod', one.name, '-n', NS, '-o', 'jsonpath={.metadata.annotations.holdfast\\.dev/config}')
              .out.includes(`"suspend":${word},"token"`) ||
            fleet
              .kubectl('get', 'pod', one.name, '-n', NS, '-o', 'jsonpath={.metadata.annotations.holdfast\\.dev/config}')
              .out.split('\n---\n')[0]
              ?.includes(`"suspend":${word}`) === true,
        ),
      );
      for (const one of fleet.sidecars) one.project();
    };
    fleet.kubectl('patch', 'hfc', 'acme', '-n', NS, '--type=merge', '-p', '{"spec":{"suspend":true}}');
    await fleet.told(
      'it says that it begins',
      () =>
        condition(fleet.client(), 'Ready') === 'False Suspending' ||
        condition(fleet.client(), 'Ready') === 'False ConfigurationPending',
    );
    await project('true');
    await until('no connection is open', () => fleet.sim.connections.length === 0, 60_000);
    await fleet.told(
      'it says so',
      () =>
        fleet.client().status?.state === 'Suspended' &&
        condition(fleet.client(), 'Ready') === 'False Suspended' &&
        fleet.stream().status?.state === 'Suspended',
      20_000,
    );
    fleet.kubectl('patch', 'hfc', 'acme', '-n', NS, '--type=merge', '-p', '{"spec":{"suspend":false}}');
    await project('false');
    await until('a connection is open', () => fleet.sim.connections.length > 0, 60_000);
    await fleet.flows(50);
    await fleet.told(
      'all is well',
      () => condition(fleet.client(), 'Ready') === 'True Leading' && fleet.client().status?.podsSummary === '3/3',
      30_000,
    );
  });
}
