import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/redis.ts';
import { until } from '../support/until.ts';
import type { Cluster } from './cluster.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;
export const SYSTEM = 'holdfast-system';
const CHART = new URL('../../charts/holdfast', import.meta.url).pathname;

/** Installs the chart with helm. @returns what helm said. */
export function install(cluster: Cluster, values: readonly string[] = [], helm: 'helm3' | 'helm4' = 'helm4') {
  return cluster.run(helm, [
    'upgrade',
    '--install',
    'holdfast',
    CHART,
    '-n',
    SYSTEM,
    '--create-namespace',
    '--set',
    'redis.url=redis://127.0.0.1:6379/0',
    ...values.flatMap((value) => ['--set', value]),
  ]);
}

/** A fresh release: a webhook that was rerouted by hand is no longer Helm's to change. */
export function reinstall(cluster: Cluster, values: readonly string[] = []) {
  cluster.run('helm4', ['uninstall', 'holdfast', '-n', SYSTEM]);
  return install(cluster, values);
}

/** One process of the control plane, with the rights of its own ServiceAccount and no others. */
export class Part {
  readonly #child: ChildProcess;
  readonly ports: { readonly webhook: number; readonly admin: number };
  output = '';

  private constructor(child: ChildProcess, ports: { readonly webhook: number; readonly admin: number }) {
    this.#child = child;
    this.ports = ports;
    const keep = (chunk: Buffer): void => {
      this.output += chunk.toString();
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  static async start(
    cluster: Cluster,
    part: 'injector' | 'controller',
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<Part> {
    const token = cluster.kubectl('create', 'token', `holdfast-${part}`, '-n', SYSTEM, '--duration', '2h');
    if (token.code !== 0) throw new Error(token.err);
    const kubeconfig = join(mkdtempSync(join(tmpdir(), 'hf-part-')), 'kubeconfig');
    writeFileSync(kubeconfig, cluster.kubeconfigFor(token.out.trim()), { mode: 0o600 });
    const ports = { webhook: await freePort(), admin: await freePort() };
    const listen = part === 'injector' ? ['--host', '127.0.0.1', '--port', String(ports.webhook)] : [];
    const child = spawn(process.execPath, [MAIN, part, '--admin-port', String(ports.admin), ...listen, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...cluster.environment(),
        KUBECONFIG: kubeconfig,
        POD_NAMESPACE: SYSTEM,
        POD_NAME: `${part}-${String(ports.admin)}`,
        ...env,
      },
    });
    const made = new Part(child, ports);
    await until(
      `the ${part} is ready`,
      async () => (await fetch(`http://127.0.0.1:${String(ports.admin)}/readyz`).catch(() => undefined))?.ok === true,
      30_000,
      () => made.output,
    );
    return made;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const ended = new Promise<number | null>((resolve) =>
      this.#child.once('exit', (code) => {
        resolve(code);
      }),
    );
    this.#child.kill(signal);
    return ended;
  }
}

/** Lets the API server call a webhook on this machine: there are no nodes, so no Service leads anywhere. */
export function reroute(cluster: Cluster, port: number): void {
  const patch = [
    { op: 'remove', path: '/webhooks/0/clientConfig/service' },
    { op: 'add', path: '/webhooks/0/clientConfig/url', value: `https://127.0.0.1:${String(port)}/mutate` },
  ];
  let done = cluster.kubectl(
    'patch',
    'mutatingwebhookconfiguration',
    'holdfast-injector',
    '--type=json',
    '-p',
    JSON.stringify(patch),
  );
  if (done.code !== 0)
    done = cluster.kubectl(
      'patch',
      'mutatingwebhookconfiguration',
      'holdfast-injector',
      '--type=json',
      '-p',
      JSON.stringify(patch.slice(1)),
    );
  if (done.code !== 0) throw new Error(done.err);
}

/** The injector's settings as the chart wrote them, in a file. */
export function settingsFile(cluster: Cluster): string {
  const map = cluster.get('configmap', 'holdfast-injector', '-n', SYSTEM) as {
    readonly data: Readonly<Record<string, string>>;
  };
  const file = join(mkdtempSync(join(tmpdir(), 'hf-settings-')), 'settings.json');
  writeFileSync(file, map.data['settings.json'] ?? '');
  return file;
}

export async function injector(
  cluster: Cluster,
  env: NodeJS.ProcessEnv = {},
  more: readonly string[] = [],
): Promise<Part> {
  const part = await Part.start(
    cluster,
    'injector',
    ['--settings', settingsFile(cluster), '--tls-secret', 'holdfast-injector-tls', '--tls-names', '127.0.0.1', ...more],
    env,
  );
  reroute(cluster, part.ports.webhook);
  return part;
}

export const streamClient = (name: string, spec: Record<string, unknown> = {}): Record<string, unknown> => ({
  apiVersion: 'holdfast.dev/v1alpha1',
  kind: 'StreamClient',
  metadata: { name },
  spec: {
    platform: 'GenesysCloud',
    region: 'us-east-1',
    credentials: { secretRef: { name: `${name}-oauth` } },
    ...spec,
  },
});
export const eventStream = (
  name: string,
  client: string,
  spec: Record<string, unknown> = {},
): Record<string, unknown> => ({
  apiVersion: 'holdfast.dev/v1alpha1',
  kind: 'EventStream',
  metadata: { name },
  spec: { clientRef: { name: client }, dialect: 'genesys-streams', path: 'routing-streams', ...spec },
});

const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 1000,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};
export const app = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  name,
  image: 'example/app:1',
  securityContext: RESTRICTED,
  ...more,
});

export const pod = (
  name: string,
  client: string | undefined,
  spec: Record<string, unknown> = {},
): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...(client === undefined ? {} : { labels: { 'holdfast.dev/client': client } }) },
  spec: { containers: [app('app')], ...spec },
});

export interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: {
    readonly containers: Record<string, unknown>[];
    readonly initContainers?: Record<string, unknown>[];
    readonly volumes?: { readonly name: string }[];
  };
}

export function namespace(cluster: Cluster, name: string, level: 'restricted' | 'privileged' = 'restricted'): void {
  cluster.pipe(
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': level } },
    },
    'apply',
  );
}
