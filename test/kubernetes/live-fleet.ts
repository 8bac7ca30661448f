import { expect } from 'chai';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { freePort, TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import type { Cluster, Ran } from './cluster.ts';
import { Sidecar } from './kubelet.ts';
import { eventStream, injector, namespace, Part, reinstall, streamClient } from './plane.ts';

/** The namespace of everything that lives here. */
export const NS = 'live';
/** The promise: what the status says is true within this. */
export const TRUTH_MS = 5000;

interface Conditions {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
    readonly state?: string;
    readonly leader?: { readonly podName: string; readonly epoch: number };
    readonly podsSummary?: string;
    readonly continuity?: { readonly gaps: number };
  };
}

/** A condition of an object in two words, or `none`. */
export function condition(object: Conditions, type: string): string {
  const one = object.status?.conditions?.find((condition) => condition.type === type);
  return one === undefined ? 'none' : `${one.status} ${one.reason}`;
}

/** A StreamClient with one stream: simulator, consumer, Redis, controllers, and sidecars that are processes. */
export class LiveFleet {
  readonly sim = new Simulator({ port: 0, rate: 50, size: 300, keys: 5, serverPingEveryMs: 200 });
  readonly consumer = new SampleConsumer();
  readonly sidecars: Sidecar[] = [];
  /** The injector, then controllers. */
  readonly parts: Part[] = [];
  /** While the API server was started again, by the wall clock, ms. */
  restarted = { from: Infinity, to: -Infinity };
  readonly #of: () => Cluster;
  #redis: TestRedis | undefined;
  #simPort = 0;
  #consumerPort = 0;

  constructor(of: () => Cluster) {
    this.#of = of;
  }

  get cluster(): Cluster {
    return this.#of();
  }

  get redis(): TestRedis {
    if (this.#redis === undefined) throw new Error('Redis was not started');
    return this.#redis;
  }

  async start(): Promise<void> {
    this.#redis = await TestRedis.start();
    this.#simPort = await this.sim.listen();
    this.#consumerPort = await this.consumer.listen();
    expect(reinstall(this.cluster).err).to.equal('');
    this.parts.push(await injector(this.cluster));
    namespace(this.cluster, NS);
    await this.cluster.until(
      'the service account is there',
      () => this.cluster.kubectl('get', 'serviceaccount', 'default', '-n', NS).code === 0,
    );
    const http = `http://127.0.0.1:${String(this.#simPort)}`;
    // kubectl is waited for in this process, where the simulator stands still meanwhile: silence is no fault here.
    const fast = {
      hosts: { login: http, api: http, streaming: `ws://127.0.0.1:${String(this.#simPort)}` },
      reconnect: { baseDelay: '20ms', maxDelay: '200ms', extendedBaseDelay: '30ms', extendedMaxDelay: '300ms' },
      circuitBreaker: { open: '6s', minSamples: 3, window: '3s', failureRatePercent: 50 },
      gate: { capacity: 1000, refillEvery: '10ms', concurrent: 10 },
      token: { leadTime: '1s', minRemainingAtDial: '100ms', minRemainingAtRedial: '100ms', minInterval: '50ms' },
      lease: { ttl: '3s', renewEvery: '1s', margin: '300ms' },
    };
    const delivery = {
      mode: 'Push',
      push: { url: `http://127.0.0.1:${String(this.#consumerPort)}/events`, contentMode: 'batch' },
      retryBaseDelay: '20ms',
      retryMaxDelay: '200ms',
    };
    expect(
      this.cluster.pipe(
        [
          streamClient('acme', { region: 'local', ...fast }),
          eventStream('main', 'acme', {
            heartbeat: { silence: '30s' },
            resume: { reorderWindow: '100ms' },
            delivery,
          }),
        ],
        'apply',
        '-n',
        NS,
      ).err,
    ).to.equal('');
    await this.controller();
  }

  async stop(): Promise<void> {
    for (const sidecar of this.sidecars) await sidecar.end('SIGKILL');
    for (const part of this.parts) await part.end('SIGKILL');
    await this.sim.close();
    await this.consumer.close();
    await this.redis.stop();
  }

  client(): Conditions {
    return this.cluster.get('hfc', 'acme', '-n', NS) ?? {};
  }

  stream(): Conditions {
    return this.cluster.get('hfs', 'main', '-n', NS) ?? {};
  }

  /** Waits until the status says something, and shows it when it does not. */
  told(what: string, done: () => boolean | Promise<boolean>, limitMs = TRUTH_MS): Promise<void> {
    return until(
      what,
      done,
      limitMs,
      () =>
        `${JSON.stringify([this.client().status, this.stream().status])} ` +
        this.sidecars.map((one) => one.output.slice(-500)).join(''),
    );
  }

  /** The Events of this reason: object and note, one a line. */
  events(reason: string): string {
    return this.cluster.kubectl(
      'get',
      'events.events.k8s.io',
      '-n',
      NS,
      '-o',
      `jsonpath={range .items[?(@.reason=="${reason}")]}{.regarding.kind}/{.regarding.name}: {.note}{"\\n"}{end}`,
    ).out;
  }

  leader(): Sidecar {
    const name = this.client().status?.leader?.podName;
    const found = this.sidecars.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no leader: ${String(name)}`);
    return found;
  }

  /** Starts a sidecar in the place of one that ended, under its name. */
  async replace(old: Sidecar): Promise<void> {
    const again = await this.sidecar(old.name);
    again.credentials();
    this.sidecars.splice(this.sidecars.indexOf(old), 1, again);
    again.start();
  }

  /** A sidecar of this pod that is not started yet. */
  async sidecar(name: string): Promise<Sidecar> {
    return new Sidecar(this.cluster, { name, namespace: NS }, { redisPort: this.redis.port, admin: await freePort() });
  }

  /** Waits until so many more events have reached the consumer. */
  async flows(count: number): Promise<void> {
    const target = this.consumer.distinct + count;
    await until('events flow', () => this.consumer.distinct >= target, 30_000);
  }

  async controller(): Promise<Part> {
    const store = `redis://127.0.0.1:${String(this.redis.port)}/0`;
    const part = await Part.start(this.cluster, 'controller', ['--store', store]);
    this.parts.push(part);
    return part;
  }

  /** kubectl as the cluster's administrator. */
  kubectl(...args: readonly string[]): Ran {
    return this.cluster.run('kubectl', args);
  }
}
