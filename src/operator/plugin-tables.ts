/**
 * The Kubernetes side: api/ (access and resource definitions), attach/ (how a pod gets its sidecar), webhook/
 * (attaching on admission), controller/ (status); this file has the tables of the kubectl plugin. Nothing here stands
 * in an event's way: streams go on without any of it. It imports nothing of the sidecar; both meet in documents,
 * reports and notices.
 */

import { ANNOTATIONS, LABELS, type ClientObject, type StreamObject } from './api/resources.ts';

/** Tables of the kubectl plugin, from objects as kubectl gives them. Pure. */

export interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly initContainerStatuses?: readonly {
      readonly name: string;
      readonly ready: boolean;
      readonly restartCount: number;
    }[];
  };
}

export interface EventObject {
  readonly metadata: { readonly namespace: string };
  readonly reason?: string;
  readonly note?: string;
  readonly message?: string;
  readonly eventTime?: string;
  readonly lastTimestamp?: string;
  readonly regarding?: { readonly kind: string; readonly name: string };
  readonly involvedObject?: { readonly kind: string; readonly name: string };
}

type Row = readonly string[];

/** Returns the tables of clients, streams and pods. */
export function statusTables(
  clients: readonly ClientObject[],
  streams: readonly StreamObject[],
  pods: readonly PodObject[],
): readonly (readonly Row[])[] {
  return [
    [['NAMESPACE', 'CLIENT', 'LEADER', 'EPOCH', 'STATE', 'PODS', 'TOKEN-EXPIRES', 'READY'], ...clients.map(clientRow)],
    [
      ['NAMESPACE', 'STREAM', 'CLIENT', 'STATE', 'CONTINUITY', 'GAPS', 'PENDING', 'LAST-EVENT', 'READY'],
      ...streams.map(streamRow),
    ],
    [['NAMESPACE', 'POD', 'CLIENT', 'ROLE', 'VERSION', 'SIDECAR', 'RESTARTS'], ...pods.map(podRow)],
  ].filter((table) => table.length > 1);
}

function clientRow({ metadata, status }: ClientObject): Row {
  return [
    metadata.namespace,
    metadata.name,
    shown(status?.leader?.podName),
    shown(status?.leader?.epoch),
    shown(status?.state),
    shown(status?.podsSummary),
    shown(status?.token?.expiresAt),
    readiness(status),
  ];
}

function streamRow({ metadata, spec, status }: StreamObject): Row {
  return [
    metadata.namespace,
    metadata.name,
    spec.clientRef.name,
    shown(status?.state),
    shown(status?.continuity?.ratio),
    shown(status?.continuity?.gaps),
    shown(status?.delivery?.pendingAcks),
    shown(status?.lastEventTime),
    readiness(status),
  ];
}

function podRow({ metadata, status }: PodObject): Row {
  const labels = metadata.labels ?? {};
  const sidecar = status?.initContainerStatuses?.find((one) => one.name === 'holdfast');
  const sidecarState = sidecar?.ready === true ? 'ready' : 'not ready';
  return [
    metadata.namespace,
    metadata.name,
    shown(labels[LABELS.client]),
    shown(labels[LABELS.role]),
    labels[LABELS.injectedVersion] ?? 'MISSING',
    sidecar === undefined ? shown(status?.phase) : sidecarState,
    shown(sidecar?.restartCount),
  ];
}

/** Returns a cell of a table; what is not known is a dash. */
function shown(value: string | number | undefined): string {
  return String(value ?? '-');
}

function readiness(status: ClientObject['status'] | StreamObject['status']): string {
  const ready = status?.conditions.find((condition) => condition.type === 'Ready');
  if (ready === undefined) return 'Unknown';
  return ready.status === 'True' ? 'True' : `${ready.status} (${ready.reason})`;
}

/** Returns the objects' conditions that are not as they should be, a sentence each. */
export function troubles(objects: readonly (ClientObject | StreamObject)[]): readonly string[] {
  return objects.flatMap(({ kind, metadata, status }) =>
    (status?.conditions ?? [])
      .filter((one) => one.type !== 'Ready' && one.type !== 'Resumable' && one.status === 'False')
      .map(
        (one) =>
          `${kind} ${metadata.namespace}/${metadata.name}: ${one.type} is ${one.status} (${one.reason}): ` +
          one.message,
      ),
  );
}

/** Returns announced gaps: the counts of the streams, and each one that is still among the Events. */
export function gapTables(
  streams: readonly StreamObject[],
  events: readonly EventObject[],
): readonly (readonly Row[])[] {
  const counts = streams.map((stream) => [
    stream.metadata.namespace,
    stream.metadata.name,
    stream.status?.continuity?.ratio ?? '-',
    String(stream.status?.continuity?.gaps ?? '-'),
    stream.status?.conditions.find((one) => one.type === 'Continuous')?.message ?? '-',
  ]);
  const names = new Set(streams.map((stream) => `${stream.metadata.namespace}/${stream.metadata.name}`));
  const told = events
    .filter(
      (event) =>
        event.reason === 'ResumeGap' &&
        names.has(`${event.metadata.namespace}/${(event.regarding ?? event.involvedObject)?.name ?? ''}`),
    )
    .map((event) => [
      event.eventTime ?? event.lastTimestamp ?? '-',
      event.metadata.namespace,
      (event.regarding ?? event.involvedObject)?.name ?? '-',
      event.note ?? event.message ?? '',
    ])
    .sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1));
  return [
    [['NAMESPACE', 'STREAM', 'CONTINUITY', 'GAPS', 'SINCE THIS LEADER BEGAN'], ...counts],
    ...(told.length === 0 ? [] : [[['TIME', 'NAMESPACE', 'STREAM', 'GAP'], ...told]]),
  ];
}

/** Returns pods whose sidecar is of another version, and the command to type. */
export function outdated(
  pods: readonly PodObject[],
  version: string,
  ownerOf: (pod: PodObject) => string | undefined,
): { readonly rows: readonly Row[]; readonly commands: readonly string[] } {
  const old = pods.filter((pod) => pod.metadata.labels?.[LABELS.injectedVersion] !== version);
  const rows = old.map((pod) => [
    pod.metadata.namespace,
    pod.metadata.name,
    pod.metadata.labels?.[LABELS.injectedVersion] ?? 'none',
    version,
  ]);
  const commands = new Set(
    old.flatMap((pod) => {
      const owner = ownerOf(pod);
      return owner === undefined
        ? []
        : [
            `kubectl rollout restart ${owner} -n ${pod.metadata.namespace} && kubectl rollout status ` +
              `${owner} -n ${pod.metadata.namespace}`,
          ];
    }),
  );
  return { rows, commands: [...commands] };
}

/** Returns the audit records among the lines of a log, in order of time. */
export function auditLines(log: string): readonly string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('"audit":true'))
    .map((line) => ({ at: /"timestamp":"([^"]+)"/.exec(line)?.[1] ?? '', line }))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    .map(({ line }) => line);
}

/** The ConfigMap in which an installation keeps how it attaches sidecars. */
export interface SettingsRef {
  readonly namespace: string;
  readonly name: string;
}

/**
 * Returns the installations that cluster-scoped objects name: only an administrator of the cluster can make those,
 * while any user can make a ConfigMap in a namespace of their own.
 */
export function installationsIn(objects: readonly unknown[]): readonly SettingsRef[] {
  const named = objects.flatMap(
    (one) =>
      (one as { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } }).metadata
        ?.annotations?.[ANNOTATIONS.settings] ?? [],
  );
  return [...new Set(named)].sort().flatMap((text) => {
    const match = /^([-a-z0-9]{1,63})\/([-.a-z0-9]{1,253})$/.exec(text);
    return match === null ? [] : [{ namespace: match[1] ?? '', name: match[2] ?? '' }];
  });
}
