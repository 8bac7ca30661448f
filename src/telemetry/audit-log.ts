import type { LineSink } from './line-sink.ts';

/** Names of audit records (platforms 4.9, and ours). Closed vocabulary: docs/audit.md. */
export type AuditEvent =
  | 'websocket_reconnection'
  | 'RECONNECT_ATTEMPT'
  | 'RECONNECT_SUCCESS'
  | 'RECONNECT_FAIL'
  | 'reconnect_ack'
  | 'connection.opened'
  | 'connection.dropped'
  | 'connection.closed'
  | 'connection.health'
  | 'connection.purged'
  | 'stream.preempted'
  | 'token.rotated'
  | 'token.refresh_failed'
  | 'token.mismatch'
  | 'gap.detected'
  | 'gap.filled'
  | 'sequence.restarted'
  | 'sequence.conflict'
  | 'frame.poison'
  | 'control.unknown'
  | 'stream.parked'
  | 'stream.unparked'
  | 'stream.halted'
  | 'stream.no_progress'
  | 'breaker.opened'
  | 'breaker.closed'
  | 'consumer.held'
  | 'consumer.released'
  | 'dead_letter.added'
  | 'dead_letter.redriven'
  | 'dead_letter.purged'
  | 'leader.changed'
  | 'lease.broken'
  | 'lease.shut'
  | 'lease.reopened'
  | 'lease.lost'
  | 'lease.escape'
  | 'lease.handed_over'
  | 'lease.kept'
  | 'credentials.tried'
  | 'checkpoint.refused'
  | 'clock.skew'
  | 'fatal';

export interface AuditRecord {
  readonly timestamp: string;
  readonly event: AuditEvent;
  readonly clientId: string;
  readonly [field: string]: unknown;
}

/** Records kept in memory, newest last, for /audit. */
const KEPT = 1000;

/** Writes the audit log: JSON lines to a sink, and the last ones in memory. Payloads never enter it. */
export class AuditLog {
  readonly #sink: LineSink;
  readonly #nowWall: () => number;
  readonly #kept: AuditRecord[] = [];

  constructor(sink: LineSink, nowWall: () => number) {
    this.#sink = sink;
    this.#nowWall = nowWall;
  }

  write(event: AuditEvent, clientId: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const record: AuditRecord = { timestamp: new Date(this.#nowWall()).toISOString(), event, clientId, ...fields };
    this.#kept.push(record);
    if (this.#kept.length > KEPT) this.#kept.shift();
    this.#sink.write(JSON.stringify({ audit: true, ...record }));
  }

  /** Returns the last records, oldest first. */
  recent(since?: string): readonly AuditRecord[] {
    return since === undefined ? this.#kept : this.#kept.filter((record) => record.timestamp >= since);
  }
}
