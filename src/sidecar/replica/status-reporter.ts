import { HOLDFAST_VERSION } from '../../config/version.ts';
import type { AuditEvent } from '../../telemetry/audit-log.ts';
import type { Environment } from '../runtime/environment.ts';

/** How often this replica says how it is. The controller promises a true status within 5 s. */
export const REPORT_EVERY_MS = 1500;
/** Audit records that somebody at kubectl wants to see as Events. */
const NOTABLE: ReadonlySet<AuditEvent> = new Set<AuditEvent>([
  'leader.changed',
  'lease.lost',
  'lease.handed_over',
  'lease.escape',
  'lease.kept',
  'connection.opened',
  'connection.dropped',
  'gap.detected',
  'token.rotated',
  'token.refresh_failed',
  'breaker.opened',
  'breaker.closed',
  'stream.halted',
  'stream.no_progress',
  'dead_letter.added',
  'fatal',
]);
/** Audit records in one report, the newest: the controller makes Events of them. */
const NOTICES = 20;

/** Returns the beginning of a report, the same in any state of the sidecar. */
export function reportHead(identity: Environment['identity'], configHash: string): Record<string, unknown> {
  return {
    v: 1,
    version: HOLDFAST_VERSION,
    namespace: identity.namespace,
    pod: identity.pod,
    uid: identity.uid,
    configHash,
  };
}

export interface Reporting {
  readonly clients: readonly string[];
  readonly configHash: string;
  /** Returns the data of GET /status. */
  readonly status: () => Readonly<Record<string, unknown>>;
}

/** Writes this replica's report for each client into the store, for the controller. Nothing depends on it. */
export class StatusReporter {
  readonly #deps: Environment;
  readonly #what: Reporting;
  readonly #timer: NodeJS.Timeout | undefined;
  #writing = false;
  #warned = false;

  constructor(deps: Environment, what: Reporting) {
    this.#deps = deps;
    this.#what = what;
    if (deps.reports === undefined) return;
    this.#timer = setInterval(() => {
      void this.#write();
    }, REPORT_EVERY_MS);
    this.#timer.unref();
  }

  /** Writes a last report, so that the controller need not wait for the old one to grow stale. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#write();
  }

  async #write(): Promise<void> {
    const { reports, identity, secrets, log } = this.#deps;
    if (reports === undefined || this.#writing) return;
    this.#writing = true;
    try {
      const status = this.#what.status();
      for (const name of this.#what.clients) {
        const text = JSON.stringify({
          ...reportHead(identity, this.#what.configHash),
          ...of(status, name),
          notices: this.#notices(name),
        });
        const written = await reports.write(
          { namespace: identity.namespace, name },
          `${identity.pod}/${identity.uid}`,
          secrets.scrub(text),
        );
        if (!written && !this.#warned)
          log.warn(
            { client: name, bytes: text.length },
            'the report is too large to be written; the controller does not see this sidecar',
          );
        if (!written) this.#warned = true;
      }
    } catch (error) {
      log.debug({ err: error }, 'the report could not be written');
    } finally {
      this.#writing = false;
    }
  }

  #notices(client: string): readonly unknown[] {
    return this.#deps.audit
      .recent()
      .filter((record) => record.clientId === client && NOTABLE.has(record.event))
      .slice(-NOTICES);
  }
}

function of(status: Readonly<Record<string, unknown>>, client: string): Record<string, unknown> {
  const { clients, streams, store, broken, startedAt, ready } = status as {
    readonly clients: readonly { readonly name: string }[];
    readonly streams: readonly StreamFacts[];
    readonly store: unknown;
    readonly broken: unknown;
    readonly startedAt: unknown;
    readonly ready: unknown;
  };
  return {
    startedAt,
    ready,
    store,
    broken,
    client: clients.find((one) => one.name === client),
    streams: streams.filter((one) => one.client === client).map(brief),
  };
}

interface StreamFacts {
  readonly client: string;
  readonly [field: string]: unknown;
}

/**
 * Returns the part of a stream's status that its EventStream shows: with 200 streams the whole would be too much to
 * write every second.
 */
function brief(stream: StreamFacts): Record<string, unknown> {
  const part = (name: string, fields: readonly string[]): Record<string, unknown> => {
    const whole = stream[name] as Readonly<Record<string, unknown>> | undefined;
    return Object.fromEntries(fields.map((field) => [field, whole?.[field]]));
  };
  const { name, class: streamClass, state, reason, retryInMs, lastEventAt, position } = stream;
  return {
    name,
    class: streamClass,
    state,
    reason,
    retryInMs,
    lastEventAt,
    position,
    connection: part('connection', ['reconnects']),
    events: part('events', ['deadLettered']),
    continuity: part('continuity', ['rate', 'gaps', 'lastGap']),
    delivery: part('delivery', ['inFlight', 'backlog', 'hold', 'noProgressMs']),
  };
}
