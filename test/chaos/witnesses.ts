import { readdirSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Received } from '../../src/simulator/sample-consumer.ts';
import { keep, secretsIn } from '../support/canary.ts';
import type { Fleet, Replica } from '../support/fleet.ts';
import type { TestSentinel } from '../support/sentinel.ts';
import { Writer, type HistoryLine } from './history.ts';

/** What a late writer leaves stands until the next checkpoint: some 100 ms, at times less. */
const OBSERVE_EVERY_MS = 20;
const WEIGH_EVERY_MS = 1000;
const PAGE_KIB = 4;

/** Reads the store as somebody who has no part in it. */
export class Observer {
  readonly #writer = new Writer('obs');
  readonly #redis: Redis;
  readonly #fleet: Fleet;
  readonly #timer: NodeJS.Timeout;
  #seen = { lock: '', checkpoint: '' };

  constructor(fleet: Fleet, sentinel: TestSentinel | undefined) {
    this.#fleet = fleet;
    const how = { maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => 100, commandTimeout: 1000 };
    this.#redis =
      sentinel === undefined
        ? new Redis({ ...how, host: '127.0.0.1', port: fleet.redis.port })
        : new Redis({ ...how, sentinels: [...sentinel.addresses], name: sentinel.name, role: 'master' });
    this.#redis.on('error', () => undefined); // the nemesis kills it on purpose
    this.#timer = setInterval(() => {
      void this.#look();
    }, OBSERVE_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#redis.disconnect();
  }

  close(): readonly HistoryLine[] {
    return this.#writer.close();
  }

  async #look(): Promise<void> {
    try {
      const prefix = this.#fleet.leaseKey;
      const [fence, record] = await Promise.all([
        this.#redis.hget(`${prefix}:fence`, 'epoch'),
        this.#redis.hget(`${prefix}:ckpt`, 'main'),
      ]);
      if (fence !== null && fence !== this.#seen.lock) this.#writer.add('r.lock', { epoch: Number(fence) });
      if (record !== null && record !== this.#seen.checkpoint) this.#checkpoint(record);
      this.#seen = { lock: fence ?? '', checkpoint: record ?? '' };
    } catch {
      // The store is away; what it says afterwards is what counts.
    }
  }

  #checkpoint(record: string): void {
    const { epoch, position } = JSON.parse(record) as { readonly epoch: number; readonly position: string };
    const [kind, value = ''] = position.split(':');
    const { path } = this.#fleet.verdict;
    if (kind === 'sequence')
      this.#writer.add('r.ckpt', { stream: path, seq: this.#fleet.sim.journal(path).local(value), epoch });
  }
}

/** Weighs the processes, listens on their links, and reads what they wrote. */
export class ProcessWitness {
  readonly #processes = new Writer('proc');
  readonly #links = new Writer('net');
  readonly #said = new Writer('said');
  readonly #fleet: Fleet;
  readonly #timer: NodeJS.Timeout;
  readonly #used = new Map<string, { readonly commands: number; readonly connections: number; readonly at: number }>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    for (const replica of fleet.all) this.#listen(replica);
    fleet.onProcess = (replica, what, ended) => {
      if (what === 'up') this.#listen(replica);
      this.#processes.add(`p.${what}`, { pod: replica.pod, ...ended });
    };
    // What came in while this process stood still counts before, not after.
    this.#timer = setInterval(() => {
      setImmediate(() => {
        for (const replica of fleet.replicas) this.#weigh(replica);
      });
    }, WEIGH_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The counters of every replica that still runs. */
  async scrape(): Promise<void> {
    for (const { pod, program } of this.#fleet.replicas) {
      if (program.ended !== undefined) continue;
      const text = await program.metrics();
      const sum = (name: string): number =>
        [...text.matchAll(new RegExp(`^holdfast_${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].reduce(
          (total, match) => total + Number(match[1]),
          0,
        );
      this.#processes.add('m.end', {
        pod,
        delivered: sum('events_delivered_total'),
        redelivered: sum('events_redelivered_total'),
        gaps: sum('gaps_total'),
        poison: sum('frames_poison_total'),
        leaderChanges: sum('leader_changes_total'),
      });
      this.#output(pod, 'status', `${text}${JSON.stringify(await program.status())}`);
    }
  }

  /** When all have ended: what they wrote. */
  close(): readonly HistoryLine[] {
    const offset = wallOffset();
    for (const { pod, program } of this.#fleet.all) {
      this.#output(pod, 'output', program.output);
      for (const line of program.output.split('\n')) if (line.includes('"audit":true')) this.#audit(pod, line, offset);
    }
    return [...this.#processes.close(), ...this.#links.close(), ...this.#said.close()];
  }

  /** A link that is cut does not tell the platform that the replica has closed; the link itself knows. */
  #listen({ toSim }: Replica): void {
    if (toSim !== undefined)
      toSim.onClosed = (port) => {
        this.#links.add('net.closed', { port });
      };
  }

  #output(pod: string, what: string, text: string): void {
    this.#processes.add('p.out', { pod, what, bytes: text.length, secrets: secretsIn(text) });
    keep(text, 'chaos');
  }

  #audit(pod: string, line: string, offset: number): void {
    try {
      const { timestamp, event, epoch, from, to } = JSON.parse(line) as {
        readonly timestamp: string;
        readonly event: string;
        readonly epoch?: string;
        readonly from?: string;
        readonly to?: string;
      };
      this.#said.add('a.line', { pod, event, epoch, from, to, at: Date.parse(timestamp) + offset });
    } catch {
      // Cut off by the end of its process.
    }
  }

  #weigh({ pod, program, toRedis }: Replica): void {
    try {
      const pages = Number(readFileSync(`/proc/${String(program.pid)}/statm`, 'utf8').split(' ')[1]);
      this.#processes.add('p.stat', {
        pod,
        rssMb: Math.round((pages * PAGE_KIB) / 1024),
        fds: readdirSync(`/proc/${String(program.pid)}/fd`).length,
      });
    } catch {
      return; // it has ended
    }
    if (toRedis === undefined) return;
    const at = performance.now();
    const before = this.#used.get(pod);
    const now = { commands: toRedis.commands, connections: toRedis.connections, at };
    this.#used.set(pod, now);
    if (before !== undefined)
      this.#links.add('net.use', {
        pod,
        commands: now.commands - before.commands,
        connections: now.connections - before.connections,
        overMs: Math.round(at - before.at),
      });
  }
}

/** Writes down what the consumer took, and what it was told. */
export class ConsumerWitness {
  readonly #writer = new Writer('cons');
  readonly #fleet: Fleet;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    fleet.consumer.onTaken = (events) => {
      this.#taken(events);
    };
    fleet.consumer.onAcknowledged = (events) => {
      this.#acknowledged(events);
    };
  }

  close(): readonly HistoryLine[] {
    return this.#writer.close();
  }

  #taken(events: readonly Received[]): void {
    for (const event of events) {
      if (event.type.startsWith('dev.holdfast.')) {
        this.#control(event);
        continue;
      }
      this.#writer.add('c.rx', {
        pod: event.via,
        id: event.id,
        h: hashOf(this.#original(event)),
        epoch: Number(event.epoch),
        attempt: event.attempt,
        redeliv: event.attempt > 1 || event.replay !== 'live',
        backfill: event.replay === 'backfill',
      });
    }
  }

  #acknowledged(events: readonly Received[]): void {
    const ids = events.filter((event) => !event.type.startsWith('dev.holdfast.')).map((event) => event.id);
    if (ids.length > 0) this.#writer.add('c.ack', { ids });
  }

  #control(event: Received): void {
    this.#writer.add('c.ctl', { pod: event.via, type: event.type, attempt: event.attempt });
    if (event.type === 'dev.holdfast.gap.detected') this.#gap(event);
    if (event.type === 'dev.holdfast.poison')
      this.#writer.add('c.poison', { pod: event.via, id: event.id, h: (event.data as { readonly hash: string }).hash });
  }

  /** The event's text. A number beyond a double is exact in its attribute only. */
  #original(event: Received): string {
    const text = JSON.stringify(event.data);
    const exact = event.sequence?.replace(/^0+(?=\d)/, '');
    return this.#fleet.sim.journal(this.#fleet.verdict.path).base === 0n || exact === undefined
      ? text
      : text.replace(/^\{"sequence":\d+/, `{"sequence":${exact}`);
  }

  #gap(event: Received): void {
    const data = event.data as {
      readonly from: string;
      readonly to: string;
      readonly cause: string;
      readonly fromTime?: string;
      readonly toTime?: string;
    };
    const offset = wallOffset();
    const at = (iso: string | undefined): number | undefined =>
      iso === undefined ? undefined : Date.parse(iso) + offset;
    this.#writer.add('c.gap', {
      pod: event.via,
      stream: this.#fleet.verdict.path,
      from: data.from,
      to: data.to,
      cause: data.cause,
      fromT: at(data.fromTime),
      toT: at(data.toTime),
    });
  }
}

/** From wall clock to the histories' clock, in ms: Date.now() cuts off half a millisecond on average. */
function wallOffset(): number {
  return Number(process.hrtime.bigint()) / 1e6 - Date.now() - 0.5;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
