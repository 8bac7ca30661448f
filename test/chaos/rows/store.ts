import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../support/until.ts';
import { SIM_CLIENT } from '../../../src/simulator/token-office.ts';
import { during, kill, pause, platform, redisOf, spoil, T_MS, type Scenario } from '../row.ts';
import type { Rig } from '../rig.ts';

const LATE = { convergeMs: 14_000 };

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

function secretFile(rig: Rig, write: (file: string) => void): void {
  for (const { directory } of rig.fleet.replicas) write(join(directory, 'clientSecret'));
}

/** Redis in every state it is met in, and the token endpoint. */
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

export const STORE_ROWS: readonly Scenario[] = [
  {
    id: 'A1',
    say:
      'the token endpoint is down from before a token is due until shortly before its end: the stream is kept ' +
      'on the old one',
    async run(rig) {
      const { sim } = rig.fleet;
      const ended = (): number => sim.history.of('conn.end').length;
      const issued = (): number => sim.history.of('tok.ok').length;
      const refused = (): number => sim.history.of('tok.rej').length;
      sim.do({ do: 'token-life', ms: 20_000 });
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(500);
      const before = { ended: ended(), issued: issued(), refused: refused() };
      await during(
        rig,
        { kind: 'token', target: 'platform', forMs: 17_000 },
        () => {
          sim.do({ do: 'set', faults: { token: { status: 503, times: Infinity } } });
        },
        () => {
          sim.do({ do: 'set', faults: { token: undefined } });
        },
      );
      if (refused() === before.refused) throw new Error('no token was asked for');
      if (ended() !== before.ended) throw new Error('a connection ended although its token was good');
      await until('there is a new token', () => issued() > before.issued, 6000);
      await rig.flows(3000);
    },
  },
  {
    id: 'A1b',
    say: 'the token endpoint is down for longer than a token lives',
    facts: LATE,
    async run(rig) {
      const { sim } = rig.fleet;
      sim.do({ do: 'token-life', ms: 8000 });
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(500);
      await during(
        rig,
        { kind: 'token', target: 'platform', forMs: 14_000 },
        () => {
          sim.do({ do: 'set', faults: { token: { status: 503, times: Infinity } } });
        },
        () => {
          sim.do({ do: 'set', faults: { token: undefined } });
          sim.do({ do: 'token-life', ms: 3_600_000 });
        },
      );
      await rig.flows(500, 60_000);
    },
  },
  {
    id: 'A2',
    say: 'the token endpoint says nonsense about the life of a token',
    async run(rig) {
      for (const expiresIn of [0, -1, 1e12, '3600', null]) {
        rig.fleet.sim.do({ do: 'set', faults: { expiresIn } });
        platform(rig, { do: 'revoke-tokens' });
        await rig.flows(200);
      }
      rig.fleet.sim.do({ do: 'set', faults: { expiresIn: undefined, omitExpiresIn: true } });
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(200);
    },
  },
  {
    id: 'A3',
    say: 'all tokens are revoked; and again as the connection is lost, so that the next dial is refused',
    async run(rig) {
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(500);
      platform(rig, { do: 'revoke-tokens' });
      platform(rig, { do: 'drop' });
      await rig.flows(500);
    },
  },
  {
    id: 'A3b',
    say: 'all tokens are revoked and the leader dies',
    async run(rig) {
      rig.fleet.sim.do({ do: 'revoke-tokens' });
      await kill(rig);
    },
  },
  {
    id: 'A4',
    say: 'the secret file is replaced while connected',
    async run(rig) {
      await during(
        rig,
        { kind: 'secret', target: 'all', forMs: 1500, more: { steady: true } },
        () => {
          secretFile(rig, (file) => {
            writeFileSync(`${file}.new`, `${SIM_CLIENT.clientSecret}\n`, { mode: 0o600 });
            renameSync(`${file}.new`, file);
          });
        },
        () => undefined,
      );
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(300);
    },
  },
  {
    id: 'A5',
    say: 'the secret file is empty for a while: the stream goes on, and the next token waits for it',
    async run(rig) {
      await during(
        rig,
        { kind: 'secret', target: 'all', forMs: 2000, more: { steady: true } },
        () => {
          secretFile(rig, (file) => {
            writeFileSync(file, '');
          });
        },
        () => undefined,
      );
      platform(rig, { do: 'revoke-tokens' });
      await pause(1000);
      secretFile(rig, (file) => {
        writeFileSync(file, SIM_CLIENT.clientSecret);
      });
      rig.nemesis.add('n.do', { what: 'the secret is back' });
      await rig.flows(300);
    },
  },
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
  {
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
  },
];
