import { until } from '../../support/until.ts';
import { during, kill, pause, platform, redisOf, spoil, T_MS, type Scenario } from '../row.ts';

/** The way to the platform, and the consumer beside us. */
export const LINK_ROWS: readonly Scenario[] = [
  {
    id: 'K1',
    say: 'the consumer is away for three seconds',
    async run(rig) {
      const { consumer } = rig.fleet;
      const { port } = consumer;
      await during(
        rig,
        { kind: 'consumer', target: 'all', forMs: 3000 },
        () => consumer.close(),
        async () => {
          await consumer.again(port);
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'K2',
    say: 'the consumer is slow',
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      await during(
        rig,
        { kind: 'slow', target: 'all', forMs: 4000 },
        () => {
          behaviour.delayMs = 200;
        },
        () => {
          behaviour.delayMs = 0;
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'K2b',
    say: 'the consumer is slow, and the platform drops the connection meanwhile',
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      const end = rig.fault('slow', 'all');
      behaviour.delayMs = 400;
      for (let n = 0; n < 3; n += 1) {
        await pause(700);
        platform(rig, { do: 'drop' });
      }
      behaviour.delayMs = 0;
      end();
      await rig.flows(500);
    },
  },
  {
    id: 'K2c',
    say: 'the consumer is slow and the buffer small: a short pause, then the stream is parked',
    facts: { pongMs: 1500 },
    options: { documents: { stream: { heartbeat: { silence: '4s' } }, delivery: { maxBufferedBytes: '256Ki' } } },
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      rig.fleet.sim.size = 4000;
      await during(
        rig,
        { kind: 'slow', target: 'all', forMs: 6000 },
        () => {
          behaviour.delayMs = 2000;
        },
        () => {
          behaviour.delayMs = 0;
        },
      );
      rig.fleet.sim.size = 400;
      await rig.flows(300);
    },
  },
  {
    id: 'K3',
    say: 'the consumer is frozen while the platform sends much: memory stays bounded',
    facts: { convergeMs: 70_000 },
    options: { documents: { delivery: { ackTimeout: '2s', maxAttempts: 1000 } } },
    async run(rig) {
      const { fleet } = rig;
      fleet.sim.size = 16_000;
      await during(
        rig,
        { kind: 'consumer', target: 'all', forMs: 8000 },
        () => {
          fleet.sim.rate = 1500;
          fleet.consumer.behaviour.hang = true;
        },
        () => {
          fleet.sim.rate = 0;
          fleet.consumer.behaviour.hang = false;
        },
      );
      // Some 200 MB: how long they take is the machine's.
      await until('the backlog is delivered', () => fleet.verdict.complete(), 60_000);
      fleet.sim.size = 400;
      fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'K5',
    say: 'one event is refused for three seconds: nothing of its key passes it',
    options: { documents: { delivery: { maxAttempts: 1000 } } },
    async run(rig) {
      const { consumer } = rig.fleet;
      let victim: string | undefined;
      await during(
        rig,
        { kind: 'consumer', target: 'one event', forMs: 3000 },
        () => {
          consumer.behaviour.decide = (event) => {
            if (event.type.startsWith('dev.holdfast.')) return undefined;
            victim ??= event.id;
            return event.id === victim ? 503 : undefined;
          };
        },
        () => {
          consumer.behaviour.decide = undefined;
        },
      );
      await rig.flows(300);
    },
  },
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
