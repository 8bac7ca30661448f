import { REPORT_FRESH_MS } from '../../config/limits.ts';
import type { Report } from '../../coordination/redis/report-store.ts';

/** At most so many entries of a list are looked at. */
const MAX_ENTRIES = 500;
/** Characters that a text of a report is cut to: it ends in a status or in an Event. */
const MAX_TEXT_CHARS = 500;

/** A report of one sidecar as far as it is used; other members are ignored. */
export interface SidecarReport {
  readonly pod: string;
  readonly uid: string;
  readonly version: string;
  readonly configHash: string;
  readonly ageMs: number;
  /** Obstacles of a sidecar that does not run yet. */
  readonly problems: readonly {
    readonly code: string;
    readonly field: string;
    readonly rule: string;
    readonly remedy: string;
  }[];
  readonly storeTrouble: string | undefined;
  readonly storeWarnings: readonly string[];
  /** Used memory of Redis as a share of maxmemory. */
  readonly storeFill: number | undefined;
  readonly client: ClientReport | undefined;
  readonly streams: readonly StreamReport[];
  readonly notices: readonly ReportNotice[];
}

interface ClientReport {
  readonly lease: string;
  readonly role: string;
  readonly open: boolean;
  readonly epoch: number;
  readonly token: {
    readonly state: string;
    readonly remainingMs: number | undefined;
    readonly failure: string | undefined;
  };
  readonly credentials: string;
  readonly breaker: string;
  readonly breakerOpenForMs: number | undefined;
  /** Set when it cannot do its work, and no other replica was found that can. */
  readonly unfit: { readonly why: string; readonly asked: number } | undefined;
}

export interface StreamReport {
  readonly name: string;
  readonly class: string;
  readonly state: string;
  readonly reason: string | undefined;
  readonly retryInMs: number | undefined;
  readonly lastEventAt: string | undefined;
  readonly position: string | undefined;
  readonly reconnects: number;
  readonly continuityRate: number;
  readonly gaps: number;
  readonly lastGap: Readonly<Record<string, unknown>> | undefined;
  readonly inFlight: number;
  readonly backlog: number;
  readonly hold: string | undefined;
  /** Time for which nothing was settled although nothing held delivery. */
  readonly noProgressMs: number | undefined;
  readonly deadLettered: number;
}

/** One audit record that is worth an Event. */
export interface ReportNotice {
  readonly event: string;
  readonly timestamp: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const CONNECTED: ReadonlySet<string> = new Set(['LIVE', 'OPEN', 'DEGRADED']);

/** Returns whether a stream has its connection. */
export function isConnected({ state }: StreamReport): boolean {
  return CONNECTED.has(state);
}

/** Returns the leader with the newest epoch among the replicas heard of lately; undefined: none of them leads. */
export function leaderOf(sidecars: readonly SidecarReport[]): SidecarReport | undefined {
  return sidecars
    .filter(({ client, ageMs }) => client?.role === 'leader' && ageMs <= REPORT_FRESH_MS)
    .sort((a, b) => (b.client?.epoch ?? 0) - (a.client?.epoch ?? 0))[0];
}

type Loose = Readonly<Record<string, unknown>>;

/** Reads a report; a hostile or broken one becomes an empty one, never an exception. */
export function sidecarOf({ replica, ageMs, content }: Report): SidecarReport {
  const it = loose(content);
  const store = loose(it['store']);
  return {
    pod: text(it['pod']) || (replica.split('/')[0] ?? ''),
    uid: text(it['uid']) || (replica.split('/')[1] ?? ''),
    version: text(it['version']),
    configHash: text(it['configHash']),
    ageMs,
    problems: list(it['problems']).map((one) => ({
      code: text(one['code']),
      field: text(one['field']),
      rule: text(one['rule']),
      remedy: text(one['remedy']),
    })),
    storeTrouble: textOr(store['trouble']),
    storeWarnings: Array.isArray(store['warnings']) ? store['warnings'].map(text) : [],
    storeFill: numberOr(store['fill']),
    client: it['client'] === undefined ? undefined : clientOf(loose(it['client'])),
    streams: list(it['streams']).map(streamOf),
    notices: list(it['notices']).map(({ event, timestamp, ...fields }) => ({
      event: text(event),
      timestamp: text(timestamp),
      fields,
    })),
  };
}

function clientOf(it: Loose): ClientReport {
  const token = loose(it['token']);
  const unfit = loose(it['unfit']);
  return {
    lease: text(it['lease']),
    role: text(it['role']),
    open: it['open'] === true,
    epoch: number(it['epoch']),
    token: {
      state: text(token['state']) || 'absent',
      remainingMs: numberOr(token['remainingMs']),
      failure: textOr(token['failure']),
    },
    credentials: text(it['credentials']),
    breaker: text(it['breaker']) || 'closed',
    breakerOpenForMs: numberOr(it['breakerOpenForMs']),
    unfit: it['unfit'] === undefined ? undefined : { why: text(unfit['why']), asked: number(unfit['asked']) },
  };
}

function streamOf(it: Loose): StreamReport {
  const continuity = loose(it['continuity']);
  const delivery = loose(it['delivery']);
  return {
    name: text(it['name']),
    class: text(it['class']),
    state: text(it['state']),
    reason: textOr(it['reason']),
    retryInMs: numberOr(it['retryInMs']),
    lastEventAt: textOr(it['lastEventAt']),
    position: textOr(it['position']),
    reconnects: number(loose(it['connection'])['reconnects']),
    continuityRate: numberOr(continuity['rate']) ?? 1,
    gaps: number(continuity['gaps']),
    lastGap: continuity['lastGap'] === undefined ? undefined : loose(continuity['lastGap']),
    inFlight: number(delivery['inFlight']),
    backlog: number(delivery['backlog']),
    hold: textOr(delivery['hold']),
    noProgressMs: numberOr(delivery['noProgressMs']),
    deadLettered: number(loose(it['events'])['deadLettered']),
  };
}

function loose(value: unknown): Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {};
}

function list(value: unknown): readonly Loose[] {
  return Array.isArray(value) ? value.slice(0, MAX_ENTRIES).map(loose) : [];
}

/** Removes control characters: the text ends on terminals and in Events. */
function clean(value: string): string {
  return value.slice(0, MAX_TEXT_CHARS).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

function text(value: unknown): string {
  return typeof value === 'string' ? clean(value) : '';
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? clean(value) : undefined;
}

function number(value: unknown): number {
  return numberOr(value) ?? 0;
}

function numberOr(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
