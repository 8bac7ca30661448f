import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dialect } from '../../src/platforms/profile.ts';
import { PROFILES } from '../../src/platforms/index.ts';
import { Fleet, type FleetOptions, type Replica } from '../support/fleet.ts';
import { seeded } from '../support/global.ts';
import { TestRedis } from '../support/redis.ts';
import { TestSentinel } from '../support/sentinel.ts';
import { until } from '../support/until.ts';
import { judge, type Judgement } from './checker.ts';
import { Writer, type HistoryLine, type RunFacts } from './history.ts';
import { ConsumerWitness, Observer, ProcessWitness } from './witnesses.ts';

const SETTLE_MS = 1500;
const ARRIVE_LIMIT_MS = 20_000;
const PATIENCE_MS = 30_000;
/** The gate every row runs behind, unless it says otherwise: ten attempts at once, five a second. */
export const GATE = { capacity: 10, refillMs: 200 };
/** One process plays everybody else here: a stall of it must not look like a dead platform. */
const SILENCE = { heartbeat: { silence: '1500ms' } };
const LEASE = { ttl: '3s', renewEvery: '1s', margin: '300ms' };

export interface RigOptions extends Partial<FleetOptions> {
  readonly gate?: { readonly capacity: number; readonly refillMs: number };
  readonly reconnect?: Readonly<Record<string, string>>;
  readonly sentinel?: boolean;
  /** Redis writes down what it is told. */
  readonly durable?: boolean;
  /** How long the row waits for what should come. */
  readonly patienceMs?: number;
}

/**
 * A fleet whose every word is written down: platform, consumer, nemesis, observer, processes. The judge sees nothing
 * else.
 */
export class Rig {
  readonly fleet: Fleet;
  readonly nemesis = new Writer('nem');
  readonly #consumer: ConsumerWitness;
  readonly #process: ProcessWitness;
  readonly #observer: Observer;
  readonly #facts: RunFacts;
  readonly #sentinel: TestSentinel | undefined;
  /** The same for the same HOLDFAST_SEED. */
  readonly random = seeded(0);
  readonly #patienceMs: number;
  #faults = 0;

  private constructor(
    fleet: Fleet,
    facts: RunFacts,
    { sentinel, patienceMs }: { readonly sentinel: TestSentinel | undefined; readonly patienceMs: number },
  ) {
    this.fleet = fleet;
    this.#patienceMs = patienceMs;
    this.#sentinel = sentinel;
    this.#facts = facts;
    this.#consumer = new ConsumerWitness(fleet);
    this.#process = new ProcessWitness(fleet);
    this.#observer = new Observer(fleet, sentinel);
  }

  static async start(facts: Partial<RunFacts> = {}, options: RigOptions = {}): Promise<Rig> {
    const { gate = GATE, reconnect, sentinel: wanted, durable, patienceMs = PATIENCE_MS, ...rest } = options;
    const dialect: Dialect = rest.dialect ?? 'genesys-streams';
    const sentinel = wanted === true ? await TestSentinel.start() : undefined;
    const client = {
      gate: { capacity: gate.capacity, refillEvery: `${String(gate.refillMs)}ms`, concurrent: 10 },
      ...(reconnect === undefined ? {} : { reconnect }),
      ...rest.documents?.client,
    };
    const store = sentinel === undefined ? {} : { store: sentinel.url };
    const redis =
      durable === true
        ? await TestRedis.start([
            '--appendonly',
            'yes',
            '--appendfsync',
            'everysec',
            '--dir',
            mkdtempSync(join(tmpdir(), 'hf-aof-')),
          ])
        : sentinel?.primary;
    const fleet = await Fleet.start(
      {
        replicas: 3,
        proxied: true,
        outputJudged: true,
        lease: LEASE,
        ...rest,
        ...store,
        dialect,
        documents: { ...(dialect === 'genesys-streams' ? { stream: SILENCE } : {}), ...rest.documents, client },
      },
      redis,
    );
    const defaults: RunFacts = {
      streamClass: PROFILES[dialect].streamClass,
      maxAgain: 512,
      maxInFlight: 256,
      overlapMs: 1000,
      ...gate,
      convergeMs: 9500,
      rssMb: 320,
      fdsMore: 8,
      commandsPerSecond: 30,
    };
    return new Rig(fleet, { ...defaults, ...facts }, { sentinel, patienceMs });
  }

  sentinel(): TestSentinel {
    if (this.#sentinel === undefined) throw new Error('this row has no sentinels');
    return this.#sentinel;
  }

  /**
   * Begins a fault. `steady`: it must pass unnoticed. `failing`: the store refuses what it is asked. @returns what
   * ends it.
   */
  fault(kind: string, target: string, more: Readonly<Record<string, unknown>> = {}): () => void {
    this.#faults += 1;
    const f = `f${String(this.#faults)}`;
    this.nemesis.add('n.on', { f, kind, target, ...more });
    return () => {
      this.nemesis.add('n.off', { f, kind, target });
    };
  }

  shuffled<T>(all: readonly T[]): readonly T[] {
    const rest = [...all];
    const out: T[] = [];
    while (rest.length > 0) {
      out.push(...rest.splice(Math.floor(this.random() * rest.length), 1));
    }
    return out;
  }

  /** The platform sends what nobody can read. */
  badFrame(text: string): void {
    this.fleet.sim.history.add('fr.bad', { h: createHash('sha256').update(text).digest('hex') });
    this.fleet.sim.do({ do: 'send', text });
  }

  async leader(): Promise<Replica> {
    await until('somebody leads', async () => (await this.fleet.leader()) !== undefined, 30_000);
    const leader = await this.fleet.leader();
    if (leader === undefined) throw new Error('the leader went away again');
    return leader;
  }

  /** `count` further events reach the consumer. */
  async flows(count: number, limitMs = this.#patienceMs): Promise<void> {
    const target = this.fleet.consumer.distinct + count;
    await until(`${String(count)} further events are delivered`, () => this.fleet.consumer.distinct >= target, limitMs);
  }

  /** Lets everything arrive, stops the fleet and asks the judge. */
  async judge(): Promise<Judgement> {
    this.fleet.sim.rate = 0;
    // In vain or not, the judge has the last word.
    await until(
      'everything made is delivered or announced',
      () => this.fleet.verdict.complete(),
      Math.min(ARRIVE_LIMIT_MS, this.#patienceMs),
    ).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    this.nemesis.add('n.end');
    this.#process.stop();
    await this.#process.scrape();
    this.#observer.stop();
    await this.fleet.stop();
    await this.#sentinel?.stop();
    return judge(this.lines(), this.#facts);
  }

  lines(): readonly HistoryLine[] {
    const owner = new Map<number, string>();
    for (const { pod, toSim } of this.fleet.all) for (const port of toSim?.ports ?? []) owner.set(port, pod);
    const sim = this.fleet.sim.history
      .all()
      .map((line) => (line.k === 'conn.req' ? { ...line, pod: owner.get(Number(line['port'])) ?? 'unknown' } : line));
    return [
      ...sim,
      ...this.#consumer.close(),
      ...this.nemesis.close(),
      ...this.#process.close(),
      ...this.#observer.close(),
    ];
  }
}
