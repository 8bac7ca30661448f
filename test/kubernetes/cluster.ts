import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** Controllers that run: those of pods, their owners and their ends. */
const CONTROLLERS = [
  'deployment',
  'replicaset',
  'serviceaccount',
  'namespace',
  'garbage-collector',
  'disruption',
  'job',
];

/** Where Go's own archive puts it, on the PATH or not. */
const GO_BIN = '/usr/local/go/bin';
const STOP_LIMIT_MS = 10_000;
const START_LIMIT_MS = Number(process.env['KUBEBUILDER_CONTROLPLANE_START_TIMEOUT'] ?? 60) * 1000;

/**
 * Where the real parts are: KUBEBUILDER_ASSETS (with helm3 and helm4 beside them), or built once with Go. undefined:
 * not to be had here.
 */
export function assets(): string | undefined {
  const named = process.env['KUBEBUILDER_ASSETS'];
  if (named !== undefined && existsSync(join(named, 'kube-apiserver'))) return named;
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${GO_BIN}` };
  if (spawnSync('go', ['version'], { env }).status !== 0) return undefined;
  const built = spawnSync('bash', [new URL('./tools/build.sh', import.meta.url).pathname], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (built.status !== 0) throw new Error('the Kubernetes parts could not be built');
  return built.stdout.trim();
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Identity {
  readonly user: string;
  readonly token: string;
}

/**
 * A real etcd, kube-apiserver and kube-controller-manager on loopback, with RBAC, Pod Security admission and an audit
 * log. No node: Pods are objects.
 */
export class Cluster {
  readonly bin: string;
  readonly directory: string;
  readonly kubeconfig: string;
  readonly port: number;
  readonly #etcdPort: number;
  readonly #peerPort: number;
  readonly #children = new Map<string, ChildProcess>();
  readonly admin: Identity = { user: 'admin', token: randomBytes(12).toString('hex') };

  private constructor(bin: string, ports: readonly number[]) {
    this.bin = bin;
    this.directory = mkdtempSync(join(tmpdir(), 'hf-cluster-'));
    this.kubeconfig = join(this.directory, 'kubeconfig');
    [this.port = 0, this.#etcdPort = 0, this.#peerPort = 0] = ports;
  }

  static async start(bin: string): Promise<Cluster> {
    const cluster = new Cluster(bin, await Promise.all([freePort(), freePort(), freePort()]));
    cluster.#prepare();
    cluster.#etcd();
    cluster.startApiServer();
    await cluster.ready();
    cluster.#controllers();
    await cluster.until(
      'the default service account is there',
      () => cluster.kubectl('get', 'serviceaccount', 'default').code === 0,
    );
    return cluster;
  }

  #prepare(): void {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(this.#file('sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(this.#file('tokens.csv'), `${this.admin.token},admin,admin,"system:masters"\n`);
    writeFileSync(
      this.#file('audit.yaml'),
      'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n',
    );
    writeFileSync(this.kubeconfig, this.kubeconfigFor(this.admin.token), { mode: 0o600 });
  }

  /** A kubeconfig for somebody else. */
  kubeconfigFor(token: string): string {
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      clusters: [
        {
          name: 'test',
          cluster: { server: `https://127.0.0.1:${String(this.port)}`, 'insecure-skip-tls-verify': true },
        },
      ],
      users: [{ name: 'test', user: { token } }],
    });
  }

  #etcd(): void {
    const peer = `http://127.0.0.1:${String(this.#peerPort)}`;
    const url = `http://127.0.0.1:${String(this.#etcdPort)}`;
    this.#run('etcd', [
      '--data-dir',
      this.#file('etcd'),
      '--listen-client-urls',
      url,
      '--advertise-client-urls',
      url,
      '--listen-peer-urls',
      peer,
      '--initial-advertise-peer-urls',
      peer,
      '--initial-cluster',
      `default=${peer}`,
      '--unsafe-no-fsync',
      '--log-level',
      'error',
    ]);
  }

  startApiServer(): void {
    mkdirSync(this.#file('certs'), { recursive: true });
    this.#run('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${String(this.#etcdPort)}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${String(this.port)}`,
      `--cert-dir=${this.#file('certs')}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--endpoint-reconciler-type=none',
      '--authorization-mode=RBAC',
      `--token-auth-file=${this.#file('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.#file('sa.key')}`,
      `--service-account-signing-key-file=${this.#file('sa.key')}`,
      `--audit-policy-file=${this.#file('audit.yaml')}`,
      `--audit-log-path=${this.auditLog}`,
      '--audit-log-mode=batch',
      '--audit-log-batch-max-wait=100ms',
      '--allow-privileged=false',
      '--v=0',
    ]);
  }

  get auditLog(): string {
    return this.#file('audit.log');
  }

  #controllers(): void {
    this.#run('kube-controller-manager', [
      `--kubeconfig=${this.kubeconfig}`,
      '--leader-elect=false',
      `--controllers=${CONTROLLERS.map((name) => `${name}-controller`).join(',')}`,
      `--service-account-private-key-file=${this.#file('sa.key')}`,
      '--secure-port=0',
      '--v=0',
      '--kube-api-qps=200',
      '--kube-api-burst=400',
    ]);
  }

  #run(name: string, args: readonly string[]): void {
    const log =
      process.env['KUBEBUILDER_ATTACH_CONTROL_PLANE_OUTPUT'] === undefined ? this.#file(`${name}.log`) : undefined;
    const child = spawn(join(this.bin, name), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (chunk: Buffer): void => {
      if (log === undefined) process.stderr.write(chunk);
      else writeFileSync(log, chunk, { flag: 'a' });
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.#children.set(name, child);
  }

  #file(name: string): string {
    return join(this.directory, name);
  }

  async ready(): Promise<void> {
    await this.until(
      'the API server is ready',
      () => this.kubectl('get', '--raw', '/readyz').code === 0,
      START_LIMIT_MS,
    );
  }

  /** Runs kubectl as the administrator. */
  kubectl(...args: readonly string[]): Ran {
    return this.run('kubectl', args);
  }

  /** Pipes objects (or text) into `kubectl ARGS -f -`. */
  pipe(input: unknown, ...args: readonly string[]): Ran {
    return this.run(
      'kubectl',
      [...args, '-f', '-'],
      typeof input === 'string'
        ? input
        : JSON.stringify(Array.isArray(input) ? { apiVersion: 'v1', kind: 'List', items: input } : input),
    );
  }

  run(name: string, args: readonly string[], input = ''): Ran {
    const done = spawnSync(join(this.bin, name), args, {
      encoding: 'utf8',
      input,
      env: this.environment(),
      timeout: 120_000,
      maxBuffer: 64 * 1024 * 1024,
    });
    return { code: done.status ?? -1, out: done.stdout, err: done.stderr };
  }

  environment(): NodeJS.ProcessEnv {
    return { PATH: `${this.bin}:${process.env['PATH'] ?? ''}`, HOME: this.directory, KUBECONFIG: this.kubeconfig };
  }

  /** An object, or undefined. */
  get(...args: readonly string[]): unknown {
    const { code, out } = this.kubectl('get', ...args, '-o', 'json');
    return code === 0 ? JSON.parse(out) : undefined;
  }

  async until(what: string, done: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
    await until(what, done, limitMs);
  }

  async stopApiServer(): Promise<void> {
    await this.#end('kube-apiserver', 'SIGKILL');
  }

  audit(): readonly Record<string, unknown>[] {
    // It may be in the middle of a line.
    return readFileSync(this.auditLog, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async stop(): Promise<void> {
    for (const name of ['kube-controller-manager', 'kube-apiserver', 'etcd']) await this.#end(name, 'SIGTERM');
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const forced = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await ended;
    clearTimeout(forced);
  }
}
