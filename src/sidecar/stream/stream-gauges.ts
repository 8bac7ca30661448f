import type { StreamPlan } from '../../config/plan.ts';
import { continuityRatio } from '../../core/events/continuity.ts';
import type { Outbox } from '../../core/events/outbox.ts';
import { noProgress } from '../../core/events/no-progress.ts';
import { HELD_REASONS, type HeldReason } from '../../core/vocabulary.ts';
import type { Delivery } from '../../delivery/delivery-ports.ts';
import type { Parcel } from '../../delivery/envelope.ts';
import type { Deps } from '../runtime/environment.ts';
import type { GapData } from './intake-note.ts';

export interface GaugeFacts {
  readonly outbox: Outbox<Parcel>;
  readonly delivery: Delivery;
  readonly checkpointedOrd: number;
  /** Share of distinct numbers among distinct and missing ones. */
  readonly counted: number;
  /** True while the lease allows deliveries. */
  readonly open: boolean;
}

/** Result of a look at the stream. */
export interface Standing {
  readonly continuity: number;
  readonly hold: HeldReason | undefined;
  readonly lastProgressEpochMs: number;
  readonly oldestUnsettledMs: number | undefined;
  readonly noProgressMs: number | undefined;
}

/**
 * Sets the gauges of one stream while this replica leads it: what waits and why, when something was settled last, how
 * complete the stream was. They are set when they are read. When the term is over they are 0 or gone, so that an old
 * leader reports nothing about the stream.
 */
export class StreamGauges {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #labels: { readonly client: string; readonly stream: string };
  #settled = 0;
  #lastProgressMs: number;
  #beganEpochMs: number;
  #gaps = 0;
  #unknownMs = 0;
  /** Since when the last break lasts, or lasted. */
  #brokenEpochMs: number | undefined;
  #connected = false;
  #over = false;

  constructor(plan: StreamPlan, deps: Deps) {
    this.#plan = plan;
    this.#deps = deps;
    this.#labels = { client: plan.client, stream: plan.name };
    this.#lastProgressMs = deps.nowMs();
    this.#beganEpochMs = deps.nowEpochMs();
    deps.metrics.continuity.set(this.#labels, 1);
    this.connected(false);
  }

  connected(open: boolean): void {
    if (this.#connected && !open) this.#brokenEpochMs = this.#deps.nowEpochMs();
    this.#connected = open;
    if (!this.#over) this.#deps.metrics.connected.set(this.#labels, open ? 1 : 0);
  }

  /** Takes note of an announced gap. A gap with times and no count is time of which nothing is known. */
  gap(data: GapData): void {
    this.#gaps += 1;
    if (data.count !== undefined) return;
    const nowEpochMs = this.#deps.nowEpochMs();
    const from = data.fromTime === undefined ? this.#brokenEpochMs : Date.parse(data.fromTime);
    const to = data.toTime === undefined ? nowEpochMs : Date.parse(data.toTime);
    if (from === undefined || !(to > from)) return;
    this.#unknownMs += to - from;
    this.#beganEpochMs = Math.min(this.#beganEpochMs, from);
  }

  /** Looks whether anything was settled since the last look. */
  progress(outbox: Outbox<Parcel>): void {
    if (outbox.settledCount === this.#settled) return;
    this.#settled = outbox.settledCount;
    this.#lastProgressMs = this.#deps.nowMs();
  }

  /** Looks at the stream and sets its gauges. */
  look({ outbox, delivery, checkpointedOrd, counted, open }: GaugeFacts): Standing {
    const { metrics } = this.#deps;
    this.progress(outbox);
    const nowMs = this.#deps.nowMs();
    const nowEpochMs = this.#deps.nowEpochMs();
    const hold = heldBy(delivery, outbox.backlog);
    const oldest = outbox.entry(outbox.floor + 1)?.item;
    const oldestUnsettledMs = oldest === undefined ? undefined : Math.max(0, nowMs - oldest.receivedAtMs);
    const sinceSettledMs = nowMs - this.#lastProgressMs;
    const lastProgressEpochMs = nowEpochMs - sinceSettledMs;
    const continuity = this.#continuity(counted, nowEpochMs);
    metrics.backlogEvents.set(this.#labels, outbox.backlog);
    metrics.backlogBytes.set(this.#labels, outbox.bufferedBytes);
    metrics.inFlight.set(this.#labels, outbox.inFlight);
    metrics.lag.set(this.#labels, outbox.floor - checkpointedOrd);
    metrics.continuity.set(this.#labels, continuity);
    metrics.lastProgress.set(this.#labels, lastProgressEpochMs / 1000);
    metrics.oldestUnsettled.set(this.#labels, (oldestUnsettledMs ?? 0) / 1000);
    this.#setHeld(hold);
    return {
      continuity,
      hold,
      lastProgressEpochMs,
      oldestUnsettledMs,
      noProgressMs: noProgress({
        backlog: outbox.backlog,
        oldestMs: oldestUnsettledMs,
        sinceSettledMs,
        held: hold !== undefined,
        open,
      }),
    };
  }

  /** Ends the term: another replica reports the stream from now on. */
  over(): void {
    if (this.#over) return;
    this.connected(false);
    this.#over = true;
    const { metrics } = this.#deps;
    for (const gauge of [
      metrics.backlogEvents,
      metrics.backlogBytes,
      metrics.inFlight,
      metrics.lag,
      metrics.oldestUnsettled,
    ])
      gauge.set(this.#labels, 0);
    metrics.continuity.remove(this.#labels);
    metrics.lastProgress.remove(this.#labels);
    this.#setHeld(undefined);
  }

  #continuity(counted: number, nowEpochMs: number): number {
    const broken = this.#plan.profile.streamClass === 'C' && !this.#connected ? this.#brokenEpochMs : undefined;
    return continuityRatio({
      counted,
      gaps: this.#gaps,
      unknownMs: this.#unknownMs + (broken === undefined ? 0 : Math.max(0, nowEpochMs - broken)),
      totalMs: nowEpochMs - this.#beganEpochMs,
    });
  }

  #setHeld(hold: HeldReason | undefined): void {
    for (const reason of HELD_REASONS)
      this.#deps.metrics.held.set({ ...this.#labels, reason }, reason === hold ? 1 : 0);
  }
}

/** Returns why the events of a stream wait for its consumer; undefined: nothing keeps them. */
function heldBy(delivery: Delivery, backlog: number): HeldReason | undefined {
  if (delivery.hold !== undefined) return delivery.hold;
  return delivery.kind === 'pull' && !delivery.ready && backlog > 0 ? 'consumer_absent' : undefined;
}
