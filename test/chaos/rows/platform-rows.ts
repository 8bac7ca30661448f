import { until } from '../../support/until.ts';
import { during, kill, pause, platform, redisOf, T_MS, type Scenario } from '../row.ts';

/** What the platform does: it refuses, closes, falls silent, repeats, leaves out, sends too much or nonsense. */
export const PLATFORM_ROWS: readonly Scenario[] = [
  {
    id: 'S2',
    say: 'the platform refuses with Retry-After',
    async run(rig) {
      rig.fleet.sim.do({ do: 'set', faults: { upgrade: { status: 429, retryAfter: 1, times: 1 } } });
      platform(rig, { do: 'drop' });
      await rig.flows(500);
    },
  },
  {
    id: 'S2b',
    say: 'the leader dies while the platform said to wait: the next one waits too',
    async run(rig) {
      const leader = await rig.leader();
      rig.fleet.sim.do({ do: 'set', faults: { upgrade: { status: 429, retryAfter: 3, times: 1 } } });
      rig.fleet.sim.do({ do: 'drop' });
      await until('it was refused', () => rig.fleet.sim.history.of('conn.rej').length > 0);
      await until('it has told the others', () =>
        redisOf(rig, async (redis) => (await redis.hexists(`${rig.fleet.leaseKey}:gate`, 'hold')) === 1),
      );
      const end = rig.fault('kill', leader.pod);
      await rig.fleet.end(leader, 'SIGKILL');
      end();
      await rig.flows(500);
    },
  },
  {
    id: 'S3',
    say: 'the platform closes with 1000 and 1001',
    async run(rig) {
      for (const code of [1000, 1001]) {
        platform(rig, { do: 'close', code, reason: 'maintenance' });
        await rig.flows(300);
      }
    },
  },
  {
    id: 'S4',
    say: 'the platform accepts, says nothing and drops, for four seconds: the delays grow all the same',
    facts: { capacity: 1000, refillMs: 10, attempts: { 1000: 9, 10_000: 30 } },
    options: {
      gate: { capacity: 1000, refillMs: 10 },
      reconnect: { baseDelay: '20ms', maxDelay: '1s', extendedBaseDelay: '30ms', extendedMaxDelay: '1s' },
    },
    async run(rig) {
      rig.fleet.sim.rate = 0;
      await until('nothing is on its way', () => rig.fleet.verdict.complete());
      const end = rig.fault('drop', 'platform');
      const endsAt = performance.now() + 4000;
      platform(rig, { do: 'drop' });
      await until('it is gone', () => rig.fleet.sim.connections.length === 0);
      while (performance.now() < endsAt) {
        await until('it is open again', () => rig.fleet.sim.connections.length > 0);
        rig.fleet.sim.do({ do: 'drop' });
        await until('it is gone', () => rig.fleet.sim.connections.length === 0);
      }
      end();
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'S5',
    say: 'the platform drops the connection after each event: the gate alone holds the rate',
    facts: { capacity: 5, refillMs: 400 },
    options: { gate: { capacity: 5, refillMs: 400 } },
    async run(rig) {
      rig.fleet.sim.rate = 20;
      const end = rig.fault('drop', 'platform');
      const endsAt = performance.now() + 5000;
      while (performance.now() < endsAt) {
        await until('events flow', () => rig.fleet.sim.connections.length > 0, 20_000);
        await rig.flows(1);
        rig.fleet.sim.do({ do: 'drop' });
      }
      end();
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'S6',
    say: 'the platform falls silent, pings included: the connection is declared dead, and opened again',
    async run(rig) {
      const before = rig.fleet.sim.history.of('conn.open').length;
      rig.fleet.sim.rate = 0;
      await during(
        rig,
        { kind: 'silence', target: 'platform', forMs: 2000 },
        () => {
          rig.fleet.sim.faults.stopPings = true;
        },
        async () => {
          await until(
            'the silent connection is replaced',
            () => rig.fleet.sim.history.of('conn.open').length > before,
            1000,
          );
          rig.fleet.sim.faults.stopPings = false;
        },
      );
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'S7',
    say: 'the platform replays five hundred events too many',
    async run(rig) {
      rig.fleet.sim.faults.replayExtra = 500;
      for (let n = 0; n < 3; n += 1) {
        platform(rig, { do: 'drop' });
        await rig.flows(300);
      }
    },
  },
  {
    id: 'S8',
    say: 'the platform swaps neighbours and sends events twice',
    async run(rig) {
      Object.assign(rig.fleet.sim.faults, { swapNext: 30, duplicateNext: 30 });
      await rig.flows(500);
    },
  },
  {
    id: 'S9',
    say: 'the platform leaves out events once: it is asked again, and there is no gap',
    async run(rig) {
      for (let n = 0; n < 3; n += 1) {
        rig.fleet.sim.faults.hideNext = 20;
        await rig.flows(300);
      }
      if (rig.fleet.consumer.controls.some((one) => one.type === 'dev.holdfast.gap.detected'))
        throw new Error('a gap was announced');
    },
  },
  {
    id: 'S11',
    say: 'retention passes while the platform cannot be reached: the gap is exact',
    async run(rig) {
      const end = rig.fault('refuse', 'platform');
      rig.fleet.sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 1000 } } });
      rig.fleet.sim.do({ do: 'drop' });
      await pause(1000);
      rig.fleet.sim.do({ do: 'purge', keep: 100 });
      rig.fleet.sim.do({ do: 'set', faults: { upgrade: undefined } });
      end();
      await rig.flows(400);
      if (!rig.fleet.consumer.controls.some((one) => one.type === 'dev.holdfast.gap.detected'))
        throw new Error('no gap was announced');
    },
  },
  {
    id: 'S12',
    say: 'the platform evicts the older of two sockets: replicas do not fight',
    async run(rig) {
      rig.fleet.sim.faults.secondSocket = 'evict';
      // A frozen leader keeps its socket: the next one's makes the platform choose.
      const leader = await rig.leader();
      await during(
        rig,
        { kind: 'freeze', target: leader.pod, forMs: 2 * T_MS },
        () => {
          leader.program.signal('SIGSTOP');
        },
        () => {
          leader.program.signal('SIGCONT');
        },
      );
      await kill(rig);
      const evictions = rig.fleet.sim.history.of('conn.evict').length;
      if (evictions < 1 || evictions > 2) throw new Error(`${String(evictions)} were evicted`);
    },
  },
  {
    id: 'S13',
    say: 'twenty thousand events at once',
    async run(rig) {
      platform(rig, { do: 'generate', count: 20_000 });
      await rig.flows(20_000, 60_000);
    },
  },
  {
    id: 'S14',
    say: 'the platform has nothing to say, and pings: the connection stays',
    async run(rig) {
      rig.fleet.sim.rate = 0;
      await during(
        rig,
        { kind: 'quiet', target: 'platform', forMs: 5000, more: { steady: true } },
        () => undefined,
        () => undefined,
      );
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'S16',
    say: 'the platform sends what nobody can read',
    async run(rig) {
      for (const text of ['not JSON', '{"sequence":', '[1,2', '{"sequence":-1}', '{"id":"without a number"}']) {
        rig.badFrame(text);
        rig.nemesis.add('n.do', { what: 'bad frame' });
        await rig.flows(100);
      }
    },
  },
  {
    id: 'S17',
    say: 'the platform numbers its events beyond what a double can hold',
    options: { baseSequence: 9_007_199_254_740_000n },
    async run(rig) {
      await kill(rig);
      platform(rig, { do: 'drop' });
      await rig.flows(1500, 15_000);
    },
  },
];
