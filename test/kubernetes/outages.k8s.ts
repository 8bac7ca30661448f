import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../support/until.ts';
import { condition, NS, TRUTH_MS, type LiveFleet } from './live-fleet.ts';

/** The API server writes its audit log in lots, each at most 100 ms late. */
const AUDIT_LAG_MS = 500;
const OUTAGE_MS = Number(process.env['HOLDFAST_OUTAGE_MS'] ?? 60_000);

/** The API server, a controller or Redis is away. */
export function outageTests(fleet: LiveFleet): void {
  it(
    'the API server is gone for a minute: the streams do not ' + 'notice, and the status is true again afterwards',
    async () => {
      const opened = fleet.sim.history.of('conn.open').length;
      const before = fleet.consumer.distinct;
      await fleet.cluster.stopApiServer();
      const endMs = performance.now() + OUTAGE_MS;
      let last = fleet.consumer.distinct;
      while (performance.now() < endMs) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        expect(fleet.consumer.distinct, 'events in each second').to.be.greaterThan(last);
        last = fleet.consumer.distinct;
      }
      expect(fleet.sim.history.of('conn.open').length, 'no reconnection').to.equal(opened);
      expect(fleet.consumer.distinct - before).to.be.at.least((OUTAGE_MS / 1000) * 25);
      const from = Date.now();
      fleet.cluster.startApiServer();
      await fleet.cluster.ready();
      fleet.restarted = { from, to: Date.now() + 10_000 };
      const old = fleet.leader();
      await old.end('SIGKILL');
      await fleet.replace(old);
      await fleet.told(
        'the next change is shown',
        () =>
          fleet.client().status?.leader?.podName !== old.name && condition(fleet.client(), 'Ready') === 'True Leading',
        40_000,
      );
    },
  );

  it('of two controllers one writes; when it is killed the other one goes on, never both', async () => {
    const [, first] = fleet.parts;
    const second = await fleet.controller();
    await first?.end('SIGKILL');
    // What it wrote last comes into the log with the next lot.
    await pause(AUDIT_LAG_MS);
    const line = fleet.cluster.audit().length;
    fleet.kubectl('annotate', 'hfs', 'main', '-n', NS, 'test/touched=1', '--overwrite');
    fleet.kubectl(
      'patch',
      'hfs',
      'main',
      '-n',
      NS,
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"status":{"state":"Wrong"}}',
    );
    await until('the other one has put it right', () => fleet.stream().status?.state === 'Streaming', 60_000);
    const third = await fleet.controller();
    // Given back on a clean stop: the next one need not wait for the end of the lease.
    await second.end('SIGTERM');
    fleet.kubectl(
      'patch',
      'hfs',
      'main',
      '-n',
      NS,
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"status":{"state":"Wrong"}}',
    );
    await until('the third one has put it right', () => fleet.stream().status?.state === 'Streaming', 30_000);
    const writers = (): readonly string[] =>
      fleet.cluster
        .audit()
        .slice(line)
        .filter(
          (one) =>
            String(one['userAgent']).startsWith('holdfast-controller') &&
            one['verb'] === 'patch' &&
            (one['objectRef'] as { readonly subresource?: string }).subresource === 'status',
        )
        .map((one) => String(one['userAgent']));
    await until('the log of the API server has both', () => new Set(writers()).size >= 2, 10_000);
    const writes = writers();
    expect(new Set(writes).size).to.equal(2);
    expect(writes.lastIndexOf(writes[0] ?? ''), 'their writes do not mix').to.be.lessThan(
      writes.findIndex((one) => one !== writes[0]),
    );
    expect(third.output).to.not.include('fatal');
  });

  it('Redis is away: nobody is said to lead; all is true again when it is back', async () => {
    await fleet.redis.stop();
    await fleet.told(
      'it is not known',
      () =>
        condition(fleet.client(), 'LeaderElected') === 'Unknown StoreUnavailable' &&
        condition(fleet.stream(), 'Ready') === 'Unknown StoreUnavailable',
      TRUTH_MS * 3,
    );
    await fleet.redis.again();
    await fleet.told(
      'somebody leads',
      () =>
        condition(fleet.client(), 'Ready') === 'True Leading' &&
        condition(fleet.stream(), 'Ready') === 'True Streaming',
      40_000,
    );
    await fleet.flows(50);
  });
}
