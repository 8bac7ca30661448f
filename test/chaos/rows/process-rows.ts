import { spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { readdirSync } from 'node:fs';
import { until } from '../../support/until.ts';
import type { Rig } from '../rig.ts';
import { during, kill, pause, preload, redisOf, type Scenario } from '../row.ts';
import { FREEZE_ROWS } from './freeze-rows.ts';

/** How far the store says that the consumer has acknowledged: entries, notices among them. */
async function settled(rig: Rig): Promise<number> {
  return Number(await redisOf(rig, (redis) => redis.hget(`${rig.fleet.leaseKey}:ckpt`, 'main#index')));
}

/** Processes that are killed, stopped, started again or run out of something; among them those that stand still. */
export const PROCESS_ROWS: readonly Scenario[] = [
  {
    id: 'P1',
    say: 'the leader is killed, three times',
    quick: true,
    async run(rig) {
      for (let n = 0; n < 3; n += 1) await kill(rig);
    },
  },
  {
    id: 'P1-B',
    say: 'the leader is killed, where the platform resumes by time',
    options: { dialect: 'genesys-analytics-events' },
    async run(rig) {
      for (let n = 0; n < 2; n += 1) await kill(rig);
    },
  },
  {
    id: 'P1-C',
    say: 'the leader is killed, where nothing can be resumed',
    options: { dialect: 'genesys-gateway' },
    async run(rig) {
      for (let n = 0; n < 2; n += 1) await kill(rig);
    },
  },
  {
    id: 'P2',
    say: 'rolling update',
    quick: true,
    async run(rig) {
      for (const old of [...rig.fleet.replicas]) {
        await rig.fleet.add('v2');
        await until('it takes part', async () =>
          (await Promise.all(rig.fleet.replicas.map(async (one) => (await one.program.status())['ready']))).every(
            Boolean,
          ),
        );
        const end = rig.fault('stop', old.pod);
        await rig.fleet.end(old, 'SIGTERM');
        end();
        await rig.flows(200);
      }
    },
  },
  {
    id: 'P3',
    say: 'no grace left: SIGTERM, then SIGKILL at once',
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('kill', leader.pod);
      const stopped = rig.fleet.end(leader, 'SIGTERM');
      await until('the hand-over has begun', () => leader.program.output.includes('draining'));
      leader.program.kill();
      await stopped;
      end();
      await rig.flows(300);
    },
  },
  ...FREEZE_ROWS,
  {
    id: 'P9',
    say: 'the leader has no descriptors left, and fifty clients knock: the stream goes on',
    async run(rig) {
      const { program } = await rig.leader();
      const used = readdirSync(`/proc/${String(program.pid)}/fd`).length;
      const limit = (soft: number): void =>
        void spawnSync('prlimit', ['--pid', String(program.pid), `--nofile=${String(soft)}:`]);
      const knocking: Socket[] = [];
      await during(
        rig,
        { kind: 'descriptors', target: 'leader', forMs: 3000, more: { steady: true } },
        () => {
          limit(used + 8);
          for (let n = 0; n < 50; n += 1) {
            const socket = connect(program.delivery, '127.0.0.1');
            socket.on('error', () => undefined); // refused is what we expect
            knocking.push(socket);
          }
        },
        () => {
          for (const socket of knocking) socket.destroy();
          limit(1024);
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'P11',
    say: 'a stray exception ends the leader with 70, and another takes over',
    options: { node: preload('throw') },
    facts: { exitCodes: [70] },
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('exception', leader.pod);
      leader.program.told = 'SIGUSR2';
      leader.program.signal('SIGUSR2');
      await until('it has ended', () => leader.program.ended !== undefined);
      end();
      if (leader.program.ended?.code !== 70) throw new Error(`it ended with ${JSON.stringify(leader.program.ended)}`);
      rig.fleet.forget(leader);
      await rig.flows(300);
    },
  },
  {
    id: 'P12',
    say: 'all replicas are killed and started again',
    facts: { convergeMs: 14_000 },
    async run(rig) {
      const end = rig.fault('kill', 'all');
      await Promise.all([...rig.fleet.replicas].map((one) => rig.fleet.end(one, 'SIGKILL')));
      await Promise.all([1, 2, 3].map(() => rig.fleet.add()));
      end();
      await rig.flows(500);
    },
  },
  {
    id: 'P16',
    say: 'the leader is killed before the first event: what the platform makes meanwhile is announced',
    cold: true,
    async run(rig) {
      const leader = await rig.leader();
      const stored = (): Promise<boolean> =>
        redisOf(rig, async (redis) => (await redis.hexists(`${rig.fleet.leaseKey}:ckpt`, 'main')) === 1);
      await until('its subscription is stored', stored, 3000).catch(() => undefined); // then the judge sees it
      const end = rig.fault('kill', leader.pod);
      await rig.fleet.end(leader, 'SIGKILL');
      rig.fleet.sim.generate(50);
      end();
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
      if (!rig.fleet.consumer.controls.some((one) => one.type === 'dev.holdfast.gap.detected'))
        throw new Error('no gap was announced');
    },
  },
  ...(['genesys-streams', 'genesys-gateway'] as const).map((dialect): Scenario => ({
    id: dialect === 'genesys-streams' ? 'P17' : 'P17-C',
    say: `all replicas die, twice, while the platform refuses (${dialect}): the hole is announced from its beginning`,
    cold: dialect === 'genesys-streams',
    options: { dialect },
    facts: { convergeMs: 14_000 },
    async run(rig) {
      const { sim } = rig.fleet;
      const end = rig.fault('refuse', 'platform');
      await until('its subscription is stored', () =>
        redisOf(rig, async (redis) => (await redis.hexists(`${rig.fleet.leaseKey}:ckpt`, 'main')) === 1),
      );
      sim.rate = 0;
      await until('nothing is on its way', () => rig.fleet.verdict.complete());
      sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 10_000 } } });
      for (let n = 0; n < 2; n += 1) {
        const before = await settled(rig);
        // The next one is new: it leads after one ttl, and a notice that begins a little early hides nothing.
        for (const one of [...rig.fleet.replicas]) await rig.fleet.end(one, 'SIGKILL');
        sim.generate(20);
        await rig.fleet.add();
        await until(
          'what the next one says of the change is acknowledged and stored',
          async () => (await settled(rig)) > before,
          15_000,
        );
      }
      sim.do({ do: 'set', faults: { upgrade: undefined } });
      end();
      await until('it is open again', () => sim.connections.length > 0);
      sim.rate = 500;
      await rig.flows(300);
    },
  })),
  {
    id: 'P2-C',
    say:
      'a leader that is cut off from the platform is stopped, where nothing can be resumed: its heir announces ' +
      'what was missed',
    options: { dialect: 'genesys-gateway' },
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('stop', leader.pod);
      rig.fleet.sim.rate = 0;
      await leader.toSim?.down();
      await until('it is gone', () => rig.fleet.sim.connections.length === 0);
      rig.fleet.sim.generate(50);
      await until('it knows', () => leader.program.output.includes('"event":"connection.dropped"'));
      await rig.fleet.end(leader, 'SIGTERM');
      end();
      await leader.toSim?.up();
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'P14',
    say: 'the leader is killed and started again under its old name and uid: its old lock is not adopted',
    async run(rig) {
      for (let n = 0; n < 3; n += 1) {
        const leader = await rig.leader();
        const end = rig.fault('kill', leader.pod);
        await rig.fleet.end(leader, 'SIGKILL');
        await rig.fleet.add('', leader.pod);
        end();
        await rig.flows(300);
      }
    },
  },
  {
    id: 'P15',
    say: 'churn: some replica is killed every 1.5 s',
    async run(rig) {
      for (let n = 0; n < 10; n += 1) {
        const victim = rig.fleet.replicas[n % rig.fleet.replicas.length];
        if (victim === undefined) return;
        const end = rig.fault('kill', victim.pod);
        await rig.fleet.end(victim, 'SIGKILL');
        await rig.fleet.add();
        end();
        await pause(1500);
      }
      await rig.flows(300);
    },
  },
];
