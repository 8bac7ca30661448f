import { until } from '../../support/until.ts';
import { during, kill, pause, platform, spoil, T_MS, type Scenario } from '../row.ts';

/** The way to the platform. */
export const NETWORK_ROWS: readonly Scenario[] = [
  {
    id: 'N1',
    say: 'packets between leader and platform are dropped',
    async run(rig) {
      await spoil(
        rig,
        'toSim',
        (proxy) => {
          proxy.cut(true);
        },
        3000,
      );
      await rig.flows(300);
    },
  },
  {
    id: 'N2',
    say: 'packets toward the platform only are dropped',
    async run(rig) {
      await spoil(
        rig,
        'toSim',
        (proxy) => {
          proxy.cut(true, ['out']);
        },
        3000,
      );
      await rig.flows(300);
    },
  },
  {
    id: 'N2b',
    say: 'packets from the platform only are dropped',
    async run(rig) {
      await spoil(
        rig,
        'toSim',
        (proxy) => {
          proxy.cut(true, ['in']);
        },
        3000,
      );
      await rig.flows(300);
    },
  },
  {
    id: 'N3',
    say: 'resets between leader and platform, ten times',
    async run(rig) {
      for (let n = 0; n < 10; n += 1) {
        await spoil(
          rig,
          'toSim',
          (proxy) => {
            proxy.reset();
          },
          100,
        );
        await rig.flows(100);
      }
    },
  },
  {
    id: 'N4',
    say: 'the platform ends the connection without a close frame',
    async run(rig) {
      for (let n = 0; n < 3; n += 1) {
        platform(rig, { do: 'drop', how: 'fin' });
        await rig.flows(200);
      }
    },
  },
  {
    id: 'N4b',
    say: 'the connection is lost before the first event: what the platform makes meanwhile is announced',
    cold: true,
    async run(rig) {
      const { sim } = rig.fleet;
      const end = rig.fault('refuse', 'platform');
      sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 1000 } } });
      sim.do({ do: 'drop' });
      await until('it is gone', () => sim.connections.length === 0);
      sim.generate(50);
      sim.do({ do: 'set', faults: { upgrade: undefined } });
      end();
      await until('it is back', () => sim.connections.length === 1);
      sim.rate = 500;
      await rig.flows(300);
      await kill(rig);
    },
  },
  {
    id: 'N5',
    say: 'the way to the platform is slow and uneven: nothing is declared dead',
    async run(rig) {
      await spoil(
        rig,
        'toSim',
        (proxy) => {
          proxy.delay(100, { upTo: 300, unit: rig.random });
        },
        { forMs: 4000, steady: true },
      );
      await rig.flows(300);
    },
  },
  // Here the platform's pings are its sign of life, and wait behind its events: what counts as silence must be longer
  // than that.
  {
    id: 'N6',
    say: 'the way from the platform is narrower than the stream: it falls behind, and catches up',
    options: { documents: { stream: { heartbeat: { silence: '10s' } } } },
    async run(rig) {
      await spoil(
        rig,
        'toSim',
        (proxy) => {
          proxy.bandwidth(120_000);
        },
        { forMs: 4000, steady: true },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'N8',
    say: 'every frame is cut into small pieces',
    async run(rig) {
      await spoil(
        rig,
        'toSim',
        (proxy) => {
          proxy.slice(true);
        },
        { forMs: 4000, steady: true },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'N9',
    say: 'the way to the platform flaps, ten times',
    async run(rig) {
      const leader = await rig.leader();
      for (let n = 0; n < 10; n += 1) {
        await during(
          rig,
          { kind: 'toSim', target: leader.pod, forMs: 400 },
          () => leader.toSim?.down(),
          () => leader.toSim?.up(),
        );
        await pause(400);
      }
      await rig.flows(300);
    },
  },
  {
    id: 'N12',
    say: 'the ways of all replicas to both servers are cut and mended in an order of chance',
    facts: { convergeMs: 14_000 },
    async run(rig) {
      const ways = rig.fleet.replicas.flatMap((one) => [one.toSim, one.toRedis]).filter((way) => way !== undefined);
      for (let round = 0; round < 2; round += 1) {
        const end = rig.fault('swizzle', 'all');
        for (const way of rig.shuffled(ways)) {
          way.cut(true);
          await pause(300);
        }
        for (const way of rig.shuffled(ways)) {
          way.mend();
          await pause(300);
        }
        end();
        await rig.flows(300);
      }
    },
  },
];

/** The ways to the platform and to Redis at once. */
export const BOTH_WAYS_ROW: Scenario = {
  id: 'X1',
  say: 'cut off from both Redis and the platform',
  async run(rig) {
    const leader = await rig.leader();
    await during(
      rig,
      { kind: 'both', target: leader.pod, forMs: 3 * T_MS },
      () => {
        leader.toRedis?.cut(true);
        leader.toSim?.cut(true);
      },
      () => {
        leader.toRedis?.mend();
        leader.toSim?.mend();
      },
    );
    await rig.flows(500);
  },
};
