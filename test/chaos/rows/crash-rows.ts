import type { Replica } from '../../support/fleet.ts';
import { until } from '../../support/until.ts';
import { CRASHES, type Crash } from '../crashes.ts';
import type { Rig } from '../rig.ts';
import { platform, type Scenario } from '../row.ts';

const LOADER = `--import=${new URL('../plant.ts', import.meta.url).href}`;
/** A round of the reaper, and a little. */
const SWEEP_MS = 25_000;

function arm(...replicas: readonly Replica[]): void {
  for (const { program } of replicas) {
    program.told = 'SIGUSR2';
    program.signal('SIGUSR2');
  }
}

async function died(rig: Rig, among: readonly Replica[], count: number, limitMs = 15_000): Promise<void> {
  const dead = (): readonly Replica[] => among.filter((one) => one.program.ended?.signal === 'SIGKILL');
  await until('the planted crash came', () => dead().length >= count, limitMs);
  for (const one of dead()) rig.fleet.forget(one);
}

const RUNS: Readonly<Record<Crash['by'], (rig: Rig) => Promise<void>>> = {
  async leader(rig) {
    const leader = await rig.leader();
    arm(leader);
    await died(rig, [leader], 1);
  },
  /** Whoever takes over dies of it, both of them; two others come. */
  async standbys(rig) {
    const leader = await rig.leader();
    const standbys = rig.fleet.replicas.filter((one) => one !== leader);
    arm(...standbys);
    await rig.fleet.end(leader, 'SIGKILL');
    await died(rig, standbys, standbys.length, 30_000);
    await rig.fleet.add();
    await rig.fleet.add();
  },
  async drain(rig) {
    const leader = await rig.leader();
    arm(leader);
    await rig.fleet.end(leader, 'SIGTERM');
    if (leader.program.ended?.signal !== 'SIGKILL') throw new Error('the planted crash did not come');
  },
  async rotation(rig) {
    rig.fleet.sim.do({ do: 'token-life', ms: 4000 });
    platform(rig, { do: 'revoke-tokens' });
    await rig.flows(300);
    const leader = await rig.leader();
    arm(leader);
    await died(rig, [leader], 1);
    rig.fleet.sim.do({ do: 'token-life', ms: 3_600_000 });
  },
  async reaper(rig) {
    const all = [...rig.fleet.replicas];
    arm(...all);
    await died(rig, all, 1, SWEEP_MS);
  },
};

/** P10: death at each point where a step is done and the next is not. */
export const CRASH_ROWS: readonly Scenario[] = CRASHES.map((crash) => ({
  id: crash.id.replace('crash', 'P10'),
  say: `death ${crash.say.startsWith('after') ? '' : 'when '}${crash.say}`,
  facts: { convergeMs: 14_000 },
  options: { node: [LOADER], env: { HOLDFAST_TEST_PLANT: crash.id } },
  async run(rig) {
    const end = rig.fault('crash', crash.id);
    await RUNS[crash.by](rig);
    end();
    await rig.flows(300, 40_000);
  },
}));
