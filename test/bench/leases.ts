import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import Redlock from 'redlock';
import { Redis } from 'ioredis';
import { ConnectionRegistry, type Heartbeat } from '../../src/coordination/redis/connection-registry.ts';
import type { RenewRequest } from '../../src/coordination/leases.ts';
import { RedisLeases } from '../../src/coordination/redis/redis-leases.ts';
import { redisLink, TestRedis } from '../support/redis.ts';

const LEASES = 10_000;
const CONNECTIONS = 10_000;
const DEAD = 100_000;
const TTL_MS = 60_000;
const MS_PER_TICK = 10;

/** CPU time of a process so far, ms. */
function cpuOf(pid: number): number {
  const fields =
    readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
      .split(') ')[1]
      ?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

interface Cost {
  readonly wallMs: number;
  readonly nodeMs: number;
  readonly redisMs: number;
}

async function cost(pid: number, times: number, work: () => Promise<unknown>): Promise<Cost> {
  const before = { cpu: process.cpuUsage(), redis: cpuOf(pid), t: performance.now() };
  for (let n = 0; n < times; n += 1) await work();
  const cpu = process.cpuUsage(before.cpu);
  return {
    wallMs: (performance.now() - before.t) / times,
    nodeMs: (cpu.user + cpu.system) / 1000 / times,
    redisMs: (cpuOf(pid) - before.redis) / times,
  };
}

function say(what: string, { wallMs, nodeMs, redisMs }: Cost): void {
  process.stdout.write(
    `${what.padEnd(52)} wall ${wallMs.toFixed(0).padStart(6)} ms   node ${nodeMs.toFixed(0).padStart(6)} ms  ` +
      ` redis ${redisMs.toFixed(0).padStart(6)} ms\n`,
  );
}

/** Renewals, heartbeats and the reaper at size, beside plain redlock, in one run. */
export async function leases(): Promise<void> {
  const redis = await TestRedis.start();
  const link = redisLink({ options: { host: '127.0.0.1', port: redis.port }, prefix: 'b' });
  await link.ready(5000);
  const self = { id: 'bench', revision: '', load: LEASES, ready: true, refusedLeases: [] };
  const held = new RedisLeases(link, 'plain');
  const names = Array.from({ length: LEASES }, (_, n) => `GenesysCloud:eu:client-${String(n)}`);
  const seen = await held.observe(names, self);
  const requests: RenewRequest[] = [];
  for (const lease of names) {
    const view = seen.get(lease)?.view;
    const won = await held.acquire(
      lease,
      { ttlMs: TTL_MS, incarnation: view?.incarnation ?? '', floor: 0, fenceToken: '', beat: '' },
      self,
    );
    if (won.kind === 'won') requests.push({ lease, token: won.token, epoch: won.epoch, notAfterStoreMs: 0 });
  }
  const raw = new Redis({ host: '127.0.0.1', port: redis.port });
  const memory = Number(/used_memory:(\d+)/.exec(await raw.info('memory'))?.[1]);
  const ours = await cost(redis.pid, 5, () => held.renew(requests, TTL_MS, self));
  say(`renew ${String(requests.length)} leases, 200 a call`, ours);
  const redlock = new Redlock([raw], { retryCount: 0 });
  const locks = await Promise.all(names.map((name) => redlock.acquire([`r:${name}`], TTL_MS)));
  const theirs = await cost(redis.pid, 5, async () => {
    for (let at = 0; at < locks.length; at += 500)
      await Promise.all(
        locks.slice(at, at + 500).map((lock, index) =>
          lock.extend(TTL_MS).then((next) => {
            locks[at + index] = next;
          }),
        ),
      );
  });
  say(`plain redlock: extend ${String(locks.length)} locks, 500 in flight`, theirs);
  process.stdout.write(
    `ratio redlock / ours: redis ${(theirs.redisMs / Math.max(1, ours.redisMs)).toFixed(1)}, node ` +
      `${(theirs.nodeMs / Math.max(1, ours.nodeMs)).toFixed(1)}; a renewal every 2 s costs ` +
      `${((ours.redisMs / 2000) * 100).toFixed(1)} % of a Redis core, ` +
      `${((ours.nodeMs / 2000) * 100).toFixed(1)} % of a Node core; ${String(Math.round(memory / LEASES))} ` +
      `bytes a lease\n`,
  );
  await registry(redis, raw);
  raw.disconnect();
  link.close();
  await redis.stop();
}

async function registry(redis: TestRedis, raw: Redis): Promise<void> {
  const link = redisLink({ options: { host: '127.0.0.1', port: redis.port }, prefix: 'c' });
  await link.ready(5000);
  const beats: Heartbeat[] = Array.from({ length: CONNECTIONS }, (_, n) => ({
    connectionId: `id-${String(n)}`,
    silentMs: 0,
    platform: 'genesys',
    tenantId: 't',
    state: 'ACTIVE',
    retryCount: 0,
    client: 'c',
    stream: 's',
    pod: 'ns/pod',
    epoch: 1,
  }));
  const living = new ConnectionRegistry(link, { lifeMs: 120_000, deadAfterMs: 35_000, sweepEveryMs: 1 });
  say(`heartbeats of ${String(CONNECTIONS)} connections`, await cost(redis.pid, 5, () => living.heartbeat(beats)));
  for (let at = 0; at < DEAD; at += 5000) {
    const pipe = raw.pipeline();
    for (let n = at; n < at + 5000; n += 1) {
      pipe.hset(`c:ws:conn:dead-${String(n)}`, 'socketId', `dead-${String(n)}`, 'lastPong', '1', 'state', 'ACTIVE');
      pipe.zadd('c:ws:index', 1, `dead-${String(n)}`);
    }
    await pipe.exec();
  }
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  const t = performance.now();
  let purged = 0;
  let sweeps = 0;
  while (purged < DEAD && sweeps < 100) {
    purged += (await living.sweep())?.length ?? 0;
    sweeps += 1;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  lag.disable();
  process.stdout.write(
    `reap ${String(DEAD)} dead hashes, two looks each: ${(performance.now() - t).toFixed(0)} ms in ` +
      `${String(sweeps)} rounds, purged ${String(purged)}, event-loop delay p99 ` +
      `${(lag.percentile(99) / 1e6).toFixed(1)} ms\n`,
  );
  link.close();
}

if (import.meta.main) await leases();
