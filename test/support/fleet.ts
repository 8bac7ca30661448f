import { dirname } from 'node:path';
import { SampleConsumer, type Received } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { RedisKeys } from '../../src/coordination/redis/redis-keys.ts';
import { PROFILES } from '../../src/platforms/index.ts';
import type { Dialect } from '../../src/platforms/profile.ts';
import { SIM_CLIENT } from '../../src/simulator/token-office.ts';
import { expectNoSecret } from './canary.ts';
import { writeDocuments, type DocumentOptions } from './documents.ts';
import { Program } from './process.ts';
import { TcpProxy } from './proxy.ts';
import { TestRedis } from './redis.ts';
import { until } from './until.ts';
import { Verdict } from './verdict.ts';

export interface FleetOptions {
  readonly replicas: number;
  readonly dialect: Dialect;
  readonly documents?: Partial<DocumentOptions>;
  readonly args?: readonly string[];
  /** Store the replicas use instead of the fleet's own server. */
  readonly store?: string;
  readonly lease?: Record<string, string>;
  /** Each replica's ways to the platform and to the store can be cut. */
  readonly proxied?: boolean;
  /** Further arguments of node, and of the environment. */
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Nobody can reach the platform until its way there is mended; `proxied` only. */
  readonly apart?: boolean;
  /** Somebody else looks for secrets in what the replicas wrote. */
  readonly outputJudged?: boolean;
  /** Different conversations; 11 where nothing is said. */
  readonly keys?: number;
  /** What the platform adds to its numbers. */
  readonly baseSequence?: bigint;
}

interface ReplicaStatus {
  readonly ready: boolean;
  readonly clients: readonly {
    readonly role: string;
    readonly epoch: number;
    readonly open: boolean;
    readonly heir?: string;
  }[];
}

/** One replica: its process, and the name its consumer knows it by. */
export interface Replica {
  readonly pod: string;
  readonly program: Program;
  /** Of its documents and credentials. */
  readonly directory: string;
  readonly toSim: TcpProxy | undefined;
  readonly toRedis: TcpProxy | undefined;
}

/**
 * Several replicas as processes on one real Redis, one simulated platform, one consumer that knows which replica
 * spoke.
 */
export class Fleet {
  readonly sim: Simulator;
  readonly consumer = new SampleConsumer();
  readonly verdict: Verdict;
  readonly replicas: Replica[] = [];
  readonly redis: TestRedis;
  /** Every replica there ever was. */
  readonly all: Replica[] = [];
  /** Told of every start and end of a process. */
  onProcess: (
    replica: Replica,
    what: 'up' | 'down',
    ended?: { readonly code: number | null; readonly sig: string | null; readonly told: Program['told'] },
  ) => void = () => undefined;
  readonly #options: FleetOptions;
  #output = '';
  #serial = 0;
  #simPort = 0;
  #consumerPort = 0;

  private constructor(options: FleetOptions, redis: TestRedis) {
    this.#options = options;
    this.redis = redis;
    // As conversations are: of eleven the busiest has three events of ten.
    const { keys = 11 } = options;
    this.sim = new Simulator({
      port: 0,
      rate: 0,
      size: 400,
      keys,
      skew: 2,
      serverPingEveryMs: 200,
      historyLimit: 2_000_000,
    });
    this.verdict = new Verdict(this.sim, this.consumer, options.dialect);
  }

  static async start(options: FleetOptions, redis?: TestRedis): Promise<Fleet> {
    const fleet = new Fleet(options, redis ?? (await TestRedis.start()));
    fleet.sim.journal(fleet.verdict.path).base = options.baseSequence ?? 0n;
    fleet.#simPort = await fleet.sim.listen();
    fleet.#consumerPort = await fleet.consumer.listen();
    await Promise.all(Array.from({ length: options.replicas }, () => fleet.add()));
    if (options.replicas === 0) return fleet;
    if (options.apart !== true) await until('a stream is open', () => fleet.sim.connections.length > 0, 30_000);
    await until(
      'every replica takes part',
      async () => (await Promise.all(fleet.replicas.map(async (one) => (await statusOf(one)).ready))).every(Boolean),
      30_000,
    );
    return fleet;
  }

  /** Where the client's keys begin. */
  get leaseKey(): string {
    const profile = PROFILES[this.#options.dialect];
    return new RedisKeys('hf', `${profile.platform}:local:${SIM_CLIENT.clientId}`).fence.replace(/:fence$/, '');
  }

  /** Starts one more replica. @param credentials its files, if they are not those of the platform's client. */
  async add(revision = '', name?: string, credentials?: Record<string, string>): Promise<Replica> {
    this.#serial += 1;
    const pod = name ?? `pod-${String(this.#serial)}`;
    const toSim = this.#options.proxied === true ? await new TcpProxy(() => this.#simPort).listen() : undefined;
    if (this.#options.apart === true) toSim?.reset(true);
    const toRedis = this.#options.proxied === true ? await new TcpProxy(() => this.redis.port).listen() : undefined;
    const documents = writeDocuments({
      simPort: toSim?.port ?? this.#simPort,
      consumerPort: this.#consumerPort,
      dialect: this.#options.dialect,
      ...this.#options.documents,
      ...(credentials === undefined ? {} : { credentials }),
      client: {
        lease: this.#options.lease ?? { ttl: '6s', renewEvery: '2s', margin: '500ms' },
        ...this.#options.documents?.client,
      },
      push: { url: `http://127.0.0.1:${String(this.#consumerPort)}/events/${pod}`, ...this.#options.documents?.push },
    });
    const store = this.#options.store ?? `redis://127.0.0.1:${String(toRedis?.port ?? this.redis.port)}`;
    const program = await Program.run(
      documents,
      ['--store', store, ...(this.#options.args ?? [])],
      {
        POD_NAME: pod,
        POD_UID: `uid-${pod}`,
        HOLDFAST_REVISION: revision,
        HOLDFAST_TEST_BLOCK_MS: '20000',
        ...this.#options.env,
      },
      this.#options.node ?? [],
    );
    const replica = { pod, program, toSim, toRedis, directory: dirname(documents) };
    this.replicas.push(replica);
    this.all.push(replica);
    this.onProcess(replica, 'up');
    program.onEnd((code, sig) => {
      this.onProcess(replica, 'down', { code, sig, told: program.told });
    });
    return replica;
  }

  async leader(): Promise<Replica | undefined> {
    for (const replica of this.replicas) {
      const status = await statusOf(replica).catch(() => undefined); // a stopped one does not answer
      if (status?.clients[0]?.role === 'leader') return replica;
    }
    return undefined;
  }

  /** Ends a replica and forgets it. @returns its exit code. */
  async end(replica: Replica, signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const code = await replica.program.stop(signal);
    this.#output += replica.program.output;
    this.#drop(replica);
    return code;
  }

  /** It ended without us. */
  forget(replica: Replica): void {
    this.#output += replica.program.output;
    this.#drop(replica);
  }

  #drop(replica: Replica): void {
    const at = this.replicas.indexOf(replica);
    if (at !== -1) this.replicas.splice(at, 1);
  }

  /** The longest time without a first delivery that began after `t` (CLOCK_MONOTONIC ns), in ms. */
  longestSilenceSince(t: bigint): number {
    const data = this.consumer.received.filter((event) => !event.type.startsWith('dev.holdfast.'));
    let at = data.length - 1;
    while (at > 0 && (data[at] as Received).t > t) at -= 1;
    let worst = 0n;
    for (; at + 1 < data.length; at += 1) {
      const gap = (data[at + 1] as Received).t - (data[at] as Received).t;
      if (gap > worst) worst = gap;
    }
    return Number(worst) / 1e6;
  }

  /** The longest time, in ms, two connections of one stream were open together. */
  longestOverlapMs(): number {
    const open = new Map<string, bigint>();
    let worst = 0n;
    for (const record of this.sim.history.of('conn.open', 'conn.end')) {
      const conn = String(record['conn']);
      const t = BigInt(record.t);
      if (record.k === 'conn.open') open.set(conn, t);
      else {
        const began = open.get(conn) ?? t;
        open.delete(conn);
        for (const other of open.values()) {
          const overlap = t - (other > began ? other : began);
          if (overlap > worst) worst = overlap;
        }
      }
    }
    return Number(worst) / 1e6;
  }

  async stop(): Promise<void> {
    for (const replica of [...this.replicas]) {
      replica.program.signal('SIGCONT');
      await this.end(replica, 'SIGTERM');
    }
    await this.consumer.close();
    await this.sim.close();
    await this.redis.stop();
    for (const { toSim, toRedis } of this.all) {
      await toSim?.close();
      await toRedis?.close();
    }
    if (this.#options.outputJudged !== true) expectNoSecret(this.#output, 'fleet');
  }

  get output(): string {
    return this.#output + this.replicas.map((one) => one.program.output).join('');
  }
}

export async function statusOf(replica: Replica): Promise<ReplicaStatus> {
  return (await replica.program.status()) as unknown as ReplicaStatus;
}
