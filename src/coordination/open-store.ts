import { noSharedLimits, type SharedLimits } from './shared-limits.ts';
import { noStreamPool, type StreamPool } from './stream-pool.ts';
import { EmbeddedStore } from './embedded/embedded-store.ts';
import type { Leases } from './leases.ts';
import { RedisConnection } from './redis/redis-connection.ts';
import { LocalLeases } from './embedded/local-leases.ts';
import { RedisPool } from './redis/redis-pool.ts';
import { RedisLeases } from './redis/redis-leases.ts';
import { ConnectionRegistry, type RegistryPolicy } from './redis/connection-registry.ts';
import { ReportStore } from './redis/report-store.ts';
import { RedisLimits } from './redis/redis-limits.ts';
import { RedisStore } from './redis/redis-store.ts';
import type { Store } from './store.ts';
import type { StoreTarget } from './store-url.ts';

/** Everything that replicas share, over one connection. */
export interface Coordination {
  readonly store: Store;
  readonly leases: Leases;
  readonly limits: SharedLimits;
  readonly pool: StreamPool;
  /** undefined with an embedded store: no other replica reads the registry. */
  readonly registry: ConnectionRegistry | undefined;
  /** undefined with an embedded store: no controller could read reports. */
  readonly reports: ReportStore | undefined;
  /** undefined: the store is this process's own. */
  readonly link: RedisConnection | undefined;
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly lockAdapter: 'redlock' | 'plain';
  readonly nowMs: () => number;
  /** The shortest lease of the configuration. */
  readonly ttlMs: number;
  readonly registry: RegistryPolicy;
  /** Receives connection errors; the store goes on trying for ever. */
  readonly onTrouble: (error: Error) => void;
}

/** Opens a store. An embedded one is usable at once; a Redis one connects in the background. */
export function openStore(target: StoreTarget, options: OpenOptions): Coordination {
  if (target.kind === 'embedded') {
    const store = new EmbeddedStore(target.directory);
    return {
      store,
      leases: new LocalLeases(store, options.nowMs),
      limits: noSharedLimits,
      pool: noStreamPool,
      registry: undefined,
      reports: undefined,
      link: undefined,
      close: () => store.close(),
    };
  }
  const link = new RedisConnection(target, options);
  const store = new RedisStore(link);
  const leases = new RedisLeases(link, options.lockAdapter);
  link.open();
  return {
    store,
    leases,
    limits: new RedisLimits(link),
    pool: new RedisPool(link),
    registry: new ConnectionRegistry(link, options.registry),
    reports: new ReportStore(link),
    link,
    close: () => store.close(),
  };
}
