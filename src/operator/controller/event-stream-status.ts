import { percent } from '../../core/events/continuity.ts';
import type { StreamObject, StreamStatus } from '../api/resources.ts';
import { camel, conditionsOf, no, remedyOf, UNREAD, yes, type Facts, type Finding } from './first-reason.ts';
import { isConnected, leaderOf, type StreamReport } from './sidecar-report.ts';

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
/** Returns the status of one EventStream. Pure. */
export function eventStreamStatus(stream: StreamObject, facts: Facts | undefined, nowEpochMs: number): StreamStatus {
  const bare = (state: string, ready: Finding): StreamStatus => ({
    observedGeneration: stream.metadata.generation,
    state,
    conditions: datedConditions(stream, { Ready: ready, Connected: ready }, nowEpochMs),
  });
  if (facts === undefined)
    return bare(
      'NoClient',
      no('ClientMissing', `StreamClient ${stream.spec.clientRef.name} does not exist in this namespace`),
    );
  // The last report stays; only the state shows that it is old.
  if (facts.unread) return { ...stream.status, ...bare('Unknown', UNREAD) };
  const leader = leaderOf(facts.sidecars);
  const reports = (leader?.streams ?? []).filter((one) => one.name === stream.metadata.name);
  const suspended = suspension(stream, facts);
  if (suspended !== undefined && !reports.some(isConnected)) return bare('Suspended', suspended);
  if (leader === undefined) return bare('NoLeader', noLeader(facts.client.metadata.name));
  const [report] = reports;
  if (report === undefined)
    return bare(
      'Pending',
      no('ConfigurationPending', `${leader.pod} does not know this stream yet: its configuration is on the way`),
    );
  return reportedStatus(stream, report, nowEpochMs);
}

function datedConditions(
  { metadata, status }: StreamObject,
  findings: Readonly<Record<string, Finding>>,
  nowEpochMs: number,
): StreamStatus['conditions'] {
  return conditionsOf(findings, status?.conditions ?? [], metadata.generation, nowEpochMs);
}

/** Returns the finding about the `suspend` that closes the stream; undefined: none does. */
function suspension(stream: StreamObject, { client }: Facts): Finding | undefined {
  if (stream.spec.suspend) return no('Suspended', 'spec.suspend is true');
  return client.spec.suspend ? no('Suspended', 'the StreamClient is suspended') : undefined;
}

function noLeader(client: string): Finding {
  return no('NoLeader', `nobody leads StreamClient ${client}: kubectl describe streamclient ${client} says why`);
}

function reportedStatus(stream: StreamObject, report: StreamReport, nowEpochMs: number): StreamStatus {
  return {
    observedGeneration: stream.metadata.generation,
    state: STATES[report.state] ?? 'Unknown',
    streamClass: report.class,
    ...(isConnected(report) ? {} : { reason: whyNotConnected(report) }),
    ...(report.lastEventAt === undefined ? {} : { lastEventTime: report.lastEventAt.replace(/\.\d+Z$/, 'Z') }),
    reconnects: report.reconnects,
    ...(report.position === undefined ? {} : { checkpoint: { position: report.position } }),
    continuity: { ratio: percent(report.continuityRate, 3), gaps: report.gaps },
    delivery: { backlog: report.backlog, pendingAcks: report.inFlight, deadLetters: report.deadLettered },
    conditions: datedConditions(stream, findingsOf(report), nowEpochMs),
  };
}

function findingsOf(report: StreamReport): Readonly<Record<string, Finding>> {
  const connected = isConnected(report);
  const Connected = connected ? yes('Connected', 'the connection is open') : notConnected(report);
  const Delivering = delivering(report);
  return {
    Ready: connected ? readyOf(report, Delivering) : Connected,
    Connected,
    Delivering,
    Subscribed: connected ? yes('Subscribed', 'the subscription is in force') : no('NotConnected', 'not connected'),
    Resumable: resumable(report),
    Continuous:
      report.gaps === 0
        ? yes('NoGaps', 'nothing is missing since this leader began')
        : no('ResumeGap', `${String(report.gaps)} gaps were announced${gapText(report.lastGap)}`),
  };
}

function whyNotConnected({ reason, hold, state }: StreamReport): string {
  return reason ?? hold ?? state.toLowerCase();
}

function notConnected(report: StreamReport): Finding {
  const why = whyNotConnected(report);
  const again = report.retryInMs === undefined ? '' : ', trying again';
  return no(camel(why), `not connected: ${why}${again}${remedyOf(why)}`);
}

function resumable(report: StreamReport): Finding {
  return report.class === 'C'
    ? no('NoReplay', 'this endpoint cannot replay: what is sent while no replica is connected is announced as a gap')
    : yes(report.class === 'A' ? 'BySequence' : 'ByPosition', 'goes on where it was after a break');
}

/**
 * Returns the finding whether received events go on to the consumer. No figures: the message would be news with each
 * report.
 */
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

/**
 * Returns the finding whether a stream is ready. A consumer that has yet to connect leaves it ready: it is the
 * application's turn.
 */
function readyOf({ hold }: StreamReport, deliver: Finding): Finding {
  return deliver.status === 'True' || hold === 'consumer_absent' ? yes('Streaming', 'events are received') : deliver;
}

function gapText(gap: Readonly<Record<string, unknown>> | undefined): string {
  if (gap === undefined) return '';
  const part = (name: string): string =>
    typeof gap[name] === 'string' || typeof gap[name] === 'number' ? String(gap[name]) : '?';
  return `; the last one from ${part('from')} to ${part('to')} (${part('cause')})`;
}
