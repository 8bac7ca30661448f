import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RedisConnection, type RedisTarget } from '../../src/coordination/redis/redis-connection.ts';
import { RedisStore } from '../../src/coordination/redis/redis-store.ts';
import type { LetterLimits } from '../../src/coordination/store.ts';

/** A real redis-server of the test's own on a free loopback port. */
export class TestRedis {
  readonly port: number;
  readonly #more: readonly string[];
  #process: ChildProcess;

  private constructor(port: number, process: ChildProcess, more: readonly string[]) {
    this.port = port;
    this.#process = process;
    this.#more = more;
  }

  static async start(more: readonly string[] = []): Promise<TestRedis> {
    const port = await freePort();
    return new TestRedis(port, await launch(port, more), more);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Starts the server again on its port, empty. */
  async again(): Promise<void> {
    this.#process = await launch(this.port, this.#more);
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#process.kill(name);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      this.#process.once('exit', () => {
        resolve();
      });
      this.#process.kill('SIGKILL');
    });
  }
}

async function launch(port: number, more: readonly string[]): Promise<ChildProcess> {
  const child = spawn(
    'redis-server',
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      mkdtempSync(join(tmpdir(), 'hf-redis-')),
      ...more,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`redis-server ended with code ${String(code)}`));
    });
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('Ready to accept connections')) resolve();
    });
  });
  return child;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A link to a server of the test's own, already opening. */
export function redisLink(target: RedisTarget, ttlMs = 6000): RedisConnection {
  const link = new RedisConnection(target, { ttlMs, onTrouble: () => undefined });
  link.open();
  return link;
}

export function redisStore(target: RedisTarget, limits?: LetterLimits): RedisStore {
  return new RedisStore(redisLink(target), limits);
}
