/**
 * The status of streams in the cluster: a controller that reads sidecars' reports from the store and writes status,
 * conditions, Events and pod labels. It never decides anything for a stream and nothing in the data plane waits for it;
 * it asks for a hand-over, a sidecar's leader carries it out. Judgement is in pure files (client-status, stream-status,
 * conditions); objects come from api/, leadership among controllers is leader-election's.
 */

import type { Installation } from '../../config/installation.ts';
import { REPORT_FRESH_MS } from '../../config/limits.ts';
import type { Leases } from '../../coordination/leases.ts';
import type { Report, ReportStore } from '../../coordination/redis/report-store.ts';
import { attached } from '../attach/attach.ts';
import { eventsOf } from './kubernetes-events.ts';
import type { Kube } from '../api/kube.ts';
import { Reflector, type ReflectorClock } from '../api/reflector.ts';
import { leaderOf, sidecarOf, type SidecarReport } from './sidecar-report.ts';
import {
  ANNOTATIONS,
  GROUP,
  LABELS,
  VERSION,
  type ClientObject,
  type ClientStatus,
  type StreamObject,
  type StreamStatus,
} from '../api/resources.ts';
import { clientStatus } from './client-status.ts';
import { sameNews } from './same-news.ts';
import { eventStreamStatus } from './event-stream-status.ts';
import type { Facts, PodFacts } from './first-reason.ts';
import { EventWriter } from './event-writer.ts';
import { KubeWriter } from './kube-writer.ts';
import { PodReconciler } from './pod-reconciler.ts';
import { isGoing, type Pod } from './pod.ts';

export interface ReconcilerSettings {
  /** Namespaces that are watched; empty: all. */
  readonly namespaces: readonly string[];
  /** Version of this program: sidecars of another one are out of date. */
  readonly version: string;
  /** How often the reports are read. */
  readonly everyMs: number;
  /** Figures that move all the time are written at most this often. */
  readonly figuresEveryMs: number;
  readonly identity: string;
  /** Rules by which the sidecars check their documents. */
  readonly installation: Installation;
}

export interface ReconcilerDeps extends ReflectorClock {
  readonly kube: Kube;
  readonly reports: Pick<ReportStore, 'read'>;
  readonly leases: Pick<Leases, 'publish'>;
  /** Returns whether this process may write now. Asked before each write. */
  readonly leading: () => boolean;
  readonly nowEpochMs: () => number;
  readonly log: {
    info(fields: unknown, text: string): void;
    warn(fields: unknown, text: string): void;
    debug(fields: unknown, text: string): void;
  };
}

/** Between two rounds, however much happens. */
const ROUND_REST_MS = 300;
/** A request for a hand-over that is older was meant for another leader. */
const OLD_MS = 600_000;
/** Writes of one round at the same time. */
const WIDTH = 8;

/**
 * Shows in the cluster what the sidecars do: status, conditions and Events of StreamClients and EventStreams, labels of
 * pods; brings changed documents to their sidecars; passes on orders. A mirror: nothing in the data plane waits for it,
 * and it holds no state that it could not read again.
 */
export class Reconciler {
  readonly #settings: ReconcilerSettings;
  readonly #deps: ReconcilerDeps;
  readonly #clients: Reflector[];
  readonly #streams: Reflector[];
  readonly #pods: Reflector[];
  readonly #writer: KubeWriter;
  readonly #events: EventWriter;
  readonly #podReconciler: PodReconciler;
  readonly #figuresAtMs = new Map<string, number>();
  readonly #readAtMs = new Map<string, number>();
  /**
   * Hand-over requests already published (uid -> annotation value); bridges the delay until the status update is seen.
   */
  readonly #asked = new Map<string, string>();
  #roundAtMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #again = false;
  #stopped = false;
  /** Number of rounds since the start, and when the last one ended well. */
  rounds = 0;
  lastRoundMs = -Infinity;

  constructor(settings: ReconcilerSettings, deps: ReconcilerDeps) {
    this.#settings = settings;
    this.#deps = deps;
    const { kube, log, nowMs, nowEpochMs, leases } = deps;
    this.#writer = new KubeWriter({ kube, log, mayWrite: () => deps.leading() && !this.#stopped });
    this.#events = new EventWriter({ writer: this.#writer, identity: settings.identity, nowMs, nowEpochMs });
    this.#podReconciler = new PodReconciler(settings, {
      writer: this.#writer,
      events: this.#events,
      leases,
      nowEpochMs,
    });
    const host = {
      changed: () => {
        this.#soon();
      },
      trouble: (error: unknown) => {
        deps.log.warn({ err: error }, 'the API server cannot be watched; trying again');
      },
    };
    const make = (api: string, plural: string, selector?: string): Reflector[] =>
      scopes(settings.namespaces).map(
        (scope) =>
          new Reflector(
            deps.kube,
            { path: `${api}${scope}/${plural}`, ...(selector === undefined ? {} : { selector }) },
            host,
            deps,
          ),
      );
    this.#clients = make(`/apis/${GROUP}/${VERSION}`, 'streamclients');
    this.#streams = make(`/apis/${GROUP}/${VERSION}`, 'eventstreams');
    this.#pods = make('/api/v1', 'pods', LABELS.client);
  }

  start(): void {
    for (const reflector of this.#all()) void reflector.run();
    this.#timer = setInterval(() => {
      this.#soon();
    }, this.#settings.everyMs);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const reflector of this.#all()) reflector.stop();
  }

  get ready(): boolean {
    return this.#all().every((reflector) => reflector.listed);
  }

  #all(): readonly Reflector[] {
    return [...this.#clients, ...this.#streams, ...this.#pods];
  }

  /** Runs one round at a time; a change during it leads to another one. */
  #soon(): void {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    this.#again = false;
    const restMs = Math.max(0, this.#roundAtMs + ROUND_REST_MS - this.#deps.nowMs());
    new Promise((resolve) => setTimeout(resolve, restMs))
      .then(() => {
        this.#again = false;
        this.#roundAtMs = this.#deps.nowMs();
        return this.#round();
      })
      .catch((error: unknown) => {
        this.#deps.log.warn({ err: error }, 'a round was cut short');
      })
      .finally(() => {
        this.#busy = false;
        if (this.#again && !this.#stopped) this.#soon();
      })
      .catch((error: unknown) => {
        this.#deps.log.warn({ err: error }, 'the next round could not begin');
      });
  }

  async #round(): Promise<void> {
    if (!this.ready || !this.#deps.leading() || this.#stopped) return;
    const clients = objects(this.#clients) as readonly ClientObject[];
    const streams = objects(this.#streams) as readonly StreamObject[];
    const pods = objects(this.#pods) as unknown as readonly Pod[];
    const known = new Map<string, Facts | 'skipped'>();
    await inParallel(clients, WIDTH, async (client) => {
      const { namespace, name } = client.metadata;
      const reported = await this.#read(client);
      if (reported === undefined) return void known.set(`${namespace}/${name}`, 'skipped');
      const own = pods.filter(
        (pod) => pod.metadata.namespace === namespace && pod.metadata.labels?.[LABELS.client] === name,
      );
      const facts: Facts = {
        client,
        streams: streams.filter((one) => one.metadata.namespace === namespace && one.spec.clientRef.name === name),
        pods: own.map(factsOf),
        sidecars: reported === 'unread' ? [] : ownOnly(reported.map(sidecarOf), own),
        unread: reported === 'unread',
        installation: this.#settings.installation,
        nowEpochMs: this.#deps.nowEpochMs(),
      };
      known.set(`${namespace}/${name}`, facts);
      await this.#tend(facts, own);
    });
    await inParallel(streams, WIDTH, async (stream) => {
      const facts = known.get(`${stream.metadata.namespace}/${stream.spec.clientRef.name}`);
      // The reports could not be read just now: that proves nothing about the stream.
      if (facts !== 'skipped')
        await this.#status(stream, 'eventstreams', eventStreamStatus(stream, facts, this.#deps.nowEpochMs()));
    });
    this.#forget(new Set([...clients, ...streams, ...pods].map((one) => one.metadata.uid ?? '')));
    this.rounds += 1;
    this.lastRoundMs = this.#deps.nowMs();
  }

  /** Forgets objects that are gone. */
  #forget(there: ReadonlySet<string>): void {
    for (const kept of [this.#figuresAtMs, this.#readAtMs, this.#asked])
      for (const uid of kept.keys()) if (!there.has(uid)) kept.delete(uid);
    this.#events.forget(there);
  }

  /**
   * Returns the reports of a client's sidecars; 'unread': they could not be read for some time; undefined: reading just
   * failed, and the last result stands.
   */
  async #read({ metadata }: ClientObject): Promise<readonly Report[] | 'unread' | undefined> {
    const { namespace, name, uid } = metadata;
    try {
      const reports = await this.#deps.reports.read({ namespace, name });
      this.#readAtMs.set(uid, this.#deps.nowMs());
      return reports;
    } catch (error) {
      this.#deps.log.debug({ err: error, client: name }, 'the reports cannot be read');
      const since = this.#readAtMs.get(uid) ?? this.#deps.nowMs();
      this.#readAtMs.set(uid, since);
      return this.#deps.nowMs() - since > REPORT_FRESH_MS ? 'unread' : undefined;
    }
  }

  /**
   * Tends one client: its status, its pods, its Events, orders to its leader. A failure of one step is logged and
   * leaves the others.
   */
  async #tend(facts: Facts, pods: readonly Pod[]): Promise<void> {
    const { client, sidecars } = facts;
    const handled = await this.#handOver(facts).catch((error: unknown): string | undefined => {
      this.#deps.log.warn(
        { err: error, client: client.metadata.name },
        'the hand-over could not be passed on; trying again',
      );
      return undefined;
    });
    const status = clientStatus(facts);
    await this.#status(
      client,
      'streamclients',
      handled === undefined ? status : { ...status, handledHandOver: handled },
    );
    for (const pod of pods) await this.#podReconciler.reconcile(pod, facts);
    const uids = uidsOf(facts);
    for (const event of sidecars.flatMap((sidecar) => eventsOf(client.metadata.name, sidecar))) {
      const uid = uids.get(`${event.kind}/${event.object}`);
      if (uid !== undefined) await this.#events.write(client.metadata.namespace, uid, event);
    }
  }

  async #status(
    object: ClientObject | StreamObject,
    plural: string,
    status: ClientStatus | StreamStatus,
  ): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    const news = !sameNews(object.status, status);
    const figures =
      JSON.stringify(object.status) !== JSON.stringify(status) &&
      this.#deps.nowMs() - (this.#figuresAtMs.get(uid) ?? -Infinity) >= this.#settings.figuresEveryMs;
    if (!news && !figures) return;
    this.#figuresAtMs.set(uid, this.#deps.nowMs());
    // A merge patch leaves fields that it does not name: those that are gone must be named.
    const gone = Object.fromEntries(
      Object.keys(object.status ?? {})
        .filter((field) => !(field in status))
        .map((field) => [field, null]),
    );
    const path = `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/${plural}/${name}/status`;
    await this.#writer.patch(`${plural}/${name}`, path, {
      metadata: { resourceVersion: object.metadata.resourceVersion },
      status: { ...gone, ...status },
    });
  }

  /** Asks the leader to hand over when the annotation has changed. @returns the value that was dealt with. */
  async #handOver({ client, sidecars }: Facts): Promise<string | undefined> {
    const asked = client.metadata.annotations?.[ANNOTATIONS.handOver];
    const leader = leaderOf(sidecars);
    if (asked === undefined || asked === client.status?.handledHandOver || !this.#deps.leading()) return undefined;
    if (this.#asked.get(client.metadata.uid) === asked || !(this.#deps.nowEpochMs() - Date.parse(asked) < OLD_MS))
      return asked;
    if (leader?.client === undefined) return undefined;
    this.#asked.set(client.metadata.uid, asked);
    await this.#deps.leases.publish({ kind: 'hand-over', lease: leader.client.lease, epoch: leader.client.epoch });
    this.#deps.log.info(
      { client: client.metadata.name, namespace: client.metadata.namespace, leader: leader.pod },
      'asked the leader to hand over',
    );
    return asked;
  }
}

function scopes(namespaces: readonly string[]): readonly string[] {
  return namespaces.length === 0 ? [''] : namespaces.map((one) => `/namespaces/${one}`);
}

function objects(reflectors: readonly Reflector[]): readonly unknown[] {
  return reflectors.flatMap((reflector) => [...reflector.objects.values()]);
}

function factsOf(pod: Pod): PodFacts {
  return {
    name: pod.metadata.name,
    uid: pod.metadata.uid ?? '',
    attached: attached(pod),
    ended: isGoing(pod),
  };
}

function uidsOf({ client, streams }: Facts): ReadonlyMap<string, string> {
  return new Map([
    [`StreamClient/${client.metadata.name}`, client.metadata.uid],
    ...streams.map((stream) => [`EventStream/${stream.metadata.name}`, stream.metadata.uid] as const),
  ]);
}

/** Returns the reports of pods that the cluster knows: any client that may write to the store may write reports. */
function ownOnly(sidecars: readonly SidecarReport[], pods: readonly Pod[]): readonly SidecarReport[] {
  const known = new Set(pods.map((pod) => `${pod.metadata.name}/${pod.metadata.uid ?? ''}`));
  return sidecars.filter((one) => known.has(`${one.pod}/${one.uid}`));
}

async function inParallel<T>(all: readonly T[], width: number, work: (one: T) => Promise<void>): Promise<void> {
  const queue = [...all];
  await Promise.all(
    Array.from({ length: Math.min(width, queue.length) }, async () => {
      for (let one = queue.shift(); one !== undefined; one = queue.shift()) await work(one);
    }),
  );
}
