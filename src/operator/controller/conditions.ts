import { PRIVATE_ADDRESS_REMEDY } from '../../config/private-addresses.ts';
import type { Installation } from '../../config/installation.ts';
import { NEARLY_FULL } from '../../coordination/redis/redis-store.ts';
import { percent } from '../../core/events/continuity.ts';
import { compileDocuments } from '../attach/compile-documents.ts';
import type { SidecarReport, StreamReport } from './sidecar-report.ts';
import type {
  ClientObject,
  ClientState,
  ClientStatus,
  Condition,
  StreamObject,
  StreamStatus,
} from '../api/resources.ts';

/** A report older than this is of a sidecar that may be gone: three reports were missed. */
export const FRESH_MS = 5000;
/** A pod that asks for this client's sidecar. */
export interface PodFacts {
  readonly name: string;
  readonly uid: string;
  readonly attached: boolean;
  readonly ended: boolean;
}

export interface Facts {
  readonly client: ClientObject;
  readonly streams: readonly StreamObject[];
  readonly pods: readonly PodFacts[];
  readonly sidecars: readonly SidecarReport[];
  /** The reports cannot be read for some time. */
  readonly unread: boolean;
  /** By which the sidecars check their documents. */
  readonly installation: Installation;
  /** Wall clock, for the times that are written. */
  readonly nowEpochMs: number;
}

type Finding = Pick<Condition, 'status' | 'reason' | 'message'>;
const yes = (reason: string, message: string): Finding => ({ status: 'True', reason, message });
const no = (reason: string, message: string): Finding => ({ status: 'False', reason, message });
const unknown = (reason: string, message: string): Finding => ({ status: 'Unknown', reason, message });

/** Of the replicas that were heard of lately the one that leads with the newest epoch; undefined: nobody does. */
export function leaderOf(sidecars: readonly SidecarReport[]): SidecarReport | undefined {
  return sidecars
    .filter(({ client, ageMs }) => client?.role === 'leader' && ageMs <= FRESH_MS)
    .sort((a, b) => (b.client?.epoch ?? 0) - (a.client?.epoch ?? 0))[0];
}

/**
 * What the label `holdfast.dev/role` of the pod `uid` is to say; undefined: what it says now, or nothing. While nobody
 * leads, silence says nothing: the
 * store may be away.
 */
export function roleShown(
  uid: string,
  before: string | undefined,
  sidecars: readonly SidecarReport[],
): 'leader' | 'standby' | 'gone' | undefined {
  const own = sidecars.find((one) => one.uid === uid && one.ageMs <= FRESH_MS);
  const said = own?.client?.role;
  if (said === 'leader' || said === 'standby') return said;
  if (leaderOf(sidecars) === undefined || said !== undefined) return undefined;
  // It waits for its configuration, or it stopped reporting; one that has not begun yet was never shown as anything.
  if (own !== undefined) return 'standby';
  return before === undefined ? undefined : 'gone';
}

/** What the status of a StreamClient is to say. Pure; lastTransitionTime moves only when a condition's status does. */
export function clientStatus(facts: Facts): ClientStatus {
  const { client, pods, sidecars, nowEpochMs } = facts;
  const leader = leaderOf(sidecars);
  const live = sidecars.filter((one) => one.ageMs <= FRESH_MS);
  const asking = pods.filter((pod) => !pod.ended);
  const findings: Record<string, Finding> = {
    Accepted: accepted(facts),
    LeaderElected: elected(facts, leader),
    Authenticated: authenticated(live, leader),
    CircuitClosed: circuit(leader),
    StoreAvailable: storeOf(facts, leader),
  };
  const missing = asking.filter((pod) => !pod.attached);
  const first = Object.entries(findings).find(([, finding]) => finding.status !== 'True');
  const suspended = client.spec.suspend;
  const closing = leader?.streams.some((stream) => CONNECTED.has(stream.state)) === true;
  const compiled = compileDocuments(client, facts.streams, facts.installation);
  const pending =
    leader !== undefined &&
    leader.configHash !== '' &&
    'revision' in compiled &&
    leader.configHash !== compiled.revision;
  const ready =
    suspended && !pending && !closing
      ? no('Suspended', 'spec.suspend is true: no stream is held')
      : first === undefined && pending
        ? no(
            'ConfigurationPending',
            `${leader.pod} still runs an older configuration; the sidecars begin anew one after another`,
          )
        : suspended
          ? no('Suspending', 'spec.suspend is true: the streams are being closed')
          : first === undefined
            ? missing.length === 0
              ? yes('Leading', `${leader?.pod ?? ''} holds the streams`)
              : yes(
                  'SidecarMissing',
                  `${missing.map((pod) => pod.name).join(', ')}: asks for the sidecar and has none; restart ` +
                    'it (kubectl rollout restart)',
                )
            : { ...first[1], status: 'False' as const };
  const before = client.status;
  const since =
    before?.leader !== undefined &&
    before.leader.epoch === leader?.client?.epoch &&
    before.leader.podName === leader.pod
      ? before.leader.since
      : new Date(nowEpochMs).toISOString();
  const token = leader?.client?.token;
  return {
    observedGeneration: client.metadata.generation,
    state: stateOf(findings, { suspended: suspended && !closing, pods: asking.length + live.length }),
    podsSummary: `${String(live.length)}/${String(Math.max(asking.length, live.length))}`,
    ...(leader?.client === undefined ? {} : { leader: { podName: leader.pod, epoch: leader.client.epoch, since } }),
    ...(token === undefined
      ? {}
      : {
          token: {
            state: token.failure === undefined ? token.state : 'failed',
            ...(token.remainingMs === undefined
              ? {}
              : { expiresAt: minute(nowEpochMs + token.remainingMs - (leader?.ageMs ?? 0), before?.token?.expiresAt) }),
          },
        }),
    ...(before?.handledHandOver === undefined ? {} : { handledHandOver: before.handledHandOver }),
    conditions: conditionsOf(
      { Ready: ready, ...findings, ...storeRoom(live) },
      before?.conditions ?? [],
      client.metadata.generation,
      nowEpochMs,
    ),
  };
}

/**
 * The end of a token is a little different with each report: a minute is as exact as anybody needs, and what was
 * written stays while it is near enough.
 */
function minute(epochMs: number, before: string | undefined): string {
  if (before !== undefined && Math.abs(Date.parse(before) - epochMs) < 60_000) return before;
  return new Date(Math.round(epochMs / 60_000) * 60_000).toISOString().replace('.000Z', 'Z');
}

function stateOf(
  findings: Readonly<Record<string, Finding>>,
  { suspended, pods }: { readonly suspended: boolean; readonly pods: number },
): ClientState {
  if (findings['Accepted']?.status === 'False') return 'Invalid';
  if (suspended) return 'Suspended';
  if (pods === 0) return 'NoPods';
  if (findings['LeaderElected']?.status !== 'True') return 'Electing';
  return Object.values(findings).every((one) => one.status === 'True') ? 'Active' : 'Degraded';
}

/** The same check that the sidecar makes of its documents: all of them together. */
function accepted({ client, streams, installation }: Facts): Finding {
  const compiled = compileDocuments(client, streams, installation);
  if ('problem' in compiled) return no('Invalid', compiled.problem);
  return streams.length === 0
    ? yes('NoStreams', 'no EventStream refers to this client yet')
    : yes('Valid', `${String(streams.length)} EventStreams`);
}

function elected({ pods, sidecars, unread }: Facts, leader: SidecarReport | undefined): Finding {
  if (unread) return unknown('StoreUnavailable', 'the controller cannot read from Redis what the sidecars report');
  if (leader !== undefined)
    return leader.client?.open === true
      ? yes('Leading', `${leader.pod} leads with epoch ${String(leader.client.epoch)}`)
      : no(
          'LeaseNotOpen',
          `${leader.pod} leads but cannot renew its lease: ${leader.storeTrouble ?? 'the store does not answer'}`,
        );
  const live = sidecars.filter((one) => one.ageMs <= FRESH_MS);
  const waiting = live.flatMap((one) => one.problems)[0];
  if (waiting !== undefined)
    return no(
      waiting.code === 'HF_CONFIG_SECRET' ? 'CredentialsMissing' : 'WaitingForConfiguration',
      `${waiting.field} ${waiting.rule}: ${waiting.remedy}`,
    );
  const trouble = live.find((one) => one.storeTrouble !== undefined)?.storeTrouble;
  if (trouble !== undefined) return no('StoreUnavailable', `the sidecars cannot use Redis (${trouble})`);
  if (live.length > 0) return no('Electing', 'sidecars report, none of them leads yet');
  const asking = pods.filter((pod) => !pod.ended);
  if (asking.length === 0)
    return no('NoPods', `no pod asks for this client: put the label holdfast.dev/client on a pod template`);
  if (asking.every((pod) => !pod.attached))
    return no(
      'SidecarMissing',
      `${asking.map((pod) => pod.name).join(', ')}: the pod has no sidecar; restart it (kubectl rollout restart)`,
    );
  return no(
    'SidecarSilent',
    'no sidecar reported for some seconds: is it running, does it reach the same Redis as the controller, ' +
      'and is that Redis full?',
  );
}

function authenticated(live: readonly SidecarReport[], leader: SidecarReport | undefined): Finding {
  const missing = live.flatMap((one) => one.problems).find((one) => one.code === 'HF_CONFIG_SECRET');
  if (leader?.client === undefined)
    return missing === undefined
      ? unknown('NoLeader', 'nobody leads, so nobody asks for a token')
      : no('CredentialsMissing', `${missing.field} ${missing.rule}: ${missing.remedy}`);
  const { token, credentials, unfit } = leader.client;
  const others =
    unfit?.why === 'credentials'
      ? `; no other replica was found whose credentials work (${String(unfit.asked)} asked)`
      : '';
  if (token.failure !== undefined)
    return no(
      camel(token.failure),
      `the token request fails (${token.failure}); credentials: ${credentials}${others}${remedyOf(token.failure)}`,
    );
  if (credentials !== 'ok' && credentials !== '') return no('CredentialsUnusable', credentials);
  return token.state === 'absent'
    ? unknown('NoToken', 'no token was asked for yet')
    : yes('TokenValid', 'the access token is valid');
}

/**
 * A condition of its own that takes nothing from Ready: a full Redis refuses dead letters and reports, the streams go
 * on. Only where there is a limit.
 */
function storeRoom(live: readonly SidecarReport[]): Readonly<Record<string, Finding>> {
  const fills = live.flatMap(({ storeFill }) => (storeFill === undefined ? [] : [storeFill]));
  if (fills.length === 0) return {};
  const percent = String(NEARLY_FULL * 100);
  return {
    StoreHasRoom:
      Math.max(...fills) < NEARLY_FULL
        ? yes('Enough', `Redis uses less than ${percent} % of maxmemory`)
        : no(
            'StoreNearlyFull',
            `Redis uses ${percent} % of maxmemory or more: when it is full, dead letters and reports are ` +
              'refused; raise maxmemory or remove what else is in there',
          ),
  };
}

/** What a person must change; empty: nothing, or it is said elsewhere. */
function remedyOf(why: string): string {
  return why === 'private_address' || why === 'consumer_address_refused'
    ? `; the host resolves to a private address: ${PRIVATE_ADDRESS_REMEDY}`
    : '';
}

function circuit(leader: SidecarReport | undefined): Finding {
  if (leader?.client === undefined) return unknown('NoLeader', 'nobody leads, so nobody dials');
  const { breaker, breakerOpenForMs } = leader.client;
  if (breaker === 'closed') return yes('Closed', 'connections are attempted');
  return no(
    breaker === 'open' ? 'Open' : 'HalfOpen',
    'too many attempts failed; the next one is made in ' +
      `${String(Math.ceil((breakerOpenForMs ?? 0) / 60_000))} min at most`,
  );
}

/** What the store says to whoever leads; without a leader, to whoever reports. */
function storeOf({ unread, sidecars }: Facts, leader: SidecarReport | undefined): Finding {
  if (unread) return unknown('StoreUnavailable', 'the controller cannot read from Redis what the sidecars report');
  const asked = leader === undefined ? sidecars.filter((one) => one.ageMs <= FRESH_MS) : [leader];
  const trouble = asked.find((one) => one.storeTrouble !== undefined)?.storeTrouble;
  if (trouble !== undefined) return no('StoreUnavailable', `the store does not do what it is asked: ${trouble}`);
  if (asked.length === 0) return unknown('NoReport', 'no sidecar reports');
  const warning = asked.flatMap((one) => one.storeWarnings)[0];
  return warning === undefined
    ? yes('Stored', 'checkpoints and leases are stored')
    : yes('StoreUnsafe', `checkpoints and leases are stored, but: ${warning}`);
}

const STATES: Readonly<Record<string, string>> = {
  LIVE: 'Streaming',
  OPEN: 'Open',
  DEGRADED: 'Degraded',
  CONNECTING: 'Connecting',
  BACKOFF: 'Backoff',
  WAITING: 'Waiting',
  PARKED: 'Parked',
  HALTED: 'Halted',
  STOPPED: 'Stopped',
  IDLE: 'Idle',
};
const CONNECTED: ReadonlySet<string> = new Set(['LIVE', 'OPEN', 'DEGRADED']);

/** What the status of one EventStream is to say. */
export function streamStatus(stream: StreamObject, facts: Facts | undefined, nowEpochMs: number): StreamStatus {
  const { generation } = stream.metadata;
  const before = stream.status?.conditions ?? [];
  const bare = (state: string, ready: Finding): StreamStatus => ({
    observedGeneration: generation,
    state,
    conditions: conditionsOf({ Ready: ready, Connected: ready }, before, generation, nowEpochMs),
  });
  if (facts === undefined)
    return bare(
      'NoClient',
      no('ClientMissing', `StreamClient ${stream.spec.clientRef.name} does not exist in this namespace`),
    );
  if (facts.unread)
    return {
      ...(stream.status ?? bare('Unknown', unknown('StoreUnavailable', ''))),
      ...bare('Unknown', unknown('StoreUnavailable', 'the controller cannot read from Redis what the sidecars report')),
    };
  const leader = leaderOf(facts.sidecars);
  const open = leader?.streams.some((one) => one.name === stream.metadata.name && CONNECTED.has(one.state)) === true;
  if ((stream.spec.suspend || facts.client.spec.suspend) && !open)
    return bare(
      'Suspended',
      no('Suspended', stream.spec.suspend ? 'spec.suspend is true' : 'the StreamClient is suspended'),
    );
  if (leader === undefined)
    return bare(
      'NoLeader',
      no(
        'NoLeader',
        `nobody leads StreamClient ${facts.client.metadata.name}: kubectl describe streamclient ` +
          `${facts.client.metadata.name} says why`,
      ),
    );
  const report = leader.streams.find((one) => one.name === stream.metadata.name);
  if (report === undefined)
    return bare(
      'Pending',
      no('ConfigurationPending', `${leader.pod} does not know this stream yet: its configuration is on the way`),
    );
  return ofReport(stream, report, nowEpochMs);
}

function ofReport(stream: StreamObject, report: StreamReport, nowEpochMs: number): StreamStatus {
  const connected = CONNECTED.has(report.state);
  const why = report.reason ?? report.hold ?? report.state.toLowerCase();
  const Connected = connected
    ? yes('Connected', 'the connection is open')
    : no(camel(why), `not connected: ${why}${report.retryInMs === undefined ? '' : ', trying again'}${remedyOf(why)}`);
  const Delivering = delivering(report);
  const findings: Record<string, Finding> = {
    Ready: connected ? readyOf(report, Delivering) : Connected,
    Connected,
    Delivering,
    Subscribed: connected ? yes('Subscribed', 'the subscription is in force') : no('NotConnected', 'not connected'),
    Resumable:
      report.class === 'C'
        ? no('NoReplay', 'this endpoint cannot replay: what is sent while nobody is connected is announced as a gap')
        : yes(report.class === 'A' ? 'BySequence' : 'ByPosition', 'goes on where it was after a break'),
    Continuous:
      report.gaps === 0
        ? yes('NoGaps', 'nothing is missing since this leader began')
        : no('ResumeGap', `${String(report.gaps)} gaps were announced${gapText(report.lastGap)}`),
  };
  return {
    observedGeneration: stream.metadata.generation,
    state: STATES[report.state] ?? 'Unknown',
    streamClass: report.class,
    ...(connected ? {} : { reason: why }),
    ...(report.lastEventAt === undefined ? {} : { lastEventTime: report.lastEventAt.replace(/\.\d+Z$/, 'Z') }),
    reconnects: report.reconnects,
    ...(report.position === undefined ? {} : { checkpoint: { position: report.position } }),
    continuity: { ratio: percent(report.continuityRate, 3), gaps: report.gaps },
    delivery: { backlog: report.backlog, pendingAcks: report.inFlight, deadLetters: report.deadLettered },
    conditions: conditionsOf(findings, stream.status?.conditions ?? [], stream.metadata.generation, nowEpochMs),
  };
}

/** Whether what was received goes on to the consumer. No figures: the message would be news with each report. */
function delivering({ hold, noProgressMs }: StreamReport): Finding {
  if (hold === 'consumer_absent')
    return no(
      'ConsumerAbsent',
      'events wait and no consumer is connected: the application has to connect and to acknowledge',
    );
  if (hold !== undefined) return no(camel(hold), `events wait for the consumer: ${hold}${remedyOf(hold)}`);
  if (noProgressMs !== undefined)
    return no(
      'NoProgress',
      'events wait, nothing holds them, and nothing was settled for minutes: let another pod lead (kubectl ' +
        'holdfast handover) and report this',
    );
  return yes('Delivering', 'nothing keeps events from the consumer');
}

/** A consumer that has yet to connect leaves a stream ready: it is the application's turn. */
function readyOf({ hold }: StreamReport, deliver: Finding): Finding {
  return deliver.status === 'True' || hold === 'consumer_absent' ? yes('Streaming', 'events are received') : deliver;
}

function gapText(gap: Readonly<Record<string, unknown>> | undefined): string {
  if (gap === undefined) return '';
  const part = (name: string): string =>
    typeof gap[name] === 'string' || typeof gap[name] === 'number' ? String(gap[name]) : '?';
  return `; the last one from ${part('from')} to ${part('to')} (${part('cause')})`;
}

/** closed_vocabulary to ClosedVocabulary, as reasons of conditions are written. */
export function camel(word: string): string {
  return (
    word
      .split(/[^A-Za-z0-9]+/)
      .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
      .join('') || 'Unknown'
  );
}

function conditionsOf(
  findings: Readonly<Record<string, Finding>>,
  before: readonly Condition[],
  generation: number,
  nowEpochMs: number,
): readonly Condition[] {
  return Object.entries(findings).map(([type, finding]) => {
    const old = before.find((one) => one.type === type);
    return {
      type,
      ...finding,
      observedGeneration: generation,
      lastTransitionTime:
        old?.status === finding.status
          ? old.lastTransitionTime
          : new Date(nowEpochMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    };
  });
}

/** Does it say something new? Figures that move all the time do not count: they are written at most every 30 s. */
export function sameNews(a: unknown, b: unknown): boolean {
  return JSON.stringify(news(a)) === JSON.stringify(news(b));
}

function news(status: unknown): unknown {
  if (typeof status !== 'object' || status === null) return undefined;
  const { lastEventTime: _1, checkpoint: _2, delivery: _3, ...rest } = status as Record<string, unknown>;
  const continuity = rest['continuity'] as { readonly gaps?: number } | undefined;
  return sorted({ ...rest, ...(continuity === undefined ? {} : { continuity: { gaps: continuity.gaps } }) });
}

/** The API server gives keys in another order than we write them. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, one]) => [name, sorted(one)]),
  );
}
