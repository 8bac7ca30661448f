import type { ClientPlan } from '../../config/plan.ts';
import { REASONS } from '../../core/session/classify-failure.ts';
import { TOKEN_FAILURES } from '../../core/token.ts';
import { CHECKPOINT_RESULTS, DEAD_LETTER_REASONS, GAP_CAUSES, HELD_REASONS } from '../../core/vocabulary.ts';
import { LINE_SINKS, type Metrics } from '../../telemetry/metrics.ts';

/**
 * Makes every series of a replica's clients and streams exist at 0, leader or not: Prometheus then sees a first gap, a
 * first dead letter, or one in the first moment of a new leader as an increase.
 */
export function createInitialSeries(metrics: Metrics, plans: readonly ClientPlan[]): void {
  for (const sink of LINE_SINKS) metrics.droppedLines.inc({ sink }, 0);
  metrics.purged.inc(0);
  for (const plan of plans) {
    beginClient(metrics, plan.name);
    for (const { name, client, suspend } of plan.streams) {
      beginStream(metrics, { client, stream: name });
      metrics.suspended.set({ client, stream: name }, suspend ? 1 : 0);
    }
  }
}

function beginClient(metrics: Metrics, client: string): void {
  metrics.rotations.inc({ client }, 0);
  metrics.leaderChanges.inc({ client }, 0);
  for (const reason of TOKEN_FAILURES) metrics.tokenFailures.inc({ client, reason }, 0);
  for (const gauge of [metrics.breakerOpen, metrics.leader, metrics.leaseOpen]) gauge.set({ client }, 0);
}

function beginStream(metrics: Metrics, labels: { readonly client: string; readonly stream: string }): void {
  for (const counter of [
    metrics.received,
    metrics.duplicates,
    metrics.delivered,
    metrics.redelivered,
    metrics.acknowledged,
    metrics.poison,
    metrics.controlUnknown,
    metrics.emptyBatches,
    metrics.missing,
    metrics.conflicts,
    metrics.dials,
    metrics.reconnects,
    metrics.parks,
  ])
    counter.inc(labels, 0);
  for (const reason of DEAD_LETTER_REASONS) metrics.deadLettered.inc({ ...labels, reason }, 0);
  for (const cause of GAP_CAUSES) metrics.gaps.inc({ ...labels, cause }, 0);
  for (const reason of REASONS) metrics.failures.inc({ ...labels, reason }, 0);
  for (const result of CHECKPOINT_RESULTS) metrics.checkpoints.inc({ ...labels, result }, 0);
  for (const reason of HELD_REASONS) metrics.held.set({ ...labels, reason }, 0);
  for (const gauge of [
    metrics.connected,
    metrics.backlogEvents,
    metrics.backlogBytes,
    metrics.inFlight,
    metrics.lag,
    metrics.oldestUnsettled,
  ])
    gauge.set(labels, 0);
  for (const histogram of [metrics.pingLatency, metrics.reconnectLatency, metrics.ackLatency]) histogram.zero(labels);
}
