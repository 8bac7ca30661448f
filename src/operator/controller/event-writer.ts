import { RecentIds } from '../../core/events/recent-ids.ts';
import { microTime } from '../api/kube.ts';
import { GROUP, VERSION } from '../api/resources.ts';
import type { EventFacts } from './kubernetes-events.ts';
import type { KubeWriter } from './kube-writer.ts';

interface EventWriterDeps {
  readonly writer: KubeWriter;
  /** Name of the reporting controller in the Events. */
  readonly identity: string;
  readonly nowMs: () => number;
  readonly nowEpochMs: () => number;
}

/** Ids of Events that were written lately, so that they are not tried again and again. */
const MAX_REMEMBERED = 10_000;
/** Events of one object in a minute; the audit log has all. */
const MAX_EVENTS_A_MINUTE = 60;
/** A happening that is older is no news. */
const OLD_MS = 600_000;
/** Characters that the name of an Event is cut to; the API server allows 253. */
const MAX_NAME_CHARS = 250;
/** Characters that `reportingInstance` of an Event is cut to, as many as the API server allows. */
const MAX_INSTANCE_CHARS = 128;

/** Writes Events (events.k8s.io/v1): each once, no old ones, and of one object no more than a person reads. */
export class EventWriter {
  readonly #deps: EventWriterDeps;
  readonly #written = new RecentIds(MAX_REMEMBERED);
  /** Events of one object in the present minute, by its uid. */
  readonly #told = new Map<string, { readonly minute: number; readonly count: number }>();

  constructor(deps: EventWriterDeps) {
    this.#deps = deps;
  }

  /** @param uid of the object that the Event is about. */
  async write(namespace: string, uid: string, event: EventFacts): Promise<void> {
    const old = this.#deps.nowEpochMs() - event.atEpochMs > OLD_MS;
    if (old || this.#written.has(event.id) || !this.#countOne(uid)) return;
    const name = `${event.object}.${event.id}`.slice(0, MAX_NAME_CHARS);
    const done = await this.#deps.writer.create(
      `events/${name}`,
      `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
      {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name, namespace },
        regarding: {
          apiVersion: event.kind === 'Pod' ? 'v1' : `${GROUP}/${VERSION}`,
          kind: event.kind,
          name: event.object,
          namespace,
          uid,
        },
        reportingController: `${GROUP}/controller`,
        reportingInstance: this.#deps.identity.slice(0, MAX_INSTANCE_CHARS),
        eventTime: microTime(event.atEpochMs),
        type: event.type,
        reason: event.reason,
        action: event.action,
        note: event.note,
      },
    );
    if (done) this.#written.add(event.id);
  }

  /** @returns false when the object has had its Events of this minute. */
  #countOne(uid: string): boolean {
    const minute = Math.floor(this.#deps.nowMs() / 60_000);
    const told = this.#told.get(uid);
    const count = told?.minute === minute ? told.count + 1 : 1;
    if (count > MAX_EVENTS_A_MINUTE) return false;
    this.#told.set(uid, { minute, count });
    return true;
  }

  /** Drops the counts of objects that are gone. */
  forget(there: ReadonlySet<string>): void {
    for (const uid of this.#told.keys()) if (!there.has(uid)) this.#told.delete(uid);
  }
}
