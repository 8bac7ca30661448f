import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Dialect } from '../../src/platforms/profile.ts';
import { PROFILES } from '../../src/platforms/index.ts';
import type { Received } from '../../src/simulator/consumer.ts';
import { Fleet, type FleetOptions, type Replica } from '../support/fleet.ts';
import type { TestRedis } from '../support/redis.ts';
import type { TestSentinel } from '../support/sentinel.ts';
import { until } from '../support/until.ts';
import { judge, type Judgement } from './checker.ts';
import { Writer, type HistoryLine, type RunFacts } from './history.ts';

const OBSERVE_EVERY_MS = 50;
const SETTLE_MS = 1500;
const ARRIVE_LIMIT_MS = 20_000;

/** A fleet whose every word is written down: platform, consumer, nemesis, observer, processes. The judge sees nothing else. */
export class Rig {
  readonly fleet: Fleet;
  readonly nemesis = new Writer('nem');
  readonly #consumer = new Writer('cons');
  readonly #process = new Writer('proc');
  readonly #observer = new Writer('obs');
  readonly #facts: RunFacts;
  readonly #sentinel: TestSentinel | undefined;
  readonly #redis: Redis;
  readonly #looking: NodeJS.Timeout;
  #faults = 0;
  #seen = { lock: '', checkpoint: '' };

  private constructor(fleet: Fleet, facts: RunFacts, sentinel: TestSentinel | undefined) {
    this.fleet = fleet;
    this.#sentinel = sentinel;
    this.#facts = facts;
    fleet.consumer.onTaken = (events) => { this.#taken(events); };
    fleet.onProcess = (pod, what, ended) => { this.#process.add(`p.${what}`, { pod, ...ended }); };
    this.#redis = new Redis({ host: '127.0.0.1', port: fleet.redis.port, maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => 100 });
    this.#redis.on('error', () => undefined); // the nemesis kills it on purpose
    this.#looking = setInterval(() => { void this.#observe(); }, OBSERVE_EVERY_MS);
  }

  static async start(dialect: Dialect, facts: Partial<RunFacts> = {}, options: Partial<FleetOptions> & { readonly redis?: TestRedis } = {}, sentinel?: TestSentinel): Promise<Rig> {
    const fleet = await Fleet.start({ replicas: 3, dialect, proxied: true, lease: { ttl: '3s', renewEvery: '1s', guard: '300ms' }, ...options }, options.redis);
    return new Rig(fleet, { streamClass: PROFILES[dialect].streamClass, maxAgain: 512, maxInFlight: 256, overlapMs: 1000, capacity: 1000, refillMs: 10, convergeMs: 9500, storeLoss: false, ...facts }, sentinel);
  }

  sentinel(): TestSentinel {
    if (this.#sentinel === undefined) throw new Error('this row has no sentinels');
    return this.#sentinel;
  }

  /** Begins a fault. @returns what ends it. */
  fault(kind: string, target: string, more: Readonly<Record<string, unknown>> = {}): () => void {
    this.#faults += 1;
    const f = `f${String(this.#faults)}`;
    this.nemesis.add('n.on', { f, kind, target, ...more });
    return () => { this.nemesis.add('n.off', { f, kind, target }); };
  }

  async leader(): Promise<Replica> {
    await until('somebody leads', async () => (await this.fleet.leader()) !== undefined, 30_000);
    const leader = await this.fleet.leader();
    if (leader === undefined) throw new Error('the leader went away again');
    return leader;
  }

  /** `count` further events reach the consumer. */
  async flows(count: number, limitMs = 30_000): Promise<void> {
    const target = this.fleet.consumer.distinct + count;
    await until(`${String(count)} further events are delivered`, () => this.fleet.consumer.distinct >= target, limitMs);
  }

  /** Lets everything arrive, stops the fleet and asks the judge. */
  async judge(): Promise<Judgement> {
    this.fleet.sim.rate = 0;
    // In vain or not, the judge has the last word.
    await until('everything made is delivered or announced', () => this.fleet.verdict.complete(), ARRIVE_LIMIT_MS).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    this.nemesis.add('n.end');
    clearInterval(this.#looking);
    this.#redis.disconnect();
    await this.fleet.stop();
    return judge(this.lines(), this.#facts);
  }

  lines(): readonly HistoryLine[] {
    const owner = new Map<number, string>();
    for (const { pod, toSim } of this.fleet.all) for (const port of toSim?.ports ?? []) owner.set(port, pod);
    const sim = this.fleet.sim.history.all().map((line) => (line.k === 'conn.req' ? { ...line, pod: owner.get(Number(line['port'])) ?? 'unknown' } : line));
    return [...sim, ...this.#consumer.close(), ...this.nemesis.close(), ...this.#process.close(), ...this.#observer.close()];
  }

  #taken(events: readonly Received[]): void {
    const ids: string[] = [];
    for (const event of events) {
      if (event.type === 'dev.holdfast.gap.detected') this.#gap(event);
      if (event.type.startsWith('dev.holdfast.')) continue;
      ids.push(event.id);
      const h = createHash('sha256').update(JSON.stringify(event.data)).digest('hex').slice(0, 16);
      this.#consumer.add('c.rx', { pod: event.via, id: event.id, h, epoch: Number(event.epoch), redeliv: event.attempt > 1 || event.replay !== 'live', backfill: event.replay === 'backfill' });
    }
    if (ids.length > 0) this.#consumer.add('c.ack', { ids });
  }

  #gap(event: Received): void {
    const data = event.data as { readonly from: string; readonly to: string; readonly cause: string; readonly fromTime?: string; readonly toTime?: string };
    const offset = Number(process.hrtime.bigint() / 1_000_000n) - Date.now();
    const at = (iso: string | undefined): number | undefined => (iso === undefined ? undefined : Date.parse(iso) + offset);
    this.#consumer.add('c.gap', { stream: this.fleet.verdict.path, from: data.from, to: data.to, cause: data.cause, fromT: at(data.fromTime), toT: at(data.toTime) });
  }

  async #observe(): Promise<void> {
    try {
      const prefix = this.fleet.leaseKey;
      const [fence, record] = await Promise.all([this.#redis.hget(`${prefix}:fence`, 'epoch'), this.#redis.hget(`${prefix}:ckpt`, 'main')]);
      if (fence !== null && fence !== this.#seen.lock) this.#observer.add('r.lock', { epoch: Number(fence) });
      if (record !== null && record !== this.#seen.checkpoint) this.#checkpoint(record);
      this.#seen = { lock: fence ?? '', checkpoint: record ?? '' };
    } catch {
      // The store is away; what it says afterwards is what counts.
    }
  }

  #checkpoint(record: string): void {
    const { epoch, position } = JSON.parse(record) as { readonly epoch: number; readonly position: string };
    const [kind, value] = position.split(':');
    if (kind === 'sequence') this.#observer.add('r.ckpt', { stream: this.fleet.verdict.path, seq: Number(value), epoch });
  }
}
