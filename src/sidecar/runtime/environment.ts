/**
 * The lowest floor of the sidecar: what all other floors use. Clocks, timers, the ways out of the process, a term's
 * right to act, and the trouble of the store, in plain types and small classes. It never decides anything about a
 * stream, a client or a lease: the floors above do. cli builds the `Environment`; the simulation replaces `Scheduler`
 * and `Transports`.
 */

import type { SharedLimits } from '../../coordination/shared-limits.ts';
import type { StreamPool } from '../../coordination/stream-pool.ts';
import type { Leases } from '../../coordination/leases.ts';
import type { ReportStore } from '../../coordination/redis/report-store.ts';
import type { ConnectionRegistry } from '../../coordination/redis/connection-registry.ts';
import type { Store } from '../../coordination/store.ts';
import type { SecretRegistry } from '../../core/secret-registry.ts';
import type { AuditLog } from '../../telemetry/audit-log.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { StoreRefusals } from './store-refusals.ts';
import type { Scheduler } from './scheduler.ts';
import type { StoreTrouble } from './store-trouble.ts';
import type { Transports } from './transports.ts';

/** Identity of this replica. Only its random part is relied on to be unique. */
export interface Identity {
  readonly pod: string;
  readonly namespace: string;
  readonly uid: string;
  /** Template revision of the pod; empty when unknown. Leases go to the newest one first. */
  readonly revision: string;
  /** Name of the address behind which this replica reaches the platforms. */
  readonly egress: string;
  /** In [0, 1): shifts the jitter of this replica (S2: identical jitter seeds). */
  readonly salt: number;
}

/** The world as the sidecar sees it; built once, in cli/. */
export interface Environment {
  readonly identity: Identity;
  readonly store: Store;
  readonly leases: Leases;
  readonly limits: SharedLimits;
  readonly pool: StreamPool;
  /** undefined with an embedded store: no other replica reads the registry. */
  readonly registry: ConnectionRegistry | undefined;
  /** undefined with an embedded store: no controller could read reports. */
  readonly reports: ReportStore | undefined;
  readonly metrics: Metrics;
  readonly audit: AuditLog;
  readonly log: Logger;
  readonly secrets: SecretRegistry;
  /** Period of heartbeats and of the reaper's rounds. */
  readonly registryEveryMs: { readonly beat: number; readonly sweep: number };
  readonly schedule: Scheduler;
  readonly transports: Transports;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** Wall clock, for what is written down only. */
  readonly nowEpochMs: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly randomId: () => string;
}

export interface Deps extends Environment {
  readonly storeTrouble: StoreTrouble;
  readonly refusals: StoreRefusals;
}
