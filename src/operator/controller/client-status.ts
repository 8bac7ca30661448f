import { REPORT_FRESH_MS } from '../../config/limits.ts';
import { NEARLY_FULL_SHARE } from '../../coordination/redis/redis-store.ts';
import { compileDocuments } from '../attach/compile-documents.ts';
import type { ClientState, ClientStatus } from '../api/resources.ts';
import {
  camel,
  conditionsOf,
  firstReason,
  no,
  remedyOf,
  unknown,
  UNREAD,
  yes,
  type Facts,
  type Finding,
  type PodFacts,
  type Rule,
} from './first-reason.ts';
import { isConnected, leaderOf, type SidecarReport } from './sidecar-report.ts';

/** The facts of one client, in the views that its conditions need. */
interface ClientView extends Facts {
  /** Sidecars that reported lately. */
  readonly live: readonly SidecarReport[];
  readonly leader: SidecarReport | undefined;
  /** Pods that ask for the sidecar and have not ended. */
  readonly asking: readonly PodFacts[];
  /** The same check that the sidecar makes of its documents: all of them together. */
  readonly compiled: ReturnType<typeof compileDocuments>;
}

/** Returns the status of a StreamClient. Pure. */
export function clientStatus(facts: Facts): ClientStatus {
  const view = viewOf(facts);
  const { client, asking, live } = view;
  const findings: Record<string, Finding> = {
    Accepted: accepted(view),
    LeaderElected: elected(view),
    Authenticated: authenticated(view),
    CircuitClosed: circuit(view),
    StoreAvailable: storeOf(view),
  };
  const leader = leaderShown(view);
  const token = tokenShown(view);
  const handled = client.status?.handledHandOver;
  return {
    observedGeneration: client.metadata.generation,
    state: stateOf(findings, view),
    podsSummary: `${String(live.length)}/${String(Math.max(asking.length, live.length))}`,
    ...(leader === undefined ? {} : { leader }),
    ...(token === undefined ? {} : { token }),
    ...(handled === undefined ? {} : { handledHandOver: handled }),
    conditions: conditionsOf(
      { Ready: ready(view, findings), ...findings, ...storeRoom(view) },
      client.status?.conditions ?? [],
      client.metadata.generation,
      facts.nowEpochMs,
    ),
  };
}

function viewOf(facts: Facts): ClientView {
  return {
    ...facts,
    live: facts.sidecars.filter((one) => one.ageMs <= REPORT_FRESH_MS),
    leader: leaderOf(facts.sidecars),
    asking: facts.pods.filter((pod) => !pod.ended),
    compiled: compileDocuments(facts.client, facts.streams, facts.installation),
  };
}

interface ReadyView {
  readonly leader: SidecarReport | undefined;
  readonly suspended: boolean;
  /** True while the leader still holds streams. */
  readonly closing: boolean;
  /** The leader, while it runs other documents than the present ones. */
  readonly outdated: SidecarReport | undefined;
  /** The first of the other conditions that is not True. */
  readonly obstacle: Finding | undefined;
  /** Pods that ask for the sidecar and have none. */
  readonly missing: readonly PodFacts[];
}

/** Rules of the condition Ready: the first reason wins. */
const READY: readonly Rule<ReadyView>[] = [
  ({ suspended, outdated, closing }) =>
    suspended && outdated === undefined && !closing && no('Suspended', 'spec.suspend is true: no stream is held'),
  ({ obstacle, outdated }) =>
    obstacle === undefined &&
    outdated !== undefined &&
    no(
      'ConfigurationPending',
      `${outdated.pod} still runs an older configuration; the sidecars begin anew one after another`,
    ),
  ({ suspended }) => suspended && no('Suspending', 'spec.suspend is true: the streams are being closed'),
  ({ obstacle }) => obstacle !== undefined && { ...obstacle, status: 'False' },
  // Ready all the same: the streams are held.
  ({ missing }) =>
    missing.length > 0 &&
    yes(
      'SidecarMissing',
      `${namesOf(missing)}: asks for the sidecar and has none; restart it (kubectl rollout restart)`,
    ),
];

function ready(view: ClientView, findings: Readonly<Record<string, Finding>>): Finding {
  const { leader, client } = view;
  const look: ReadyView = {
    leader,
    suspended: client.spec.suspend,
    closing: holdsStreams(leader),
    outdated: runsOlderDocuments(view) ? leader : undefined,
    obstacle: Object.values(findings).find(({ status }) => status !== 'True'),
    missing: view.asking.filter((pod) => !pod.attached),
  };
  return firstReason(READY, look, yes('Leading', `${leader?.pod ?? ''} holds the streams`));
}

function holdsStreams(leader: SidecarReport | undefined): boolean {
  return leader?.streams.some(isConnected) === true;
}

/**
 * Returns whether the leader runs older documents. A leader that reports no hash yet, and documents that do not fit,
 * prove nothing.
 */
function runsOlderDocuments({ leader, compiled }: ClientView): boolean {
  return (
    leader !== undefined &&
    leader.configHash !== '' &&
    'revision' in compiled &&
    leader.configHash !== compiled.revision
  );
}

function leaderShown({ client, leader, nowEpochMs }: ClientView): ClientStatus['leader'] {
  if (leader?.client === undefined) return undefined;
  const { epoch } = leader.client;
  const before = client.status?.leader;
  const same = before?.epoch === epoch && before.podName === leader.pod;
  return { podName: leader.pod, epoch, since: same ? before.since : new Date(nowEpochMs).toISOString() };
}

function tokenShown({ client, leader, nowEpochMs }: ClientView): ClientStatus['token'] {
  if (leader?.client === undefined) return undefined;
  const { state, failure, remainingMs } = leader.client.token;
  const shown = { state: failure === undefined ? state : 'failed' };
  if (remainingMs === undefined) return shown;
  return { ...shown, expiresAt: minute(nowEpochMs + remainingMs - leader.ageMs, client.status?.token?.expiresAt) };
}

/**
 * Rounds the end of a token, which is a little different with each report, to the minute; what was written stays while
 * it is near enough.
 */
function minute(epochMs: number, before: string | undefined): string {
  if (before !== undefined && Math.abs(Date.parse(before) - epochMs) < 60_000) return before;
  return new Date(Math.round(epochMs / 60_000) * 60_000).toISOString().replace('.000Z', 'Z');
}

function stateOf(
  findings: Readonly<Record<string, Finding>>,
  { client, leader, asking, live }: ClientView,
): ClientState {
  if (findings['Accepted']?.status === 'False') return 'Invalid';
  if (client.spec.suspend && !holdsStreams(leader)) return 'Suspended';
  if (asking.length + live.length === 0) return 'NoPods';
  if (findings['LeaderElected']?.status !== 'True') return 'Electing';
  return Object.values(findings).every((one) => one.status === 'True') ? 'Active' : 'Degraded';
}

function accepted({ streams, compiled }: ClientView): Finding {
  if ('problem' in compiled) return no('Invalid', compiled.problem);
  return streams.length === 0
    ? yes('NoStreams', 'no EventStream refers to this client yet')
    : yes('Valid', `${String(streams.length)} EventStreams`);
}

interface ElectedView extends ClientView {
  /** Obstacle of the first sidecar that does not run yet. */
  readonly waiting: SidecarReport['problems'][number] | undefined;
  readonly trouble: string | undefined;
}

/** Rules of the condition LeaderElected: the first reason wins. */
const ELECTED: readonly Rule<ElectedView>[] = [
  ({ unread }) => unread && UNREAD,
  ({ leader }) => leader !== undefined && leads(leader),
  ({ waiting }) =>
    waiting !== undefined &&
    no(
      waiting.code === 'HF_CONFIG_SECRET' ? 'CredentialsMissing' : 'WaitingForConfiguration',
      `${waiting.field} ${waiting.rule}: ${waiting.remedy}`,
    ),
  ({ trouble }) => trouble !== undefined && no('StoreUnavailable', `the sidecars cannot use Redis (${trouble})`),
  ({ live }) => live.length > 0 && no('Electing', 'sidecars report, none of them leads yet'),
  ({ asking }) =>
    asking.length === 0 &&
    no('NoPods', 'no pod asks for this client: put the label holdfast.dev/client on a pod template'),
  ({ asking }) =>
    asking.every((pod) => !pod.attached) &&
    no('SidecarMissing', `${namesOf(asking)}: the pod has no sidecar; restart it (kubectl rollout restart)`),
];

function elected(view: ClientView): Finding {
  const { live } = view;
  return firstReason(
    ELECTED,
    { ...view, waiting: live.flatMap((one) => one.problems)[0], trouble: troubleOf(live) },
    no(
      'SidecarSilent',
      'no sidecar reported for some seconds: is it running, does it reach the same Redis as the controller, ' +
        'and is that Redis full?',
    ),
  );
}

function leads({ pod, client, storeTrouble }: SidecarReport): Finding {
  return client?.open === true
    ? yes('Leading', `${pod} leads with epoch ${String(client.epoch)}`)
    : no('LeaseNotOpen', `${pod} leads but cannot renew its lease: ${storeTrouble ?? 'the store does not answer'}`);
}

function troubleOf(sidecars: readonly SidecarReport[]): string | undefined {
  return sidecars.find((one) => one.storeTrouble !== undefined)?.storeTrouble;
}

function namesOf(pods: readonly PodFacts[]): string {
  return pods.map((pod) => pod.name).join(', ');
}

function authenticated({ live, leader }: ClientView): Finding {
  const missing = live.flatMap((one) => one.problems).find((one) => one.code === 'HF_CONFIG_SECRET');
  if (leader?.client === undefined)
    return missing === undefined
      ? unknown('NoLeader', 'no replica leads, so no token is asked for')
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

function circuit({ leader }: ClientView): Finding {
  if (leader?.client === undefined) return unknown('NoLeader', 'no replica leads, so no stream is connected');
  const { breaker, breakerOpenForMs } = leader.client;
  if (breaker === 'closed') return yes('Closed', 'connections are attempted');
  return no(
    breaker === 'open' ? 'Open' : 'HalfOpen',
    'too many attempts failed; the next one is made in ' +
      `${String(Math.ceil((breakerOpenForMs ?? 0) / 60_000))} min at most`,
  );
}

/** Returns the finding about the store: the leader's; without a leader, that of the sidecars that report. */
function storeOf({ unread, live, leader }: ClientView): Finding {
  if (unread) return UNREAD;
  const asked = leader === undefined ? live : [leader];
  const trouble = troubleOf(asked);
  if (trouble !== undefined) return no('StoreUnavailable', `the store does not do what it is asked: ${trouble}`);
  if (asked.length === 0) return unknown('NoReport', 'no sidecar reports');
  const warning = asked.flatMap((one) => one.storeWarnings)[0];
  return warning === undefined
    ? yes('Stored', 'checkpoints and leases are stored')
    : yes('StoreUnsafe', `checkpoints and leases are stored, but: ${warning}`);
}

/**
 * Returns a condition of its own that takes nothing from Ready: a full Redis refuses dead letters and reports, and the
 * streams go on. Only where there is a limit.
 */
function storeRoom({ live }: ClientView): Readonly<Record<string, Finding>> {
  const fills = live.flatMap(({ storeFill }) => (storeFill === undefined ? [] : [storeFill]));
  if (fills.length === 0) return {};
  const percent = String(NEARLY_FULL_SHARE * 100);
  return {
    StoreHasRoom:
      Math.max(...fills) < NEARLY_FULL_SHARE
        ? yes('Enough', `Redis uses less than ${percent} % of maxmemory`)
        : no(
            'StoreNearlyFull',
            `Redis uses ${percent} % of maxmemory or more: when it is full, dead letters and reports are ` +
              'refused; raise maxmemory or remove what else is in there',
          ),
  };
}
