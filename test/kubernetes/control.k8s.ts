import { expect } from 'chai';
import type { Cluster } from './cluster.ts';
import { documentTests } from './documents.k8s.ts';
import { condition, LiveFleet, NS } from './live-fleet.ts';
import { outageTests } from './outages.k8s.ts';
import { pluginTests } from './plugin.k8s.ts';
import { rightsTests } from './rights.k8s.ts';
import { statusTests } from './status.k8s.ts';

export function controlling(of: () => Cluster): void {
  describe('the controller, with sidecars as processes against simulator and Redis', function () {
    // Each step stands on the one before.
    this.bail(true);
    const fleet = new LiveFleet(of);

    before(() => fleet.start());
    after(() => fleet.stop());

    statusTests(fleet);
    pluginTests(fleet);
    documentTests(fleet);
    outageTests(fleet);
    rightsTests(fleet);

    it(
      'the end of a pod: preStop hands over at once, SIGTERM ' + 'finds nothing left to do, and nothing is lost',
      async () => {
        const old = fleet.leader();
        const { epoch = 0 } = fleet.client().status?.leader ?? {};
        const { drained } = await old.terminate(15_000);
        expect(drained, 'preStop').to.equal(0);
        fleet.kubectl('delete', 'pod', old.name, '-n', NS, '--now');
        await fleet.flows(50);
        await fleet.told(
          'another one leads',
          () =>
            (fleet.client().status?.leader?.epoch ?? 0) > epoch &&
            condition(fleet.client(), 'Ready') === 'True Leading',
        );
        fleet.sim.rate = 0;
        const [gap] = fleet.consumer.controls.filter((one) => one.type === 'dev.holdfast.gap.detected').slice(-1);
        expect(
          Number((gap?.data as { readonly to?: string } | undefined)?.to ?? 0),
          'no gap but the one that was made',
        ).to.be.lessThan(Number.MAX_SAFE_INTEGER);
        expect(old.output).to.not.match(/sim-secret|sim-access/);
      },
    );
  });
}
