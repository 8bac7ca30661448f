import { Redis } from 'ioredis';
import type { FleetOptions } from '../support/fleet.ts';
import { until } from '../support/until.ts';
import type { RunFacts } from './history.ts';
import type { Rig } from './rig.ts';

/** One row of the fault matrix (reliability: process P, consumer K, network N, platform S, authentication A, store R). */
export interface Scenario {
  readonly id: string;
  readonly say: string;
  /** Also part of `make test`. */
  readonly quick?: boolean;
  readonly facts?: Partial<RunFacts>;
  readonly options?: Partial<FleetOptions>;
  /** On a Redis with sentinels. */
  readonly sentinel?: boolean;
  run(rig: Rig): Promise<void>;
}

const T_MS = 3000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function redisOf(rig: Rig, work: (redis: Redis) => Promise<unknown>): Promise<void> {
  const redis = new Redis({ host: '127.0.0.1', port: rig.fleet.redis.port, lazyConnect: true });
  redis.on('error', () => undefined);
  await redis.connect();
  await work(redis);
  redis.disconnect();
}

interface Fault {
  readonly kind: string;
  readonly target: string;
  readonly more?: Readonly<Record<string, unknown>>;
  readonly forMs: number;
}

async function during(rig: Rig, fault: Fault, on: () => Promise<void> | void, off: () => Promise<void> | void): Promise<void> {
  const end = rig.fault(fault.kind, fault.target, fault.more);
  await on();
  await pause(fault.forMs);
  await off();
  end();
}

/** Kills the leader, starts another, waits until events flow again. */
async function kill(rig: Rig): Promise<void> {
  const leader = await rig.leader();
  const end = rig.fault('kill', leader.pod);
  await rig.fleet.end(leader, 'SIGKILL');
  end();
  await rig.flows(200);
  await rig.fleet.add();
}

async function lead(rig: Rig, target: 'toSim' | 'toRedis', how: (proxy: { cut(on: boolean): void; reset(refuse?: boolean): void; delay(ms: number): void }) => void, forMs: number): Promise<void> {
  const leader = await rig.leader();
  const proxy = leader[target];
  if (proxy === undefined) throw new Error('the rig has no proxies');
  await during(rig, { kind: target, target: leader.pod, forMs: forMs }, () => { how(proxy); }, () => {
    proxy.delay(0);
    proxy.cut(false);
    proxy.reset(false);
  });
}

/** A row on a Redis with two replicas and three sentinels. */
function failover(id: string, say: string, how: 'SIGKILL' | 'SIGSTOP'): Scenario {
  return {
    id, say, sentinel: true,
    facts: { storeLoss: true, convergeMs: 20_000 },
    async run(rig) {
      const { primary } = rig.sentinel();
      const end = rig.fault('redis', 'primary', { storeLoss: true });
      primary.signal(how);
      await pause(7000);
      primary.signal('SIGCONT');
      end();
      await rig.flows(500, 60_000);
    },
  };
}

export const SCENARIOS: readonly Scenario[] = [
  { id: 'P1', say: 'the leader is killed, three times', quick: true, async run(rig) { for (let n = 0; n < 3; n += 1) await kill(rig); } },
  {
    id: 'P2', say: 'rolling update', quick: true,
    async run(rig) {
      for (const old of [...rig.fleet.replicas]) {
        await rig.fleet.add('v2');
        await until('it takes part', async () => (await Promise.all(rig.fleet.replicas.map(async (one) => (await one.program.status())['ready']))).every(Boolean));
        const end = rig.fault('stop', old.pod);
        await rig.fleet.end(old, 'SIGTERM');
        end();
        await rig.flows(200);
      }
    },
  },
  {
    id: 'P3', say: 'no grace left: SIGTERM, then SIGKILL at once',
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
    id: 'P4', say: 'the leader is frozen for twice the ttl', quick: true,
    async run(rig) {
      const leader = await rig.leader();
      await during(rig, { kind: 'freeze', target: leader.pod, forMs: 2 * T_MS }, () => { leader.program.signal('SIGSTOP'); }, () => { leader.program.signal('SIGCONT'); });
      await rig.flows(300);
    },
  },
  {
    id: 'P5', say: 'twenty short freezes change nothing',
    async run(rig) {
      const leader = await rig.leader();
      for (let n = 0; n < 20; n += 1) {
        await during(rig, { kind: 'freeze', target: leader.pod, forMs: 150 }, () => { leader.program.signal('SIGSTOP'); }, () => { leader.program.signal('SIGCONT'); });
        await pause(150);
      }
      if ((await rig.leader()).pod !== leader.pod) throw new Error('the leader changed');
    },
  },
  {
    id: 'P6', say: 'the main thread of the leader is blocked past the deadline: the guard ends the process', quick: true,
    options: { blockable: true },
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('block', leader.pod);
      leader.program.told = true;
      leader.program.signal('SIGUSR2');
      await until('the guard ended it', () => leader.program.ended?.signal === 'SIGKILL', 3 * T_MS).finally(end);
      if (!leader.program.output.includes('lease_guard')) throw new Error('the guard did not say so');
      rig.fleet.forget(leader);
      await rig.flows(300);
    },
  },
  {
    id: 'P12', say: 'all replicas are killed and started again',
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
    id: 'P15', say: 'churn: some replica is killed every 1.5 s',
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
    id: 'K1', say: 'the consumer is away for three seconds',
    async run(rig) {
      const { consumer } = rig.fleet;
      const { port } = consumer;
      await during(rig, { kind: 'consumer', target: 'all', forMs: 3000 }, () => consumer.close(), async () => { await consumer.again(port); });
      await rig.flows(300);
    },
  },
  { id: 'K2', say: 'the consumer is slow', async run(rig) { await during(rig, { kind: 'slow', target: 'all', forMs: 4000 }, () => { rig.fleet.consumer.behaviour.delayMs = 200; }, () => { rig.fleet.consumer.behaviour.delayMs = 0; }); await rig.flows(300); } },
  { id: 'N1', say: 'packets between leader and platform are dropped', async run(rig) { await lead(rig, 'toSim', (proxy) => { proxy.cut(true); }, 3000); await rig.flows(300); } },
  { id: 'N3', say: 'resets between leader and platform, ten times', async run(rig) { for (let n = 0; n < 10; n += 1) { await lead(rig, 'toSim', (proxy) => { proxy.reset(); }, 100); await rig.flows(100); } } },
  { id: 'N5', say: 'the way to the platform is slow', async run(rig) { await lead(rig, 'toSim', (proxy) => { proxy.delay(60); }, 3000); await rig.flows(300); } },
  { id: 'S2', say: 'the platform refuses with Retry-After', async run(rig) { rig.fleet.sim.do({ do: 'set', faults: { upgrade: { status: 429, retryAfter: 1, times: 1 } } }); rig.fleet.sim.do({ do: 'drop' }); rig.nemesis.add('n.do', { what: '429' }); await rig.flows(500); } },
  { id: 'S2b', say: 'the leader dies while the platform said to wait: the next one waits too', async run(rig) {
    const leader = await rig.leader();
    rig.fleet.sim.do({ do: 'set', faults: { upgrade: { status: 429, retryAfter: 3, times: 1 } } });
    rig.fleet.sim.do({ do: 'drop' });
    await until('it was refused', () => rig.fleet.sim.history.of('conn.rej').length > 0);
    await pause(100);
    const end = rig.fault('kill', leader.pod);
    await rig.fleet.end(leader, 'SIGKILL');
    end();
    await rig.flows(500);
  } },
  { id: 'S3', say: 'the platform closes with 1000 and 1001', async run(rig) { for (const code of [1000, 1001]) { rig.fleet.sim.do({ do: 'close', code, reason: 'maintenance' }); rig.nemesis.add('n.do', { what: `close ${String(code)}` }); await rig.flows(300); } } },
  { id: 'S12', say: 'the platform evicts the older of two sockets: replicas do not fight', async run(rig) {
    rig.fleet.sim.faults.secondSocket = 'evict';
    // A frozen leader keeps its socket: the next one's makes the platform choose.
    const leader = await rig.leader();
    await during(rig, { kind: 'freeze', target: leader.pod, forMs: 2 * T_MS }, () => { leader.program.signal('SIGSTOP'); }, () => { leader.program.signal('SIGCONT'); });
    if (rig.fleet.sim.history.of('conn.evict').length === 0) throw new Error('nobody was evicted');
    await kill(rig);
  } },
  { id: 'A3', say: 'all tokens are revoked', async run(rig) { rig.fleet.sim.do({ do: 'revoke-tokens' }); rig.nemesis.add('n.do', { what: 'revoke' }); await rig.flows(500); } },
  { id: 'A3b', say: 'all tokens are revoked and the leader dies', async run(rig) { rig.fleet.sim.do({ do: 'revoke-tokens' }); await kill(rig); } },
  {
    id: 'R1', say: 'Redis is killed and comes back empty', quick: true, facts: { storeLoss: true, convergeMs: 14_000 },
    async run(rig) {
      await during(rig, { kind: 'redis', target: 'redis', more: { storeLoss: true }, forMs: 1500 }, () => rig.fleet.redis.stop(), () => rig.fleet.redis.again());
      await rig.flows(500);
    },
  },
  { id: 'R3', say: 'Redis is frozen for longer than the ttl', quick: true, facts: { convergeMs: 14_000 }, async run(rig) { await during(rig, { kind: 'redis', target: 'redis', forMs: 2 * T_MS }, () => { rig.fleet.redis.signal('SIGSTOP'); }, () => { rig.fleet.redis.signal('SIGCONT'); }); await rig.flows(500); } },
  { id: 'R4', say: 'the leader is cut off from Redis only', quick: true, async run(rig) { await lead(rig, 'toRedis', (proxy) => { proxy.cut(true); }, 3 * T_MS); await rig.flows(500); } },
  { id: 'R4b', say: "the leader's connections to Redis are reset and refused", async run(rig) { await lead(rig, 'toRedis', (proxy) => { proxy.reset(true); }, 2 * T_MS); await rig.flows(500); } },
  {
    id: 'R5', say: 'the standbys are cut off from Redis: the leader does not notice',
    async run(rig) {
      const leader = await rig.leader();
      const others = rig.fleet.replicas.filter((one) => one !== leader);
      await during(rig, { kind: 'toRedis', target: 'standbys', forMs: 2 * T_MS }, () => { for (const one of others) one.toRedis?.cut(true); }, () => { for (const one of others) one.toRedis?.cut(false); });
      if ((await rig.leader()).pod !== leader.pod) throw new Error('the leader changed');
    },
  },
  {
    id: 'R6', say: 'everybody is cut off from Redis', facts: { convergeMs: 14_000 },
    async run(rig) {
      await during(rig, { kind: 'toRedis', target: 'all', forMs: 3 * T_MS }, () => { for (const one of rig.fleet.replicas) one.toRedis?.cut(true); }, () => { for (const one of rig.fleet.replicas) one.toRedis?.cut(false); });
      await rig.flows(500);
    },
  },
  { id: 'R9', say: 'FLUSHALL', quick: true, facts: { storeLoss: true, convergeMs: 14_000 }, async run(rig) { rig.nemesis.add('n.do', { what: 'flushall' }); await redisOf(rig, (redis) => redis.flushall()); await rig.flows(1500); } },
  { id: 'R9b', say: 'FLUSHALL, then the leader is killed', facts: { storeLoss: true, convergeMs: 14_000 }, async run(rig) { await redisOf(rig, (redis) => redis.flushall()); await rig.flows(600); await kill(rig); } },
  { id: 'R11', say: 'Redis forgets its scripts', async run(rig) { rig.nemesis.add('n.do', { what: 'script flush' }); await redisOf(rig, (redis) => redis.script('FLUSH')); await rig.flows(500); } },
  { id: 'R12', say: 'the way to Redis is slow, below the time limit', async run(rig) { await lead(rig, 'toRedis', (proxy) => { proxy.delay(100); }, 2 * T_MS); await rig.flows(300); } },
  { id: 'R13', say: 'the lock is deleted under the leader', facts: { convergeMs: 14_000 }, async run(rig) { for (let n = 0; n < 3; n += 1) { rig.nemesis.add('n.do', { what: 'del lock' }); await redisOf(rig, (redis) => redis.del(`${rig.fleet.leaseKey}:lock`)); await rig.flows(600); } } },
  {
    id: 'R13b', say: 'the lock never expires (a clock set back) and its holder is frozen for good', facts: { convergeMs: 14_000 },
    async run(rig) {
      const leader = await rig.leader();
      const end = rig.fault('freeze', leader.pod);
      leader.program.signal('SIGSTOP');
      await redisOf(rig, (redis) => redis.persist(`${rig.fleet.leaseKey}:lock`));
      await rig.flows(500);
      await rig.fleet.end(leader, 'SIGKILL');
      end();
      await rig.flows(300);
    },
  },
  failover('R7', 'Sentinel: the primary is killed', 'SIGKILL'),
  failover('R8', 'Sentinel: the primary is frozen, and thawed after the failover', 'SIGSTOP'),
  {
    // The platform cannot hear that we closed: what it sees as open ends only when the network is back.
    id: 'X1', say: 'cut off from both Redis and the platform', facts: { overlapMs: 4 * T_MS },
    async run(rig) {
      const leader = await rig.leader();
      await during(rig, { kind: 'both', target: leader.pod, forMs: 3 * T_MS }, () => { leader.toRedis?.cut(true); leader.toSim?.cut(true); }, () => { leader.toRedis?.cut(false); leader.toSim?.cut(false); });
      await rig.flows(500);
    },
  },
];
