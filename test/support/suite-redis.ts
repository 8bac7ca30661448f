import { Redis } from 'ioredis';
import type { RedisConnection } from '../../src/coordination/redis/redis-connection.ts';
import { redisLink, TestRedis } from './redis.ts';

/** A Redis for one suite: started before it and gone after it, with everything that was linked to it. */
export class SuiteRedis {
  #server: TestRedis | undefined;
  #raw: Redis | undefined;
  readonly #links: RedisConnection[] = [];

  constructor() {
    before(async () => {
      this.#server = await TestRedis.start();
      this.#raw = new Redis({ host: '127.0.0.1', port: this.#server.port });
    });
    after(async () => {
      for (const link of this.#links) link.close();
      this.#raw?.disconnect();
      await this.#server?.stop();
    });
  }

  get server(): TestRedis {
    if (this.#server === undefined) throw new Error('the suite has not begun');
    return this.#server;
  }

  /** Somebody else at the same server. */
  get raw(): Redis {
    if (this.#raw === undefined) throw new Error('the suite has not begun');
    return this.#raw;
  }

  /** A link of our own, up. */
  async link(prefix: string): Promise<RedisConnection> {
    const link = redisLink({ options: { host: '127.0.0.1', port: this.server.port }, prefix });
    this.#links.push(link);
    if (!(await link.ready(5000))) throw new Error('the store does not answer');
    return link;
  }
}
