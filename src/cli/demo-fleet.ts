import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { NODE_FLAG } from './node-flag.ts';

/** One replica of the demo: its process and its admin port. */
export interface DemoReplica {
  readonly name: string;
  readonly child: ChildProcess;
  readonly admin: number;
}

/** Status of one stream and its lease, as far as the demo shows it. */
export interface DemoStatus {
  readonly role: string;
  readonly epoch: number;
  readonly state: string;
  readonly position: string;
}

/** Gives a replica of the demo this long to answer /status: half of the time until the next picture. */
const ASK_LIMIT_MS = 500;

/** Runs a real redis-server and the replicas on it, each its own process. */
export class DemoFleet {
  readonly replicas: DemoReplica[] = [];
  readonly #directory: string;
  readonly #config: (replica: string) => string;
  #redis: ChildProcess | undefined;
  #redisPort = 0;
  /** Times a replica became the leader. */
  leaderChanges = 0;

  /** @param config writes the configuration of a replica and returns its path. */
  constructor(directory: string, config: (replica: string) => string) {
    this.#directory = directory;
    this.#config = config;
  }

  get redisPort(): number {
    return this.#redisPort;
  }

  /** @throws Error when there is no redis-server to start. */
  async start(count: number): Promise<void> {
    this.#redisPort = await freePort();
    mkdirSync(`${this.#directory}/redis`);
    const redis = spawn(
      'redis-server',
      ['--port', String(this.#redisPort), '--bind', '127.0.0.1', '--save', '', '--dir', `${this.#directory}/redis`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#redis = redis;
    await new Promise<void>((resolve, reject) => {
      redis.once('error', () => {
        reject(new Error('redis-server could not be started; "make demo" installs it'));
      });
      redis.stdout.on('data', (chunk: Buffer) => {
        if (chunk.includes('Ready to accept connections')) resolve();
      });
    });
    await Promise.all(Array.from({ length: count }, (_, index) => this.add(`replica-${String(index + 1)}`)));
  }

  async add(name: string): Promise<DemoReplica> {
    const main = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));
    const args = [
      'run',
      '-f',
      this.#config(name),
      '--store',
      `redis://127.0.0.1:${String(this.#redisPort)}`,
      '--admin-port',
      '0',
      '--delivery-port',
      '0',
      '--log-level',
      'fatal',
    ];
    const child = spawn(process.execPath, [NODE_FLAG, main, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, POD_NAME: name, POD_UID: name },
    });
    const admin = await new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => {
        reject(new Error(`${name} ended with code ${String(code)}`));
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const message = JSON.parse(line) as { listening?: { admin: number }; event?: string };
        if (message.event === 'leader.changed') this.leaderChanges += 1;
        if (message.listening !== undefined) resolve(message.listening.admin);
      });
    });
    const replica = { name, child, admin };
    this.replicas.push(replica);
    return replica;
  }

  async end(replica: DemoReplica, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
    if (replica.child.exitCode !== null || replica.child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      replica.child.once('exit', () => {
        resolve();
      });
      replica.child.kill(signal);
    });
  }

  /** Returns the leader and the state of its stream; undefined while no replica leads. */
  async leader(): Promise<{ readonly replica: DemoReplica; readonly status: DemoStatus } | undefined> {
    const all = await Promise.all(
      this.replicas.map(async (replica) => ({ replica, status: await statusOf(replica.admin) })),
    );
    const found = all.find(({ status }) => status?.role === 'leader');
    return found?.status === undefined ? undefined : { replica: found.replica, status: found.status };
  }

  async stop(): Promise<void> {
    // Standbys first: nothing has to move twice.
    const leading = (await this.leader())?.replica;
    for (const replica of [...this.replicas].sort((a, b) => Number(a === leading) - Number(b === leading)))
      await this.end(replica, 'SIGTERM');
    this.#redis?.kill('SIGKILL');
  }
}

async function statusOf(admin: number): Promise<DemoStatus | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${String(admin)}/status`, {
      signal: AbortSignal.timeout(ASK_LIMIT_MS),
    });
    const { clients, streams } = (await response.json()) as {
      clients: { role: string; epoch: number }[];
      streams: { state: string; position?: string }[];
    };
    const { role, epoch } = clients[0] ?? { role: 'standby', epoch: 0 };
    const { state, position } = streams[0] ?? { state: 'STARTING' };
    return { role, epoch, state, position: position?.split(':')[1] ?? '-' };
  } catch {
    return undefined; // it is being killed, or has not begun
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
