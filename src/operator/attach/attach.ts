/**
 * How a pod gets its sidecar: the container, its volumes and variables (this file, pure), documents compiled for it,
 * and the ways that use it (YAML, generated charts and manifests). This folder never talks to the API server: the
 * webhook does, and `holdfast inject`; rules of documents are config's.
 */

import { ATTACHED, networkOf, TOKENS_DIR, type Installation } from '../../config/installation.ts';
import { byName, CREDENTIALS_DIR } from './compile-documents.ts';
import { ANNOTATIONS, LABELS, type ClientObject, type StreamObject } from '../api/resources.ts';

/** Time a pod needs beyond the drain: the application's own end, and the last checkpoint. */
const GRACE_MARGIN_SECONDS = 5;
/** terminationGracePeriodSeconds of a pod that names none, as Kubernetes sets it. */
const DEFAULT_GRACE_SECONDS = 30;

/** Settings of this installation for attaching sidecars: the same for every pod. */
export interface AttachSettings {
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Version of this Holdfast, put on the pod. */
  readonly version: string;
  /** Address of the store, without a password. */
  readonly storeUrl: string;
  readonly storePrefix: string;
  /** Secret with the store's password under `password`, in the namespace of the pod; empty: the store asks for none. */
  readonly storeSecret: string;
  readonly adminPort: number;
  readonly deliveryPort: number;
  readonly drainSeconds: number;
  readonly logLevel: string;
  readonly resources: Readonly<Record<string, unknown>>;
  /** Private networks that names may resolve into: CIDRs, separated by commas; empty: none. */
  readonly allowPrivate: string;
  /**
   * Hosts outside the vendors' domains that credentials of a Secret may be sent to, separated by commas; empty: none.
   */
  readonly allowedHosts: string;
  /** Certificates of private authorities: a ConfigMap with `ca.crt` in the namespace of the pod; empty: none. */
  readonly caConfigMap: string;
}

export const DEFAULT_SETTINGS: AttachSettings = {
  image: 'holdfast:0.1.0',
  imagePullPolicy: 'IfNotPresent',
  version: '0.1.0',
  storeUrl: 'redis://holdfast-redis:6379/0',
  storePrefix: 'hf',
  storeSecret: '',
  adminPort: 9464,
  deliveryPort: 9465,
  drainSeconds: 10,
  logLevel: 'info',
  // Measured (docs/performance.md): 116 MiB at rest, up to 280 at saturation, and preStop runs inside the same limit.
  resources: { requests: { cpu: '25m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  allowPrivate: '',
  allowedHosts: '',
  caConfigMap: '',
};

/** Returns the rules by which the sidecars of this installation check their documents. @throws ConfigError */
export function installationOf(settings: AttachSettings): Installation {
  return { ...ATTACHED, ...networkOf(settings.allowPrivate, settings.allowedHosts) };
}

export const CONTAINER = 'holdfast';
const CONFIG_FILE = 'documents.yaml';
const CONFIG_DIR = '/etc/holdfast/config';
const STORE_DIR = '/etc/holdfast/store';
const CA_DIR = '/etc/holdfast/ca';
/** Where the kubelet would put the pod's API token: ours has no business with the API. */
const TOKEN_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';
/** uid of the image's user. */
const UID = 65_532;
/** Default port of OpenTelemetry's Prometheus exporter. */
const OTEL_PROMETHEUS_PORT = 9464;
export interface Container {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[] | null;
  readonly ports?: readonly { readonly containerPort?: number; readonly [field: string]: unknown }[] | null;
  readonly [field: string]: unknown;
}

/** The part of a pod (or of a pod template) that attaching reads. */
export interface PodLike {
  readonly metadata?: {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>> | null;
    readonly annotations?: Readonly<Record<string, string>> | null;
  };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[] | null;
    readonly volumes?: readonly { readonly name: string }[] | null;
    readonly terminationGracePeriodSeconds?: number;
    readonly hostNetwork?: boolean;
    readonly os?: { readonly name?: string };
    readonly nodeSelector?: Readonly<Record<string, string>> | null;
  };
}

/** A Secret with the token that a consumer demands. */
export interface ConsumerToken {
  readonly stream: string;
  readonly secret: string;
  readonly key: string;
}

export interface AttachedClient {
  readonly name: string;
  /** Secret with its credentials. */
  readonly secret: string;
  readonly tokens?: readonly ConsumerToken[];
}

export interface Attachment {
  readonly container: Container;
  readonly volumes: readonly { readonly name: string; readonly [source: string]: unknown }[];
  /** For every application container that does not set them itself. */
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Warnings for the creator of the pod. */
  readonly warnings: readonly string[];
}

/**
 * Returns what a pod of this client needs beside its own containers: one native sidecar, its volumes, two variables.
 * Pure: the same for the webhook, the policy, the library chart, the kustomize component and `kubectl holdfast inject`.
 * @param streams every EventStream that refers to the client; undefined: the documents come later (by the controller)
 * or from elsewhere.
 */
export function attach(pod: PodLike, client: AttachedClient, settings: AttachSettings, documents?: string): Attachment {
  return {
    container: sidecar(settings, client.tokens ?? []),
    volumes: volumes(client, settings),
    env: [
      { name: 'HOLDFAST_URL', value: `http://127.0.0.1:${String(settings.deliveryPort)}` },
      { name: 'HOLDFAST_CLIENT', value: client.name },
    ],
    labels: { [LABELS.injectedVersion]: settings.version },
    annotations: documents === undefined ? {} : { [ANNOTATIONS.config]: documents },
    warnings: warningsOf(pod, settings),
  };
}

/**
 * Returns true for a pod that has our native sidecar; a container of its own that happens to have that name is none.
 */
export function attached(pod: Pick<PodLike, 'spec'>): boolean {
  return (pod.spec.initContainers ?? []).some((one) => one.name === CONTAINER && one['restartPolicy'] === 'Always');
}

/** Returns in a sentence why a pod cannot have the sidecar; undefined: it can. */
export function refusalOf(pod: PodLike): string | undefined {
  const { containers, initContainers, hostNetwork, os, nodeSelector } = pod.spec;
  if ([...containers, ...(initContainers ?? [])].some((one) => one.name === CONTAINER))
    return (
      `the pod has a container of its own with the name "${CONTAINER}", which is that of the sidecar: give it ` +
      'another name'
    );
  if (os?.name === 'windows' || nodeSelector?.['kubernetes.io/os'] === 'windows')
    return (
      `the pod is for Windows, and the sidecar runs on Linux only: remove the label ${LABELS.client}, and let ` +
      'a Linux pod receive the events'
    );
  // A process on the node's loopback could read events and acknowledge them: they would be lost without a trace.
  return hostNetwork === true
    ? 'hostNetwork: true would open the delivery port, which knows no password, to every process of the node: ' +
        'run the pod on its own network'
    : undefined;
}

function sidecar(settings: AttachSettings, tokens: readonly ConsumerToken[]): Container {
  const fieldRef = (name: string, fieldPath: string): { readonly name: string; readonly valueFrom: unknown } => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  const probe = { httpGet: { path: '/healthz', port: 'hf-admin' } };
  return {
    name: CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    // A native sidecar: starts before the application, stops after it, and does not keep a Job from ending.
    restartPolicy: 'Always',
    args: argumentsOf(settings),
    env: [
      fieldRef('POD_NAME', 'metadata.name'),
      fieldRef('POD_NAMESPACE', 'metadata.namespace'),
      fieldRef('POD_UID', 'metadata.uid'),
      fieldRef('NODE_NAME', 'spec.nodeName'),
      // Which template the pod is of: a Deployment's pods have the one label, those of StatefulSets and DaemonSets the
      // other.
      fieldRef('HOLDFAST_REVISION', "metadata.labels['pod-template-hash']"),
      fieldRef('HOLDFAST_CONTROLLER_REVISION', "metadata.labels['controller-revision-hash']"),
      ...(settings.caConfigMap === '' ? [] : [{ name: 'NODE_EXTRA_CA_CERTS', value: `${CA_DIR}/ca.crt` }]),
    ],
    ports: [{ name: 'hf-admin', containerPort: settings.adminPort, protocol: 'TCP' }],
    resources: settings.resources,
    // Started means: the process is up. What the platform does must not keep the application from starting.
    startupProbe: { ...probe, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 60 },
    livenessProbe: { ...probe, periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 3 },
    // Runs at once when the pod is deleted, together with the application's own end: the early signal to hand over.
    lifecycle: { preStop: { exec: { command: ['holdfast', 'drain', '--admin-port', String(settings.adminPort)] } } },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: UID,
      runAsGroup: UID,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [
      { name: 'holdfast-config', mountPath: CONFIG_DIR, readOnly: true },
      { name: 'holdfast-config', mountPath: TOKEN_DIR, readOnly: true },
      { name: 'holdfast-credentials', mountPath: CREDENTIALS_DIR, readOnly: true },
      ...(settings.storeSecret === '' ? [] : [{ name: 'holdfast-store', mountPath: STORE_DIR, readOnly: true }]),
      ...(tokens.length === 0 ? [] : [{ name: 'holdfast-tokens', mountPath: TOKENS_DIR, readOnly: true }]),
      ...(settings.caConfigMap === '' ? [] : [{ name: 'holdfast-ca', mountPath: CA_DIR, readOnly: true }]),
    ],
  };
}

/** Returns the command line of the sidecar: `holdfast run` with this installation's settings. */
function argumentsOf(settings: AttachSettings): readonly string[] {
  return [
    'run',
    '--attached',
    '--file',
    `${CONFIG_DIR}/${CONFIG_FILE}`,
    '--store',
    settings.storeUrl,
    '--store-prefix',
    settings.storePrefix,
    ...(settings.storeSecret === '' ? [] : ['--store-password-file', `${STORE_DIR}/password`]),
    ...(settings.allowPrivate === '' ? [] : ['--allow-private', settings.allowPrivate]),
    ...(settings.allowedHosts === '' ? [] : ['--allowed-hosts', settings.allowedHosts]),
    '--admin-host',
    '::',
    '--admin-port',
    String(settings.adminPort),
    '--delivery-port',
    String(settings.deliveryPort),
    '--drain-seconds',
    String(settings.drainSeconds),
    '--log-level',
    settings.logLevel,
  ];
}

/**
 * Returns the volumes. No emptyDir: any of them makes `kubectl drain` refuse the pod. Secrets are optional: the sidecar
 * reports a missing one, the pod is not stuck.
 */
function volumes({ secret, tokens = [] }: AttachedClient, settings: AttachSettings): Attachment['volumes'] {
  return [
    {
      name: 'holdfast-config',
      downwardAPI: {
        items: [{ path: CONFIG_FILE, fieldRef: { fieldPath: `metadata.annotations['${ANNOTATIONS.config}']` } }],
      },
    },
    { name: 'holdfast-credentials', secret: { secretName: secret, optional: true } },
    ...(settings.storeSecret === ''
      ? []
      : [{ name: 'holdfast-store', secret: { secretName: settings.storeSecret, optional: true } }]),
    ...(tokens.length === 0 ? [] : [{ name: 'holdfast-tokens', projected: { sources: tokens.map(tokenSource) } }]),
    ...(settings.caConfigMap === ''
      ? []
      : [{ name: 'holdfast-ca', configMap: { name: settings.caConfigMap, optional: true } }]),
  ];
}

/** Warns of ports: the sidecar starts first and takes its own; an application that wants one of them cannot bind it. */
function portWarnings({ name, ports, env }: Container, settings: AttachSettings): readonly string[] {
  const own = (ports ?? []).map((one) => one.containerPort);
  const value = (variable: string): string => (env ?? []).find((one) => one.name === variable)?.value ?? '';
  // OpenTelemetry's exporter opens a port that no pod declares.
  if (value('OTEL_METRICS_EXPORTER').includes('prometheus'))
    own.push(Number(value('OTEL_EXPORTER_PROMETHEUS_PORT') || OTEL_PROMETHEUS_PORT));
  return [settings.adminPort, settings.deliveryPort]
    .filter((port) => own.includes(port))
    .map(
      (port) =>
        `container ${name} uses port ${String(port)}, which the sidecar takes before it starts: give it ` +
        'another one (OTEL_EXPORTER_PROMETHEUS_PORT for OpenTelemetry), or change sidecar.ports of the chart',
    );
}

/** Returns the source of one key of one Secret and no more: the sidecar does not need its other keys. */
function tokenSource({ stream, secret, key }: ConsumerToken): unknown {
  return { secret: { name: secret, items: [{ key, path: `${stream}/token` }], optional: true } };
}

/** Returns the data of a client's objects that its attachment needs, or in a sentence what must not be mounted. */
export function attachedClient(
  client: ClientObject,
  streams: readonly StreamObject[],
  settings: AttachSettings,
): AttachedClient | { readonly problem: string } {
  const { name } = client.metadata;
  const secret = client.spec.credentials.secretRef?.name ?? name;
  const tokens = [...streams].sort(byName).flatMap(({ metadata, spec }) => {
    const ref = spec.delivery?.push?.tokenSecretRef;
    return ref === undefined ? [] : [{ stream: metadata.name, secret: ref.name, key: ref.key ?? 'token' }];
  });
  const taken = tokens.find((one) => one.secret === secret || one.secret === settings.storeSecret);
  if (taken === undefined) return { name, secret, tokens };
  const whose = taken.secret === secret ? 'the OAuth client' : 'the store';
  return {
    problem:
      `EventStream ${taken.stream}: spec.delivery.push.tokenSecretRef names Secret ${taken.secret}, which ` +
      `holds the credentials of ${whose}: put the consumer's token into a Secret of its own`,
  };
}

function warningsOf(pod: PodLike, settings: AttachSettings): readonly string[] {
  const grace = pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
  const least = settings.drainSeconds + GRACE_MARGIN_SECONDS;
  return [
    ...(grace < least
      ? [
          `terminationGracePeriodSeconds ${String(grace)} is less than the ${String(least)} s that a ` +
            'hand-over may take: raise it, or a stop falls back to expiry of the lease',
        ]
      : []),
    ...pod.spec.containers.flatMap((one) => portWarnings(one, settings)),
  ];
}

/** Returns a pod with the attachment in place. Idempotent: a pod that has the container already comes back as it is. */
export function applyTo<T extends PodLike>(pod: T, attachment: Attachment): T {
  if (attached(pod)) return pod;
  const { metadata = {}, spec } = pod;
  const taken = new Set((spec.volumes ?? []).map((volume) => volume.name));
  return {
    ...pod,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...attachment.labels },
      ...(Object.keys({ ...metadata.annotations, ...attachment.annotations }).length === 0
        ? {}
        : { annotations: { ...metadata.annotations, ...attachment.annotations } }),
    },
    spec: {
      ...spec,
      containers: spec.containers.map((one) => ({
        ...one,
        env: [
          ...(one.env ?? []),
          ...attachment.env.filter(({ name }) => !(one.env ?? []).some((own) => own.name === name)),
        ],
      })),
      // Last: sidecars stop in reverse order, so a mesh proxy before it still gives it a network for the last
      // checkpoint.
      initContainers: [...(spec.initContainers ?? []), attachment.container],
      volumes: [...(spec.volumes ?? []), ...attachment.volumes.filter(({ name }) => !taken.has(name))],
    },
  };
}

export interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

/** Returns the same as `applyTo`, as a JSON patch (RFC 6902) for the webhook. */
export function patchOf(pod: PodLike, attachment: Attachment): readonly PatchOperation[] {
  if (attached(pod)) return [];
  const after = applyTo(pod, attachment);
  const out: PatchOperation[] = [];
  const add = (path: string, value: unknown): void => void out.push({ op: 'add', path, value });
  const append = (path: string, before: readonly unknown[] | null | undefined, list: readonly unknown[]): void => {
    if (before === undefined || before === null) return add(path, list);
    for (const one of list.slice(before.length)) add(`${path}/-`, one);
  };
  append('/spec/initContainers', pod.spec.initContainers, after.spec.initContainers ?? []);
  append('/spec/volumes', pod.spec.volumes, after.spec.volumes ?? []);
  pod.spec.containers.forEach((one, index) => {
    append(`/spec/containers/${String(index)}/env`, one.env, after.spec.containers[index]?.env ?? []);
  });
  for (const field of ['labels', 'annotations'] as const) {
    const before = pod.metadata?.[field];
    const entries = Object.entries(attachment[field]);
    if (entries.length === 0) continue;
    if (before === undefined || before === null) add(`/metadata/${field}`, Object.fromEntries(entries));
    else
      for (const [name, value] of entries)
        add(`/metadata/${field}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, value);
  }
  return out;
}
