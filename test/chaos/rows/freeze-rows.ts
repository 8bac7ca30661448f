import { DRAIN_LIMIT_MS } from '../../../src/core/lease/lease-model.ts';
import { statusOf, type Replica } from '../../support/fleet.ts';
import { until } from '../../support/until.ts';
import type { Rig } from '../rig.ts';
import { during, freeze, pause, preload, T_MS, type Scenario } from '../row.ts';

/** A frozen leader that was told to stop goes on; nobody else may notice. */
async function thawed(rig: Rig, leader: Replica): Promise<void> {
  await during(
    rig,
    { kind: 'stop', target: leader.pod, forMs: 4000, more: { steady: true, but: leader.pod } },
    () => {
      leader.program.signal('SIGCONT');
    },
    () => undefined,
  );
}

/** A leader that stands still and goes on: frozen, with its writes held up, blocked or starved. */
export const FREEZE_ROWS: readonly Scenario[] = [
  {
    id: 'P4',
    say: 'the leader is frozen for twice the ttl',
    quick: true,
    async run(rig) {
      await freeze(rig, 2 * T_MS);
      await rig.flows(300);
    },
  },
  {
    id: 'P4b',
    say: 'a frozen leader is told to stop, and goes on: what it still says in its lease’s name counts for nothing',
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('freeze', leader.pod);
      leader.program.signal('SIGSTOP');
      await rig.flows(300);
      await pause(T_MS);
      const told = rig.fleet.end(leader, 'SIGTERM');
      end();
      await thawed(rig, leader);
      await told;
      await rig.flows(300);
    },
  },
  {
    id: 'P4d',
    say: 'a leader is frozen in the middle of its stop: the lock that it gives back when thawed is another’s',
    async run(rig) {
      const leader = await rig.leader();
      const { behaviour } = rig.fleet.consumer;
      // Its consumer is at work for longer than it takes to freeze it, so it is frozen while it waits for answers.
      behaviour.delayMs = 3000;
      await pause(500);
      const end = rig.fault('freeze', leader.pod);
      const told = rig.fleet.end(leader, 'SIGTERM');
      await pause(500);
      leader.program.signal('SIGSTOP');
      behaviour.delayMs = 0;
      await rig.flows(300);
      // Longer than a stop may take: the first thing it does is to give the lock back, before it asks whose it is.
      await pause(DRAIN_LIMIT_MS);
      end();
      await thawed(rig, leader);
      await told;
      await rig.flows(300);
    },
  },
  {
    id: 'P4c',
    say:
      'the leader is frozen while its consumer is at work: the answer that waits for it moves no checkpoint ' +
      'any more',
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      behaviour.delayMs = 400;
      for (let n = 0; n < 2; n += 1) {
        await rig.flows(100);
        await freeze(rig, 2 * T_MS);
        await pause(1000);
      }
      behaviour.delayMs = 0;
      await rig.flows(300);
    },
  },
  {
    id: 'P4e',
    say:
      'what a leader wrote to the store is under way for so long that the next one leads before it arrives: it ' +
      'counts for nothing',
    facts: { convergeMs: 14_000 },
    async run(rig) {
      const leader = await rig.leader();
      const { toRedis } = leader;
      if (toRedis === undefined) throw new Error('the rig has no proxies');
      const end = rig.fault('toRedis', leader.pod);
      toRedis.hold();
      await until('another leads', async () => {
        const others = rig.fleet.replicas.filter((one) => one !== leader);
        const roles = await Promise.all(others.map(async (one) => (await statusOf(one)).clients[0]?.role));
        return roles.includes('leader');
      });
      await rig.flows(300);
      if (toRedis.heldBytes === 0) throw new Error('nothing is under way');
      // Nobody writes any more: what arrives now stays to be seen.
      rig.fleet.sim.rate = 0;
      await until('all is acknowledged', () => rig.fleet.verdict.complete());
      await pause(500);
      toRedis.letGo();
      await pause(1000);
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
      end();
    },
  },
  {
    id: 'P5',
    say: 'twenty short freezes change nothing',
    async run(rig) {
      for (let n = 0; n < 20; n += 1) {
        await freeze(rig, 150, { steady: true });
        await pause(150);
      }
    },
  },
  {
    id: 'P6',
    say: 'the main thread of the leader is blocked past the deadline: the guard ends the process',
    quick: true,
    options: { node: preload('block') },
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('block', leader.pod);
      leader.program.told = 'SIGUSR2';
      leader.program.signal('SIGUSR2');
      await until('the guard ended it', () => leader.program.ended?.signal === 'SIGKILL', 3 * T_MS).finally(end);
      if (!leader.program.output.includes('lease_watchdog')) throw new Error('the guard did not say so');
      rig.fleet.forget(leader);
      await rig.flows(300);
    },
  },
  {
    id: 'P8',
    say: 'the leader gets a tenth of the processor',
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('starve', leader.pod);
      for (let n = 0; n < 40; n += 1) {
        leader.program.signal('SIGSTOP');
        await pause(90);
        leader.program.signal('SIGCONT');
        await pause(10);
      }
      end();
      await rig.flows(300);
    },
  },
];
