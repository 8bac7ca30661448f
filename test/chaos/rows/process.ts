import { DRAIN_LIMIT_MS } from '../../../src/core/lease/lease-model.ts';
import { spawn, spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { readdirSync } from 'node:fs';
import { statusOf, type Replica } from '../../support/fleet.ts';
import { until } from '../../support/until.ts';
import type { Rig } from '../rig.ts';
import { during, freeze, kill, pause, redisOf, spoil, T_MS, type Scenario } from '../row.ts';

const preload = (name: string): readonly string[] => [
  `--import=${new URL(`../../support/${name}.ts`, import.meta.url).href}`,
];

/** Every other replica’s clock runs five percent fast, the others’ three percent slow. */
const CLOCKS_DIFFER = { node: preload('clock'), env: { HOLDFAST_TEST_CLOCK_RATES: '1.05 0.97' } };

/** More audit lines than the descriptor and the queue before it hold together. */
const UNREAD_LINES = 6000;

/** How far the store says that the consumer has acknowledged: entries, notices among them. */
async function settled(rig: Rig): Promise<number> {
  return Number(await redisOf(rig, (redis) => redis.hget(`${rig.fleet.leaseKey}:ckpt`, 'main#index')));
}

/** What the operating system, the orchestrator and our own mistakes do to a process. */
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
      if (!leader.program.output.includes('lease_guard')) throw new Error('the guard did not say so');
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
  {
    id: 'H2',
    say:
      'nobody reads the log of the leader until lines are dropped: the stream goes on, and the process ends ' +
      'when it is told to',
    async run(rig) {
      const leader = await rig.leader();
      const { program } = leader;
      await during(
        rig,
        { kind: 'log', target: 'leader', forMs: 4000, more: { steady: true } },
        () => {
          program.deaf(true);
          for (let n = 0; n < UNREAD_LINES; n += 1) rig.badFrame(`unreadable ${String(n)}`);
        },
        () => undefined,
      );
      await until('lines are dropped', async () =>
        /log_lines_dropped_total\{.*sink="audit".*\} [1-9]/.test(await program.metrics()),
      );
      // Every notice of an unreadable frame travels alone, and the data wait behind it.
      await rig.flows(300, 90_000);
      await during(
        rig,
        { kind: 'stop', target: leader.pod, forMs: 0 },
        () => rig.fleet.end(leader, 'SIGTERM'),
        () => {
          program.deaf(false);
        },
      );
      await rig.fleet.add();
      await rig.flows(300);
    },
  },
  {
    id: 'H4',
    say: 'both cores are loaded by others',
    async run(rig) {
      const busy = [1, 2].map(() => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
      await during(
        rig,
        { kind: 'load', target: 'all', forMs: 6000 },
        () => undefined,
        () => {
          for (const one of busy) one.kill('SIGKILL');
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'T1',
    say: 'the wall clock of the leader jumps by two hours, back and ahead, while it works',
    options: { node: preload('clock') },
    async run(rig) {
      const { program } = await rig.leader();
      for (const forMs of [5000, 1000, 1000, 1000])
        await during(
          rig,
          { kind: 'clock', target: 'leader', forMs, more: { steady: true } },
          () => {
            program.signal('SIGUSR2');
          },
          () => undefined,
        );
      await rig.flows(300);
    },
  },
  {
    id: 'T1b',
    say: 'the wall clock of the leader jumps back while it is cut off from Redis: it stops all the same',
    options: { node: preload('clock') },
    async run(rig) {
      const leader = await rig.leader();
      await during(
        rig,
        { kind: 'toRedis', target: leader.pod, forMs: 3 * T_MS },
        () => {
          leader.toRedis?.cut(true);
          leader.program.signal('SIGUSR2');
        },
        () => {
          leader.toRedis?.mend();
          leader.program.signal('SIGUSR2');
        },
      );
      await rig.flows(500);
    },
  },
  {
    id: 'T2',
    say: 'every other replica’s clock runs five percent fast, the others’ three percent slow',
    facts: { overlapMs: 100 },
    options: CLOCKS_DIFFER,
    async run(rig) {
      // One of two leaders in a row has a number that is odd, and a slow clock: it believes in its lease for longer.
      for (let n = 0; n < 2; n += 1) {
        await spoil(
          rig,
          'toRedis',
          (proxy) => {
            proxy.cut(true);
          },
          3 * T_MS,
        );
        await rig.flows(300);
      }
      await kill(rig);
      await rig.flows(300);
    },
  },
  {
    id: 'T2b',
    say: 'clocks of different speed, and the leader is frozen for twice the ttl',
    options: CLOCKS_DIFFER,
    async run(rig) {
      for (let n = 0; n < 2; n += 1) {
        await freeze(rig, 2 * T_MS);
        await rig.flows(300);
      }
    },
  },
];
