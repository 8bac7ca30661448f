import { spawn } from 'node:child_process';
import { until } from '../../support/until.ts';
import { during, freeze, kill, preload, spoil, T_MS, type Scenario } from '../row.ts';

/** Every other replica’s clock runs five percent fast, the others’ three percent slow. */
const CLOCKS_DIFFER = { node: preload('clock'), env: { HOLDFAST_TEST_CLOCK_RATES: '1.05 0.97' } };

/** More audit lines than the descriptor and the queue before it hold together. */
const UNREAD_LINES = 6000;

/** The machine under the replicas: its log reader, its processors, its clocks. */
export const MACHINE_ROWS: readonly Scenario[] = [
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
