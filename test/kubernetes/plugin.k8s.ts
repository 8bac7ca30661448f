import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NS, type LiveFleet } from './live-fleet.ts';

const PLUGIN = new URL('../../src/cli/kubectl-holdfast.ts', import.meta.url).pathname;

/** The plugin of kubectl. */
export function pluginTests(fleet: LiveFleet): void {
  it('the plugin: status, gaps, handover, outdated, from any directory, with -n, -A and --context', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'hf-plugin-'));
    writeFileSync(join(bin, 'kubectl-holdfast'), `#!/bin/sh\nexec "${process.execPath}" "${PLUGIN}" "$@"\n`);
    chmodSync(join(bin, 'kubectl-holdfast'), 0o755);
    const plugin = (...args: readonly string[]) => {
      const done = spawnSync(join(fleet.cluster.bin, 'kubectl'), ['holdfast', ...args], {
        encoding: 'utf8',
        cwd: tmpdir(),
        env: { ...fleet.cluster.environment(), PATH: `${bin}:${fleet.cluster.environment()['PATH'] ?? ''}` },
      });
      return { code: done.status, out: done.stdout, err: done.stderr };
    };
    expect(plugin().out).to.include('kubectl holdfast COMMAND');
    expect(plugin('statu', '-n', NS).err).to.include('unknown command "statu"');
    const shown = plugin('status', 'acme', '-n', NS, '--context', 'test');
    expect(shown.out)
      .to.match(/live +acme +acme-\d +\d+ +Active +3\/3/)
      .and.match(/live +main +acme +Streaming/)
      .and.match(/acme-\d +acme +leader/);
    expect(shown.out).to.include('Continuous is False (ResumeGap)');
    expect(plugin('status', '-A').out).to.match(/live +acme/);
    expect(plugin('status', 'nobody', '-n', NS).err).to.include('there is no StreamClient nobody here');
    expect(plugin('gaps', 'main', '-n', NS).out)
      .to.match(/live +main +\d+\.\d+% +\d+ +\d+ gaps were announced/)
      .and.include('TIME');
    expect(plugin('outdated', '-n', NS).out).to.include('all 3 sidecars are of version 0.1.0');
    fleet.kubectl('label', 'pod', 'acme-0', '-n', NS, 'holdfast.dev/injected-version=0.0.9', '--overwrite');
    expect(plugin('outdated', '-n', NS).out).to.match(/live +acme-0 +0\.0\.9 +0\.1\.0/);
    await fleet.told('the pod has an Event', () => fleet.events('SidecarOutdated').includes('Pod/acme-0'));
    fleet.kubectl('label', 'pod', 'acme-0', '-n', NS, 'holdfast.dev/injected-version=0.1.0', '--overwrite');
    const before = fleet.leader().name;
    const moved = plugin('handover', 'acme', '-n', NS);
    expect(moved.err).to.equal('');
    expect(moved.out).to.match(/asked acme-\d \(epoch \d+\) to hand over\nacme-\d leads with epoch \d+/);
    expect(fleet.leader().name).to.not.equal(before);
    expect(plugin('handover', 'nobody', '-n', NS).err).to.include('not found');
    await fleet.flows(20);
    await fleet.told('an Event tells of it', () => fleet.events('LeaseHandedOver').includes('StreamClient/acme'));
  });
}
