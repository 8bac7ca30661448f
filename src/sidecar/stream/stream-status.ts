import type { StreamPlan } from '../../config/plan.ts';
import type { Outbox } from '../../core/events/outbox.ts';
import type { Reason } from '../../core/session/classify-failure.ts';
import { nextAttempt } from '../../core/session/next-attempt.ts';
import type { SessionState } from '../../core/session/session-model.ts';
import type { Delivery } from '../../delivery/delivery-ports.ts';
import type { Parcel } from '../../delivery/envelope.ts';
import type { Intake } from './intake.ts';
import type { GapData } from './intake-note.ts';
import type { Standing } from './stream-gauges.ts';

export interface StatusFacts {
  readonly session: SessionState;
  readonly intake: Intake;
  readonly outbox: Outbox<Parcel>;
  readonly delivery: Delivery;
  readonly checkpointedOrd: number;
  readonly connectionId: string | undefined;
  /** True while the lease allows deliveries. */
  readonly open: boolean;
}

/** Totals of one stream in this term. */
export interface StreamTotals {
  gaps: number;
  lastGap: GapData | undefined;
  delivered: number;
  redelivered: number;
  deadLettered: number;
  parks: number;
  lastFailure: { readonly reason: Reason; readonly at: string } | undefined;
}

interface StatusView {
  readonly standing: Standing;
  readonly totals: StreamTotals;
  readonly nowMs: number;
  readonly nowEpochMs: number;
}

/** Returns what `/status` shows of one stream. Fields that are undefined are not shown. */
export function streamStatus(plan: StreamPlan, facts: StatusFacts, view: StatusView): Record<string, unknown> {
  const { session, intake } = facts;
  const { totals, standing } = view;
  const { lastReceivedEpochMs } = intake.receipts;
  const position = intake.resume.current;
  const liveness = session.main?.liveness;
  return {
    name: plan.name,
    client: plan.client,
    dialect: plan.profile.dialect,
    class: plan.profile.streamClass,
    state: stateOf(session),
    ...waitOf(session, view),
    connectionId: facts.connectionId,
    health: liveness?.verdict,
    latencyMs: meanOf(liveness?.latenciesMs ?? []),
    connection: { ...connectionOf(session.totals), retryCount: session.attempt, lastFailure: totals.lastFailure },
    events: {
      received: intake.received,
      duplicates: intake.duplicates,
      poison: intake.poisoned,
      conflicts: intake.conflicts,
      delivered: totals.delivered,
      redelivered: totals.redelivered,
      deadLettered: totals.deadLettered,
    },
    lastEventAt: lastReceivedEpochMs === 0 ? undefined : new Date(lastReceivedEpochMs).toISOString(),
    position: position === undefined ? undefined : `${position.kind}:${position.value}`,
    continuity: {
      rate: Math.floor(standing.continuity * 1e6) / 1e6,
      gaps: totals.gaps,
      lastGap: totals.lastGap,
      held: intake.held,
    },
    delivery: { ...deliveryOf(plan, facts, standing), parks: totals.parks },
  };
}

function connectionOf({
  attempts,
  successes,
  latencySumMs,
  reconnects,
}: SessionState['totals']): Record<string, number> {
  return {
    attempts,
    successes,
    successRate: attempts === 0 ? 0 : successes / attempts,
    meanLatencyMs: successes === 0 ? 0 : Math.round(latencySumMs / successes),
    reconnects,
  };
}

function deliveryOf(plan: StreamPlan, { delivery, outbox }: StatusFacts, standing: Standing): Record<string, unknown> {
  const { hold, oldestUnsettledMs, lastProgressEpochMs, noProgressMs } = standing;
  return {
    mode: plan.delivery.mode,
    ready: delivery.ready,
    hold,
    backlog: outbox.backlog,
    inFlight: outbox.inFlight,
    bufferedBytes: outbox.bufferedBytes,
    uncheckpointed: outbox.coverable - outbox.covered,
    settledAhead: outbox.settledAhead,
    // The key whose event everything settled behind it waits for.
    waitsFor: outbox.settledAhead > 0 ? outbox.oldest?.key : undefined,
    oldestUnsettledMs: oldestUnsettledMs === undefined ? undefined : Math.round(oldestUnsettledMs),
    lastProgressAt: new Date(lastProgressEpochMs).toISOString(),
    noProgressMs: noProgressMs === undefined ? undefined : Math.round(noProgressMs),
  };
}

/** Returns why no connection is open, and when the next attempt is made. */
function waitOf(
  session: SessionState,
  { nowMs, nowEpochMs }: StatusView,
): Readonly<Record<'reason' | 'retryInMs' | 'nextAttemptEpochMs', unknown>> {
  const waiting = nextAttempt(session);
  const retryInMs = waiting?.atMs === undefined ? undefined : Math.max(0, Math.round(waiting.atMs - nowMs));
  const nextAttemptEpochMs = retryInMs === undefined ? undefined : nowEpochMs + retryInMs;
  return { reason: waiting?.reason, retryInMs, nextAttemptEpochMs };
}

/** Returns the mean to a tenth; undefined without a sample. */
function meanOf(samplesMs: readonly number[]): number | undefined {
  if (samplesMs.length === 0) return undefined;
  return Math.round((samplesMs.reduce((sum, ms) => sum + ms, 0) / samplesMs.length) * 10) / 10;
}

/** Returns one word for people: the stream's state. */
function stateOf({ goal, phase, main }: SessionState): string {
  if (goal === 'park') return 'PARKED';
  if (goal === 'stop') return 'STOPPED';
  switch (phase.kind) {
    case 'idle':
      return 'IDLE';
    case 'backoff':
      return 'BACKOFF';
    case 'asking':
      return 'WAITING';
    case 'halted':
      return 'HALTED';
    case 'linked':
      return main?.phase === 'open' ? openStateOf(main) : 'CONNECTING';
  }
}

function openStateOf({ liveness, sawEvent }: NonNullable<SessionState['main']>): string {
  if (liveness?.verdict === 'DEGRADED') return 'DEGRADED';
  return sawEvent ? 'LIVE' : 'OPEN';
}
