import { until } from '../../support/until.ts';
import { during, kill, LATE, pause, spoil, T_MS, type Scenario } from '../row.ts';

/** A row on a Redis with two replicas and three sentinels. */
function failover(id: string, say: string, how: 'SIGKILL' | 'SIGSTOP'): Scenario {
  return {
    id,
    say,
    options: { sentinel: true },
    facts: { convergeMs: 20_000 },
    async run(rig) {
      const { primary } = rig.sentinel();
      const end = rig.fault('redis', 'primary', { storeLoss: true });
      primary.signal(how);
      await until(
        'the sentinels chose another primary',
        async () => (await rig.sentinel().primaryPort()) !== primary.port,
        20_000,
      );
      await pause(4000);
      primary.signal('SIGCONT');
      await pause(1000);
      end();
      await rig.flows(500, 60_000);
    },
  };
}

/** Redis cannot be reached: killed, frozen, cut off, failing over. */
export const STORE_OUTAGE_ROWS: readonly Scenario[] = [
  {
    id: 'R1',
    say: 'Redis is killed and comes back empty',
    quick: true,
    facts: LATE,
    async run(rig) {
      await during(
        rig,
        { kind: 'redis', target: 'redis', more: { storeLoss: true }, forMs: 1500 },
        () => rig.fleet.redis.stop(),
        () => rig.fleet.redis.again(),
      );
      await rig.flows(500);
    },
  },
  {
    id: 'R2',
    say: 'Redis is killed and comes back with what it had on disk',
    facts: LATE,
    options: { durable: true },
    async run(rig) {
      await during(
        rig,
        { kind: 'redis', target: 'redis', more: { storeLoss: true }, forMs: 1500 },
        () => rig.fleet.redis.stop(),
        () => rig.fleet.redis.again(),
      );
      await rig.flows(500);
      await kill(rig);
    },
  },
  {
    id: 'R3',
    say: 'Redis is frozen for longer than the ttl',
    quick: true,
    facts: LATE,
    async run(rig) {
      await during(
        rig,
        { kind: 'redis', target: 'redis', forMs: 2 * T_MS },
        () => {
          rig.fleet.redis.signal('SIGSTOP');
        },
        () => {
          rig.fleet.redis.signal('SIGCONT');
        },
      );
      await rig.flows(500);
    },
  },
  {
    id: 'R4',
    say: 'the leader is cut off from Redis only',
    quick: true,
    async run(rig) {
      await spoil(
        rig,
        'toRedis',
        (proxy) => {
          proxy.cut(true);
        },
        3 * T_MS,
      );
      await rig.flows(500);
    },
  },
  {
    id: 'R4b',
    say: 'the leader’s connections to Redis are reset and refused',
    async run(rig) {
      const leader = await rig.leader();
      await during(
        rig,
        { kind: 'toRedis', target: leader.pod, forMs: 2 * T_MS },
        () => leader.toRedis?.down(),
        () => leader.toRedis?.up(),
      );
      await rig.flows(500);
    },
  },
  {
    id: 'R5',
    say: 'the standbys are cut off from Redis: the leader does not notice',
    async run(rig) {
      const leader = await rig.leader();
      const others = rig.fleet.replicas.filter((one) => one !== leader);
      await during(
        rig,
        { kind: 'toRedis', target: 'standbys', forMs: 2 * T_MS, more: { steady: true } },
        () => {
          for (const one of others) one.toRedis?.cut(true);
        },
        () => {
          for (const one of others) one.toRedis?.mend();
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'R6',
    say: 'everybody is cut off from Redis',
    facts: LATE,
    async run(rig) {
      await during(
        rig,
        { kind: 'toRedis', target: 'all', forMs: 3 * T_MS },
        () => {
          for (const one of rig.fleet.replicas) one.toRedis?.cut(true);
        },
        () => {
          for (const one of rig.fleet.replicas) one.toRedis?.mend();
        },
      );
      await rig.flows(500);
    },
  },
  failover('R7', 'Sentinel: the primary is killed', 'SIGKILL'),
  failover('R8', 'Sentinel: the primary is frozen, and thawed after the failover', 'SIGSTOP'),
];
