import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const STREAM = ['client', 'stream'] as const;
/** Where lines are written. */
export const LINE_SINKS = ['audit', 'log'] as const;
/**
 * Of prom-client's default metrics those that are named like counters and are none; the same is told by type in
 * nodejs_active_resources and its like.
 */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/**
 * Creates every metric of one process. Names and labels are an interface: docs/metrics.md. Labels come from
 * configuration and closed vocabularies only.
 */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const registers = [registry];
  return {
    registry,
    ...createCounters(registers),
    ...createStreamGauges(registers),
    ...createClientMetrics(registers),
    purged: counter(registers, 'connections_purged_total', 'Connections this replica declared dead as the reaper', []),
    ...createHistograms(registers),
  };
}

function createCounters(registers: Registry[]) {
  return {
    received: counter(
      registers,
      'events_received_total',
      'Events accepted from the platform, duplicates not counted',
      STREAM,
    ),
    duplicates: counter(
      registers,
      'events_duplicate_total',
      'Events the platform repeated, dropped before the consumer',
      STREAM,
    ),
    delivered: counter(registers, 'events_delivered_total', 'First deliveries to the consumer', STREAM),
    redelivered: counter(registers, 'events_redelivered_total', 'Deliveries that were not the first', STREAM),
    acknowledged: counter(registers, 'events_settled_total', 'Events acknowledged or dead-lettered', STREAM),
    deadLettered: counter(registers, 'events_dead_lettered_total', 'Events that became dead letters', [
      ...STREAM,
      'reason',
    ]),
    poison: counter(registers, 'frames_poison_total', 'Frames that could not be read', STREAM),
    controlUnknown: counter(registers, 'frames_control_unknown_total', 'Control messages of an unknown type', STREAM),
    emptyBatches: counter(registers, 'frames_empty_batch_total', 'Empty batches', STREAM),
    gaps: counter(registers, 'gaps_total', 'Gaps announced to the consumer', [...STREAM, 'cause']),
    missing: counter(
      registers,
      'events_missing_total',
      'Events inside announced gaps, where they can be counted',
      STREAM,
    ),
    conflicts: counter(registers, 'sequence_conflicts_total', 'Repeated sequence numbers with other content', STREAM),
    dials: counter(registers, 'dials_total', 'Connection attempts', STREAM),
    reconnects: counter(registers, 'reconnects_total', 'Connections opened after the first', STREAM),
    failures: counter(registers, 'connection_failures_total', 'Failed attempts and lost connections', [
      ...STREAM,
      'reason',
    ]),
    rotations: counter(registers, 'token_rotations_total', 'Tokens replaced', ['client']),
    tokenFailures: counter(registers, 'token_failures_total', 'Failed token requests', ['client', 'reason']),
    parks: counter(registers, 'parks_total', 'Times the stream was parked because the buffer was full', STREAM),
    checkpoints: counter(registers, 'checkpoints_total', 'Checkpoint writes', [...STREAM, 'result']),
    droppedLines: counter(
      registers,
      'log_lines_dropped_total',
      'Log and audit lines dropped because their reader was slow',
      ['sink'],
    ),
  };
}

function createStreamGauges(registers: Registry[]) {
  return {
    connected: gauge(registers, 'connected', '1 while the stream is open', STREAM),
    suspended: gauge(
      registers,
      'stream_suspended',
      '1 while the configuration suspends the stream or its client',
      STREAM,
    ),
    backlogEvents: gauge(registers, 'backlog_events', 'Events and notices accepted and not yet settled', STREAM),
    backlogBytes: gauge(registers, 'backlog_bytes', 'Bytes of the events and notices that are not yet settled', STREAM),
    held: gauge(registers, 'delivery_held', '1 while events wait for the consumer for this reason', [
      ...STREAM,
      'reason',
    ]),
    lastProgress: gauge(
      registers,
      'last_progress_timestamp_seconds',
      'When an event was settled last, or the leader began; Unix time',
      STREAM,
    ),
    oldestUnsettled: gauge(
      registers,
      'oldest_unsettled_age_seconds',
      'Since the oldest event that is not settled was received; 0: there is none',
      STREAM,
    ),
    inFlight: gauge(registers, 'in_flight', 'Events handed over and not acknowledged', STREAM),
    lag: gauge(registers, 'checkpoint_lag_events', 'Events settled and not yet in a stored checkpoint', STREAM),
    continuity: gauge(
      registers,
      'continuity_ratio',
      'Distinct received / (distinct received + missing), times the share of time that is known; of the present leader',
      STREAM,
    ),
  };
}

function createClientMetrics(registers: Registry[]) {
  return {
    breakerOpen: gauge(registers, 'breaker_open', '1 while the circuit breaker is not closed', ['client']),
    tokenExpiry: gauge(registers, 'token_remaining_seconds', 'Life left of the token in use', ['client']),
    clockSkew: gauge(registers, 'clock_skew_seconds', 'Server date minus ours, from the last token answer', ['client']),
    leader: gauge(registers, 'leader', '1 while this replica leads the client', ['client']),
    epoch: gauge(registers, 'lease_epoch', 'Fencing number last seen', ['client']),
    leaseOpen: gauge(registers, 'lease_open', '1 while this replica leads the client and may act', ['client']),
    leaseRemaining: gauge(
      registers,
      'lease_remaining_seconds',
      'Until this replica must stop acting unless it renews',
      ['client'],
    ),
    leaderChanges: counter(registers, 'leader_changes_total', 'Times this replica became the leader', ['client']),
  };
}

function createHistograms(registers: Registry[]) {
  return {
    pingLatency: new Histogram({
      name: 'holdfast_websocket_latency_seconds',
      help: 'Ping to pong (websocket.latency)',
      labelNames: STREAM,
      buckets: [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
      registers,
    }),
    reconnectLatency: new Histogram({
      name: 'holdfast_reconnect_latency_seconds',
      help: 'Dial to ready',
      labelNames: STREAM,
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30],
      registers,
    }),
    ackLatency: new Histogram({
      name: 'holdfast_ack_latency_seconds',
      help: 'Receipt of an event to the end of the settled prefix passing it, sampled',
      labelNames: STREAM,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 30],
      registers,
    }),
  };
}

function counter<L extends string>(
  registers: Registry[],
  name: string,
  help: string,
  labelNames: readonly L[],
): Counter<L> {
  return new Counter({ name: `holdfast_${name}`, help, labelNames, registers });
}

function gauge<L extends string>(
  registers: Registry[],
  name: string,
  help: string,
  labelNames: readonly L[],
): Gauge<L> {
  return new Gauge({ name: `holdfast_${name}`, help, labelNames, registers });
}

export type Metrics = ReturnType<typeof createMetrics>;
