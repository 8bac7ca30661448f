import { Redis } from 'ioredis';
import type { TcpProxy } from '../support/proxy.ts';
import type { RunFacts } from './history.ts';
import type { Rig, RigOptions } from './rig.ts';

/** One row of the fault matrix (docs/chaos.md). */
export interface Scenario {
  readonly id: string;
  readonly say: string;
  /** Also part of `make test`. */
  readonly quick?: boolean;
  /** It begins before the first event. */
  readonly cold?: boolean;
  readonly facts?: Partial<RunFacts>;
  readonly options?: RigOptions;
  run(rig: Rig): Promise<void>;
}

/** The ttl of the rig's leases. */
export const T_MS = 3000;

/** Facts of a row whose fault takes longer to heal. */
export const LATE = { convergeMs: 14_000 };

const AFTERMATH_MS = 300;

/** Options of node that load a file of test/support before the program. */
export const preload = (name: string): readonly string[] => [
  `--import=${new URL(`../support/${name}.ts`, import.meta.url).href}`,
];

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Somebody with full rights at the server, beside the replicas. */
export async function redisOf<T>(rig: Rig, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({
    host: '127.0.0.1',
    port: rig.fleet.redis.port,
    lazyConnect: true,
    enableReadyCheck: false,
  });
  redis.on('error', () => undefined);
  await redis.connect();
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

export interface Fault {
  readonly kind: string;
  readonly target: string;
  readonly more?: Readonly<Record<string, unknown>>;
  readonly forMs: number;
}

export async function during(rig: Rig, fault: Fault, on: () => unknown, off: () => unknown): Promise<void> {
  const end = rig.fault(fault.kind, fault.target, fault.more);
  await on();
  await pause(fault.forMs);
  await off();
  // What a fault leads to may come when it is over.
  if (fault.more?.['steady'] === true) await pause(AFTERMATH_MS);
  end();
}

/** Kills the leader, starts another, waits until events flow again. */
export async function kill(rig: Rig): Promise<void> {
  const leader = await rig.leader();
  const end = rig.fault('kill', leader.pod);
  await rig.fleet.end(leader, 'SIGKILL');
  end();
  await rig.flows(200);
  await rig.fleet.add();
}

/** Stops the leader's process for a while. */
export async function freeze(rig: Rig, forMs: number, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const leader = await rig.leader();
  await during(
    rig,
    { kind: 'freeze', target: leader.pod, forMs, more },
    () => {
      leader.program.signal('SIGSTOP');
    },
    () => {
      leader.program.signal('SIGCONT');
    },
  );
}

/** Spoils the leader's way to one of its servers for a while. */
export async function spoil(
  rig: Rig,
  target: 'toSim' | 'toRedis',
  how: (proxy: TcpProxy) => unknown,
  span: number | { readonly forMs: number; readonly steady: true },
): Promise<void> {
  const { forMs, ...more } = typeof span === 'number' ? { forMs: span } : span;
  const leader = await rig.leader();
  const proxy = leader[target];
  if (proxy === undefined) throw new Error('the rig has no proxies');
  await during(
    rig,
    { kind: target, target: leader.pod, forMs, more },
    () => how(proxy),
    () => {
      proxy.mend();
    },
  );
}

/** The platform is told to do something, and the judge that it was. */
export function platform(rig: Rig, action: Parameters<Rig['fleet']['sim']['do']>[0]): void {
  rig.fleet.sim.do(action);
  rig.nemesis.add('n.do', { what: action.do });
}
