import { until } from '../../support/until.ts';
import type { Rig } from '../rig.ts';
import { during, kill, LATE, pause, redisOf, spoil, T_MS, type Scenario } from '../row.ts';

/** Redis answers everything we ask with an error for a while. */
function refusing(id: string, say: string, how: (rig: Rig) => Promise<() => Promise<unknown>>): Scenario {
  return {
    id,
    say,
    facts: LATE,
    async run(rig) {
      const end = rig.fault('redis', 'redis', { failing: true });
      const undo = await how(rig);
      await pause(2 * T_MS);
      await undo();
      end();
      await rig.flows(500);
    },
  };
}

/** The copy is as old as a renewal: so much more comes again. */
const FROM_A_COPY = { ...LATE, maxAgain: 1200 };

/**
 * The store forgets everything while the leader cannot reach it. @param forgotten what else happens before the others
 * look.
 */
async function forgetAndCut(rig: Rig, forgotten: () => void = () => undefined): Promise<void> {
  const leader = await rig.leader();
  await during(
    rig,
    { kind: 'toRedis', target: leader.pod, forMs: 2 * T_MS, more: { storeLoss: true } },
    async () => {
      leader.toRedis?.cut(true);
      await redisOf(rig, async (redis) => {
        await redis.flushall();
        forgotten();
        // A stray word, so that the others look now and not when the lock would have ended.
        await redis.publish('hf:ev', `changed ${rig.fleet.leaseKey}:fence`);
      });
    },
    () => {
      leader.toRedis?.mend();
    },
  );
}

/** Redis answers, and not as before: it forgot, refuses, is slow, or others changed what it holds. */
export const STORE_STATE_ROWS: readonly Scenario[] = [
  {
    id: 'R9',
    say: 'FLUSHALL',
    quick: true,
    facts: LATE,
    async run(rig) {
      await during(
        rig,
        { kind: 'flush', target: 'redis', forMs: 100, more: { storeLoss: true } },
        () => redisOf(rig, (redis) => redis.flushall()),
        () => undefined,
      );
      await rig.flows(1500);
    },
  },
  {
    id: 'R9b',
    say: 'FLUSHALL, then the leader is killed',
    facts: LATE,
    async run(rig) {
      await during(
        rig,
        { kind: 'flush', target: 'redis', forMs: 100, more: { storeLoss: true } },
        () => redisOf(rig, (redis) => redis.flushall()),
        () => undefined,
      );
      await rig.flows(600);
      await kill(rig);
    },
  },
  {
    id: 'R9c',
    say: 'FLUSHALL while the leader is cut off from Redis: nobody takes over before it must have stopped',
    facts: FROM_A_COPY,
    async run(rig) {
      // Every standby has a copy of the checkpoint: it makes one a second.
      await rig.flows(600);
      await forgetAndCut(rig);
      await rig.flows(500);
    },
  },
  {
    id: 'R9d',
    say: 'the same before anybody had a copy of the checkpoint: what is missing then is announced',
    facts: LATE,
    cold: true,
    options: { apart: true },
    async run(rig) {
      const leader = await rig.leader();
      const others = rig.fleet.replicas.filter((one) => one !== leader);
      // Whoever sees the store only before the subscription and after its loss has no copy, whatever its timers do.
      const end = rig.fault('toRedis', 'others');
      for (const one of others) one.toRedis?.cut(true);
      for (const one of rig.fleet.replicas) one.toSim?.mend();
      await until('the stream is open', () => rig.fleet.sim.connections.length > 0, 10_000);
      rig.fleet.sim.rate = 500;
      await rig.flows(50);
      await forgetAndCut(rig, () => {
        for (const one of others) one.toRedis?.mend();
        end();
      });
      await rig.flows(500);
    },
  },
  refusing('R10', 'Redis is out of memory and refuses writes', async (rig) => {
    const before = await redisOf(rig, async (redis) => {
      const [, limit = '0'] = await redis.config('GET', 'maxmemory');
      await redis.config('SET', 'maxmemory', '1');
      return limit;
    });
    return () => redisOf(rig, (redis) => redis.config('SET', 'maxmemory', before));
  }),
  {
    id: 'R11',
    say: 'Redis forgets its scripts',
    async run(rig) {
      rig.nemesis.add('n.do', { what: 'script flush' });
      await redisOf(rig, (redis) => redis.script('FLUSH'));
      await rig.flows(500);
    },
  },
  refusing('R11b', 'Redis becomes a replica: READONLY', async (rig) => {
    await redisOf(rig, async (redis) => {
      // With the primary it names out of reach it keeps its data and answers reads.
      await redis.replicaof('127.0.0.1', 1);
    });
    return () => redisOf(rig, (redis) => redis.replicaof('NO', 'ONE'));
  }),
  refusing('R11c', 'our user loses the right to run scripts: NOPERM', async (rig) => {
    await redisOf(rig, (redis) => redis.call('ACL', 'SETUSER', 'default', '-evalsha', '-eval'));
    return () => redisOf(rig, (redis) => redis.call('ACL', 'SETUSER', 'default', '+@all'));
  }),
  {
    id: 'R11d',
    say: 'somebody’s script never ends: BUSY',
    facts: LATE,
    async run(rig) {
      const end = rig.fault('redis', 'redis', { failing: true });
      // killed below
      const endless = redisOf(rig, (redis) => redis.eval('while true do end', 0)).catch(() => undefined);
      await pause(2 * T_MS);
      await redisOf(rig, (redis) => redis.script('KILL'));
      await endless;
      end();
      await rig.flows(500);
    },
  },
  {
    id: 'R12',
    say: 'the way to Redis is slow, below the time limit',
    async run(rig) {
      await spoil(
        rig,
        'toRedis',
        (proxy) => {
          proxy.delay(100);
        },
        { forMs: 2 * T_MS, steady: true },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'R13',
    say: 'the lock is deleted under the leader',
    facts: LATE,
    async run(rig) {
      for (let n = 0; n < 3; n += 1) {
        rig.nemesis.add('n.do', { what: 'del lock' });
        await redisOf(rig, (redis) => redis.del(`${rig.fleet.leaseKey}:lock`));
        await rig.flows(600);
      }
    },
  },
  {
    id: 'R13b',
    say: 'the lock never expires (a clock set back) and its holder is frozen for good',
    facts: LATE,
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
  {
    id: 'R14',
    say:
      'a stranger writes over the life signs of the open connection for forty seconds: the reaper does not ' +
      'believe one look',
    async run(rig) {
      let key = '';
      await until('the connection is registered', async () => {
        key = (await redisOf(rig, (redis) => redis.keys('hf:ws:conn:*')))[0] ?? '';
        return key !== '';
      });
      const id = key.slice('hf:ws:conn:'.length);
      await during(
        rig,
        { kind: 'registry', target: id, forMs: 0, more: { steady: true } },
        async () => {
          await redisOf(rig, async (redis) => {
            for (let n = 0; n < 800; n += 1) {
              await redis.multi().hset(key, 'lastPong', '1').zadd('hf:ws:index', 1, id).exec();
              await pause(50);
            }
          });
        },
        () => undefined,
      );
      await rig.flows(300);
    },
  },
];
