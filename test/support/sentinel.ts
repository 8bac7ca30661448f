import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, TestRedis } from './redis.ts';

const SENTINELS = 3;
const NAME = 'holdfast';

/** A primary, two replicas and three sentinels, as somebody would run them. */
export class TestSentinel {
  readonly primary: TestRedis;
  readonly #others: readonly TestRedis[];
  readonly #sentinels: readonly ChildProcess[];
  readonly url: string;
  readonly name = NAME;

  private constructor(parts: {
    readonly primary: TestRedis;
    readonly others: readonly TestRedis[];
    readonly sentinels: readonly ChildProcess[];
    readonly url: string;
  }) {
    this.primary = parts.primary;
    this.#others = parts.others;
    this.#sentinels = parts.sentinels;
    this.url = parts.url;
  }

  static async start(): Promise<TestSentinel> {
    const safe = ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1', '--repl-ping-replica-period', '1'];
    const primary = await TestRedis.start(safe);
    const others = await Promise.all(
      [1, 2].map(() => TestRedis.start([...safe, '--replicaof', '127.0.0.1', String(primary.port)])),
    );
    const ports = await Promise.all(Array.from({ length: SENTINELS }, () => freePort()));
    const sentinels = await Promise.all(ports.map((port) => sentinel(port, primary.port)));
    return new TestSentinel({
      primary,
      others,
      sentinels,
      url: `redis+sentinel://${ports.map((port) => `127.0.0.1:${String(port)}`).join(',')}/${NAME}`,
    });
  }

  get addresses(): readonly { readonly host: string; readonly port: number }[] {
    return [...this.url.matchAll(/127\.0\.0\.1:(\d+)/g)].map((match) => ({
      host: '127.0.0.1',
      port: Number(match[1]),
    }));
  }

  /** The port of the server the sentinels call the primary. */
  async primaryPort(): Promise<number> {
    const [first] = this.addresses;
    const redis = new Redis({ ...first, lazyConnect: true });
    try {
      await redis.connect();
      const [, port] = (await redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as [string, string];
      return Number(port);
    } finally {
      redis.disconnect();
    }
  }

  async stop(): Promise<void> {
    for (const one of this.#sentinels) one.kill('SIGKILL');
    for (const one of [this.primary, ...this.#others]) {
      one.signal('SIGCONT');
      await one.stop();
    }
  }
}

async function sentinel(port: number, primary: number): Promise<ChildProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'hf-sentinel-'));
  const file = join(directory, 'sentinel.conf');
  writeFileSync(
    file,
    `port ${String(port)}\nbind 127.0.0.1\ndir ${directory}\nsentinel monitor ${NAME} 127.0.0.1 ` +
      `${String(primary)} 2\nsentinel down-after-milliseconds ${NAME} 1500\nsentinel failover-timeout ${NAME} ` +
      `5000\n`,
  );
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('Sentinel ID is')) resolve();
    });
  });
  return child;
}
