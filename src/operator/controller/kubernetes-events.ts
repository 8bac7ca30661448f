import { createHash } from 'node:crypto';
import type { ReportNotice, SidecarReport } from './sidecar-report.ts';

/** An Event (events.k8s.io/v1) about one of our objects. */
export interface EventFacts {
  /** The same for the same happening, whichever controller sees it: the API server refuses a second one. */
  readonly id: string;
  readonly kind: 'StreamClient' | 'EventStream' | 'Pod';
  readonly object: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
  readonly atEpochMs: number;
}

interface Meaning {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly about: 'client' | 'stream';
  readonly note: (fields: Readonly<Record<string, unknown>>, pod: string) => string;
}

const field = (fields: Readonly<Record<string, unknown>>, name: string): string => {
  const value = fields[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
};
const podOf = (id: string): string => id.split('/')[1] ?? id;

/** What becomes an Event, and how it reads. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  'leader.changed': {
    type: 'Normal',
    reason: 'LeaderElected',
    about: 'client',
    note: (fields) =>
      `${podOf(field(fields, 'to'))} leads with epoch ${field(fields, 'epoch')} ` +
      `(${field(fields, 'how')}${fields['from'] === '' ? '' : `, before it ${podOf(field(fields, 'from'))}`})`,
  },
  'lease.lost': {
    type: 'Warning',
    reason: 'LeaderLost',
    about: 'client',
    note: (fields, pod) => `${pod} no longer leads: ${field(fields, 'why')}`,
  },
  'lease.handed_over': {
    type: 'Normal',
    reason: 'LeaseHandedOver',
    about: 'client',
    note: (fields, pod) => `${pod} gave the lease to ${podOf(field(fields, 'to'))}`,
  },
  'lease.escape': {
    type: 'Warning',
    reason: 'LeaderUnfit',
    about: 'client',
    note: (fields, pod) => `${pod} cannot do its work (${field(fields, 'why')}) and looks for another leader`,
  },
  'lease.kept': {
    type: 'Warning',
    reason: 'NoBetterLeader',
    about: 'client',
    note: (fields, pod) =>
      `${pod} cannot do its work (${field(fields, 'why')}), and none of the ${field(fields, 'asked')} others ` +
      `asked can: it stays the leader and looks again in ${String(Math.round(Number(fields['retryInMs']) / 1000))} s`,
  },
  'connection.opened': {
    type: 'Normal',
    reason: 'Connected',
    about: 'stream',
    note: (fields, pod) => `${pod} is connected (${field(fields, 'purpose')})`,
  },
  'connection.dropped': {
    type: 'Warning',
    reason: 'Disconnected',
    about: 'stream',
    note: (fields, pod) => `the connection of ${pod} ended: ${field(fields, 'reason')}`,
  },
  'gap.detected': {
    type: 'Warning',
    reason: 'ResumeGap',
    about: 'stream',
    note: (fields) =>
      `events from ${field(fields, 'from')} to ${field(fields, 'to')} are missing ` +
      `(${field(fields, 'cause')}); announced to the consumer`,
  },
  'token.rotated': {
    type: 'Normal',
    reason: 'TokenRotated',
    about: 'client',
    note: (_, pod) => `${pod} uses a new access token`,
  },
  'token.refresh_failed': {
    type: 'Warning',
    reason: 'TokenRefreshFailed',
    about: 'client',
    note: (fields) => `the token request failed: ${field(fields, 'reason')}`,
  },
  'breaker.opened': {
    type: 'Warning',
    reason: 'CircuitOpened',
    about: 'client',
    note: (fields) =>
      `too many attempts failed: none is made for ${String(Math.round(Number(fields['forMs']) / 1000))} s`,
  },
  'breaker.closed': {
    type: 'Normal',
    reason: 'CircuitClosed',
    about: 'client',
    note: () => 'connections are attempted again',
  },
  'stream.halted': {
    type: 'Warning',
    reason: 'Halted',
    about: 'stream',
    note: (fields) => `the stream is not held until somebody intervenes: ${field(fields, 'reason')}`,
  },
  'stream.no_progress': {
    type: 'Warning',
    reason: 'NoProgress',
    about: 'stream',
    note: (fields, pod) =>
      `${pod}: events wait, nothing holds them and nothing was settled for ` +
      `${String(Math.round(Number(fields['noProgressMs']) / 60_000))} min`,
  },
  'dead_letter.added': {
    type: 'Warning',
    reason: 'DeadLetter',
    about: 'stream',
    note: (fields) => `an event was set aside: ${field(fields, 'reason')}; kubectl holdfast dlq shows it`,
  },
  fatal: { type: 'Warning', reason: 'Fatal', about: 'client', note: (fields) => field(fields, 'reason') },
};
/** Reasons of Events that are told once in QUIET_BUCKET_MS of one object; the audit log has each one. */
const QUIET: ReadonlySet<string> = new Set(['TokenRefreshFailed', 'DeadLetter', 'Disconnected', 'Connected']);
/** Time in which a reason that QUIET names is told once of one object. */
const QUIET_BUCKET_MS = 60_000;
/** Characters that the note of an Event is cut to; the API server allows 1024 bytes. */
const MAX_NOTE_CHARS = 1000;

/** Returns the Events for one sidecar's report. */
export function eventsOf(client: string, sidecar: SidecarReport): readonly EventFacts[] {
  return sidecar.notices.flatMap((notice) => {
    const meaning = MEANINGS[notice.event];
    const atEpochMs = Date.parse(notice.timestamp);
    // A planned change is reported by the old leader and by the new one.
    const planned =
      notice.event === 'lease.lost' && ['handed_over', 'released', 'stopped'].includes(String(notice.fields['why']));
    if (meaning === undefined || planned || !Number.isFinite(atEpochMs)) return [];
    return [{ ...facts(client, sidecar, notice, meaning), atEpochMs }];
  });
}

function facts(
  client: string,
  sidecar: SidecarReport,
  notice: ReportNotice,
  meaning: Meaning,
): Omit<EventFacts, 'atEpochMs'> {
  const stream = typeof notice.fields['stream'] === 'string' ? notice.fields['stream'] : undefined;
  const about =
    meaning.about === 'stream' && stream !== undefined
      ? ({ kind: 'EventStream', object: stream } as const)
      : ({ kind: 'StreamClient', object: client } as const);
  const note = meaning.note(notice.fields, sidecar.pod).slice(0, MAX_NOTE_CHARS);
  const when = QUIET.has(meaning.reason)
    ? String(Math.floor(Date.parse(notice.timestamp) / QUIET_BUCKET_MS))
    : `${notice.timestamp} ${note}`;
  return {
    id: idOf(sidecar.uid, meaning.reason, about.object, when),
    ...about,
    type: meaning.type,
    reason: meaning.reason,
    action: meaning.reason,
    note,
  };
}

/** Returns a short id of a happening, the same for the same parts. */
export function idOf(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}
