import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NODE_FLAG } from '../../src/cli/node-flag.ts';
import { SIM_CLIENT } from '../../src/simulator/token-office.ts';
import type { Cluster } from './cluster.ts';
import type { PodObject } from './plane.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/**
 * A sidecar as its pod says it is to run: what a kubelet would do, as a process. The annotation becomes the file, its
 * Secret a directory.
 */
export class Sidecar {
  readonly name: string;
  readonly #namespace: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'hf-kubelet-'));
  readonly #cluster: Cluster;
  readonly #redisPort: number;
  #child: ReturnType<typeof spawn> | undefined;
  readonly admin: number;
  #uid = '';
  #stopped = false;
  restarts = -1;
  output = '';

  constructor(
    cluster: Cluster,
    pod: { readonly name: string; readonly namespace: string },
    { redisPort, admin }: { readonly redisPort: number; readonly admin: number },
  ) {
    this.#cluster = cluster;
    this.name = pod.name;
    this.#namespace = pod.namespace;
    this.#redisPort = redisPort;
    this.admin = admin;
    mkdirSync(join(this.#directory, 'credentials'));
  }

  credentials(secret: string = SIM_CLIENT.clientSecret): void {
    writeFileSync(join(this.#directory, 'credentials', 'clientId'), SIM_CLIENT.clientId, { mode: 0o600 });
    writeFileSync(join(this.#directory, 'credentials', 'clientSecret'), secret, { mode: 0o600 });
  }

  /** Downward API: the annotation as it is now. */
  project(): void {
    const { metadata } = this.#cluster.get('pod', this.name, '-n', this.#namespace) as PodObject;
    this.#uid = metadata.uid;
    writeFileSync(
      join(this.#directory, 'documents.yaml'),
      (metadata.annotations?.['holdfast.dev/config'] ?? '').replaceAll(
        '/etc/holdfast/credentials',
        join(this.#directory, 'credentials'),
      ),
    );
  }

  start(): void {
    // A container that starts again finds the file as it is.
    if (this.#uid === '') this.project();
    this.restarts += 1;
    const args = [
      'run',
      '--attached',
      '--file',
      join(this.#directory, 'documents.yaml'),
      '--store',
      `redis://127.0.0.1:${String(this.#redisPort)}/0`,
      '--admin-host',
      '127.0.0.1',
      '--admin-port',
      String(this.admin),
      '--delivery-port',
      '0',
    ];
    const child = spawn(process.execPath, [NODE_FLAG, MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, POD_NAME: this.name, POD_NAMESPACE: this.#namespace, POD_UID: this.#uid },
    });
    this.#child = child;
    const keep = (chunk: Buffer): void => {
      this.output += chunk.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    // restartPolicy: Always
    child.once('exit', () => {
      if (!this.#stopped) this.start();
    });
  }

  async status(): Promise<{ readonly clients?: readonly { readonly role: string }[] } | undefined> {
    const answer = await fetch(`http://127.0.0.1:${String(this.admin)}/status`).catch(() => undefined);
    return answer?.ok === true
      ? ((await answer.json()) as { readonly clients: readonly { readonly role: string }[] })
      : undefined;
  }

  async healthy(): Promise<boolean> {
    return (await fetch(`http://127.0.0.1:${String(this.admin)}/healthz`).catch(() => undefined))?.ok === true;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** KEP-753: preStop at once, the application's end, SIGTERM, and SIGKILL when the grace is over. */
  async terminate(graceMs: number): Promise<{ readonly drained: number | null }> {
    const drained = spawnSync(process.execPath, [MAIN, 'drain', '--admin-port', String(this.admin)], {
      timeout: graceMs,
    }).status;
    const ended = this.end('SIGTERM');
    const forced = setTimeout(() => this.#child?.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(forced);
    return { drained };
  }
}
