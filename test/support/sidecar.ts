import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { noSharedLimits } from '../../src/coordination/shared-limits.ts';
import { noStreamPool } from '../../src/coordination/stream-pool.ts';
import { loadDocuments } from '../../src/config/load-documents.ts';
import { resolve } from '../../src/config/plan.ts';
import { EmbeddedStore } from '../../src/coordination/embedded/embedded-store.ts';
import type { Store } from '../../src/coordination/store.ts';
import { DeliveryServer } from '../../src/delivery/delivery-server.ts';
import { AdminServer } from '../../src/sidecar/replica/admin-server.ts';
import type { Leases } from '../../src/coordination/leases.ts';
import { LocalLeases } from '../../src/coordination/embedded/local-leases.ts';
import type { Environment } from '../../src/sidecar/runtime/environment.ts';
import { systemScheduler } from '../../src/sidecar/runtime/scheduler.ts';
import { SYSTEM_TRANSPORTS } from '../../src/sidecar/runtime/transports.ts';
import { Supervisor } from '../../src/sidecar/replica/supervisor.ts';
import { AuditLog } from '../../src/telemetry/audit-log.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createSecrets } from '../../src/telemetry/secrets.ts';
import { LineSink } from '../../src/telemetry/line-sink.ts';
import { expectNoSecret } from './canary.ts';
import { seeded } from './global.ts';

export interface StreamStatus {
  readonly state: string;
  readonly reason?: string;
  readonly health?: string;
  readonly position?: string;
  readonly connection: { readonly attempts: number; readonly reconnects: number; readonly retryCount: number };
  readonly events: {
    readonly received: number;
    readonly duplicates: number;
    readonly poison: number;
    readonly conflicts: number;
    readonly delivered: number;
    readonly redelivered: number;
    readonly deadLettered: number;
  };
  readonly continuity: { readonly rate: number; readonly gaps: number };
  readonly delivery: {
    readonly ready: boolean;
    readonly hold?: string;
    readonly backlog: number;
    readonly inFlight: number;
    readonly bufferedBytes: number;
    readonly uncheckpointed: number;
    readonly parks: number;
    readonly noProgressMs?: number;
  };
}

export interface ClientStatus {
  readonly epoch: number;
  readonly token: { readonly state: string; readonly remainingMs?: number; readonly failure?: string };
  readonly credentials: string;
  readonly breaker: string;
  readonly pauseReason?: string;
}

/** The real sidecar inside the test's process: real sockets, real store, captured output. */
export class TestSidecar {
  readonly supervisor: Supervisor;
  readonly deps: Environment;
  readonly store: Store;
  readonly #lines: string[] = [];
  readonly #admin: AdminServer;
  readonly #delivery: DeliveryServer;
  adminPort = 0;
  deliveryPort = 0;
  #stopped = false;

  constructor(
    file: string,
    store: Store = new EmbeddedStore(mkdtempSync(join(tmpdir(), 'hf-store-'))),
    leases: Leases = new LocalLeases(store, () => performance.now()),
  ) {
    const lines = this.#lines;
    const out = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const secrets = createSecrets();
    const sink = new LineSink(out, secrets);
    this.store = store;
    this.deps = {
      identity: {
        pod: 'test-pod',
        namespace: 'test',
        uid: 'uid-1',
        revision: '',
        egress: 'default',
        salt: seeded(17)(),
      },
      store,
      leases,
      limits: noSharedLimits,
      pool: noStreamPool,
      registry: undefined,
      reports: undefined,
      schedule: systemScheduler(() => performance.now()),
      transports: SYSTEM_TRANSPORTS,
      registryEveryMs: { beat: 5000, sweep: 10_000 },
      metrics: createMetrics(),
      audit: new AuditLog(sink, () => Date.now()),
      log: createLogger('debug', sink, { pod: 'test-pod' }),
      secrets,
      nowMs: () => performance.now(),
      nowEpochMs: () => Date.now(),
      random: seeded(23),
      randomId: () => randomBytes(8).toString('hex'),
    };
    this.supervisor = new Supervisor(resolve(loadDocuments([file])), this.deps);
    this.#admin = new AdminServer(this.supervisor, this.deps, 2000);
    this.#delivery = new DeliveryServer(() => this.supervisor.served());
  }

  async start(): Promise<this> {
    this.adminPort = await this.#admin.listen('127.0.0.1', 0);
    this.deliveryPort = await this.#delivery.listen(0);
    this.supervisor.start();
    return this;
  }

  /** Stops cleanly and searches everything that was written for secrets. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const admin = await Promise.all(
      ['/status', '/metrics', '/audit'].map(async (path) =>
        (await fetch(`http://127.0.0.1:${String(this.adminPort)}${path}`)).text(),
      ),
    );
    await this.supervisor.stop(2000);
    this.#admin.close();
    this.#delivery.close();
    await this.store.close();
    expectNoSecret([...this.#lines, ...admin].join('\n'), 'sidecar output');
  }

  /** Everything logged and audited so far. */
  get output(): string {
    return this.#lines.join('\n');
  }

  get stream(): StreamStatus {
    return (
      (this.supervisor.status()['streams'] as StreamStatus[])[0] ??
      ({ state: 'absent', connection: {}, events: {}, continuity: {}, delivery: {} } as StreamStatus)
    );
  }

  get client(): ClientStatus {
    return (this.supervisor.status()['clients'] as ClientStatus[])[0] ?? ({ token: {} } as ClientStatus);
  }

  /** Everything that was logged or audited so far. */
  get said(): string {
    return this.#lines.join('\n');
  }

  audits(event: string): readonly Record<string, unknown>[] {
    return this.deps.audit.recent().filter((record) => record.event === event);
  }
}
