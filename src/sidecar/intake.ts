import { createHash } from 'node:crypto';
import type { StreamPlan } from '../config/resolve.ts';
import type { Checkpoint } from '../coordination/store.ts';
import { RecentIds } from '../core/recent.ts';
import type { Outbox } from '../core/outbox.ts';
import { parseSequence, pred, type Sequence } from '../core/sequence.ts';
import type { Control } from '../core/session-types.ts';
import { SequenceTracker } from '../core/tracker.ts';
import type { GapCause } from '../core/vocabulary.ts';
import { Encoder, type ControlType, type Parcel, type Replay, type Stamp } from '../delivery/envelope.ts';
import { FrameReader, type EventView, type FrameSink } from '../platforms/codec.ts';
import type { Position } from '../platforms/profile.ts';
import type { Deps } from './deps.ts';
import { Hole } from './hole.ts';
import { isoOf, positionOf, printOf } from './positions.ts';
import { ReplayMark } from './replay.ts';
import { AcceptedTail } from './tail.ts';

/** What the intake tells its stream. */
export interface IntakeHost {
  readonly epoch: number;
  /** An event was accepted, or something else now waits for the consumer. */
  accepted(): void;
  control(control: Control, type: string): void;
  emptyBatch(): void;
  /** The platform must be asked again from the last good position. */
  askAgain(): void;
  gap(data: GapData): void;
  /** Where the stream began: stored at once, so that a crash before the first acknowledgement loses nothing silently. */
  baseline(record: Checkpoint): void;
}

export interface GapData {
  readonly from: string;
  readonly to: string;
  readonly cause: GapCause;
  readonly count: number | undefined;
  readonly fromTime?: string;
  readonly toTime?: string;
}

/** Identities remembered where no sequence tells duplicates apart. */
const RECENT_IDS = 16_384;
const POISON_BYTES = 65_536;
/** In-process, class B asks from a little earlier than its position: identities sort out what repeats. */
const SINCE_OVERLAP_MS = 1000;
/** Platform times further from our receipt than this are not believed as positions (a 1970 or 9999 date must not move the resume point). */
const BELIEVED_PAST_MS = 30 * 86_400_000;
const BELIEVED_FUTURE_MS = 300_000;

/**
 * From frames to parcels: order, duplicates, gaps and positions of one stream. What it accepts is in the outbox, encoded once.
 */
export class Intake implements FrameSink {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #host: IntakeHost;
  readonly #outbox: Outbox<Parcel>;
  readonly #encoder: Encoder;
  readonly #reader: FrameReader;
  readonly #heldReader: FrameReader;
  readonly #tracker: SequenceTracker<Buffer>;
  readonly #recent = new RecentIds(RECENT_IDS);
  readonly #tail = new AcceptedTail();
  #position: Position | undefined;
  #restored: Position | undefined;
  #era = 0;
  #index = 0;
  #baseDistinct = 0;
  #baseMissing = 0;
  readonly #replay = new ReplayMark();
  /** Class A: the position of the last parcel in the outbox. The tracker may already be further. */
  #lastPushed: Sequence | undefined;
  /** What the store was told of a stream that has settled nothing yet. */
  #baselined: 'nothing' | 'subscribed' | 'position' = 'nothing';
  #nowMs = 0;
  /** Set from a disconnect until the first event after it. */
  #resuming: { readonly reason: string; readonly sinceMs: number; readonly announced: boolean } | undefined;
  #sawRepeat = false;
  #lostOnResume = false;
  #expired = false;
  lastReceivedEpochMs = 0;
  #subscribedEpochMs = 0;
  readonly #hole = new Hole();
  received = 0;
  duplicates = 0;
  poisoned = 0;
  conflicts = 0;

  constructor(plan: StreamPlan, deps: Deps, outbox: Outbox<Parcel>, host: IntakeHost) {
    this.#plan = plan;
    this.#deps = deps;
    this.#outbox = outbox;
    this.#host = host;
    this.#encoder = new Encoder(plan);
    this.#reader = new FrameReader(plan.profile, plan.fields);
    this.#heldReader = new FrameReader(plan.profile, plan.fields);
    this.#tracker = new SequenceTracker<Buffer>(plan.tracker, (bytes) => bytes.length);
  }

  /** Continues from a checkpoint. What the platform sends above it may have been delivered before: it is marked `resume`. */
  restore(checkpoint: Checkpoint): void {
    this.#era = checkpoint.era;
    this.#index = checkpoint.index;
    this.#baseDistinct = checkpoint.distinct;
    this.#baseMissing = checkpoint.missing;
    this.lastReceivedEpochMs = checkpoint.settledAtEpochMs;
    this.#position = positionOf(checkpoint.position);
    this.#restored = this.#position;
    this.#baselined = 'position';
    this.#replay.restarted(this.#plan.outbox.maxInFlight + this.#plan.outbox.maxUncheckpointed);
    if (this.#position?.kind === 'sequence') {
      const last = parseSequence(this.#position.value);
      if (last !== undefined) {
        this.#tracker.restore(last, checkpoint.tail.flatMap(printOf));
        this.#lastPushed = last;
      }
    } else {
      for (const identity of checkpoint.tail) this.#recent.add(identity);
    }
  }

  read(data: Buffer, isBinary: boolean): void {
    this.#nowMs = this.#deps.nowMs();
    this.lastReceivedEpochMs = this.#deps.nowEpochMs();
    this.#reader.read(data, isBinary, this);
  }

  /** What the next dial asks for; undefined: nothing is known yet, or the class cannot resume. @param overlap the old link stays open. */
  resumePosition(overlap: boolean): Position | undefined {
    const position = this.position;
    if (position === undefined) return undefined;
    if (position.kind === 'sequence' && !overlap) this.#tracker.resumeAsked();
    if (position.kind !== 'since') return position;
    // One millisecond earlier covers both readings of the bound, inclusive and exclusive; a checkpoint's tail is no longer than that.
    const floorMs = this.#restored?.kind === 'since' ? Number(this.#restored.value) - 1 : -Infinity;
    return { kind: 'since', value: String(Math.max(floorMs, Number(position.value) - SINCE_OVERLAP_MS)) };
  }

  linkOpened(expired: boolean): void {
    this.#replay.linkOpened(this.#deps.nowEpochMs());
    this.#expired ||= expired;
    this.#sawRepeat = false;
    this.#lostOnResume = false;
  }

  positionExpired(): void {
    this.#expired = true;
  }

  /** @param downForMs how long there was no connection already, before this process knew of the stream. */
  interrupted(reason: string, announced: boolean, downForMs = 0): void {
    this.#resuming ??= { reason, sinceMs: this.#deps.nowMs() - downForMs, announced };
  }

  get continuityRate(): number {
    const distinct = this.#baseDistinct + this.#distinct();
    const missing = this.#baseMissing + this.#tracker.missing;
    return distinct + missing === 0 ? 1 : distinct / (distinct + missing);
  }

  /** The last good position. Class A derives it from the tracker: building it for every event would be waste. */
  get position(): Position | undefined {
    if (this.#plan.profile.streamClass !== 'A') return this.#position;
    const last = this.#tracker.last;
    return last === undefined || (this.#position === undefined && this.#tracker.distinct === 0)
      ? undefined
      : { kind: 'sequence', value: String(last) };
  }

  /** Since when nothing came. */
  get silentSinceEpochMs(): number {
    return Math.max(this.lastReceivedEpochMs, this.#subscribedEpochMs);
  }
  /** What came since then cannot be asked for again: it is announced when the stream is open. */
  holeSince(epochMs: number): void {
    this.#hole.since(epochMs);
  }
  get holed(): boolean {
    return this.#hole.pending;
  }

  get held(): number {
    return this.#tracker.heldCount;
  }

  deadline(): number | undefined {
    return this.#plan.profile.streamClass === 'A' ? this.#tracker.deadline() : undefined;
  }

  /** Looks at the clock for early events that still wait for their predecessors. */
  tick(): void {
    if (this.#plan.profile.streamClass !== 'A') return;
    const missing = this.#tracker.overdue(this.#deps.nowMs());
    switch (missing.kind) {
      case 'nothing':
        return;
      case 'resume':
        this.#host.askAgain();
        return;
      case 'gap':
        this.#lostOnResume = true;
        this.#announceGap(missing.from, missing.to, this.#expired ? 'retention_exceeded' : 'sequence_gap');
        break;
      case 'restarted':
        this.#onRestarted(missing.last, missing.first);
        break;
    }
    this.#release();
  }

  // --- FrameSink ---

  event(view: EventView): void {
    if (this.#plan.profile.streamClass === 'A') return this.#sequenced(view);
    const identity = view.identity();
    if (!this.#recent.add(identity)) {
      this.duplicates += 1;
      this.#sawRepeat = true;
      return;
    }
    this.#accept(view, this.#replay.of(view, this.lastReceivedEpochMs));
  }

  control(control: Control, type: string): void {
    this.#host.control(control, type);
  }

  emptyBatch(): void {
    this.#host.emptyBatch();
  }

  poison(bytes: Buffer, reason: string): void {
    this.poisoned += 1;
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.#deps.audit.write('frame.poison', this.#plan.client, {
      stream: this.#plan.name,
      reason,
      hash,
      length: bytes.length,
    });
    this.pushControl('poison', {
      stream: this.#plan.name,
      reason,
      hash,
      bytesBase64: bytes.subarray(0, POISON_BYTES).toString('base64'),
      length: bytes.length,
    });
  }

  // --- control events, in order with the data ---

  pushControl(
    type: ControlType,
    data: Readonly<Record<string, unknown>> | string,
    at?: { readonly sequence: Sequence | undefined },
  ): void {
    const parcel = this.#encoder.control(type, data, this.#stamp('live'));
    if (at !== undefined) this.#lastPushed = at.sequence;
    this.#outbox.push(
      { ...parcel, sequence: this.#lastPushed, position: this.#position },
      '\u0000control',
      parcel.ce.length,
      true,
    );
    this.#host.accepted();
  }

  redrive(attributes: string, data: Buffer, eventId: string): number {
    const parcel = this.#encoder.redriven(attributes, data, eventId, this.#stamp('redrive'));
    const entry = this.#outbox.push(
      { ...parcel, sequence: this.#lastPushed, position: this.#position },
      `\u0000redrive-${eventId}`,
      parcel.ce.length,
      false,
    );
    this.#host.accepted();
    return entry.ord;
  }

  /** A class C hole, or the hole a restart left: times are all that is known. Nothing when there is none. */
  announceHole(cause: GapCause): void {
    const fromEpochMs = this.#hole.announcedAs(this.#outbox.lastOrd + 1);
    if (fromEpochMs === undefined) return;
    const fromTime = new Date(fromEpochMs).toISOString();
    const toTime = new Date(this.#deps.nowEpochMs()).toISOString();
    // Until this notice is settled the store must go on saying that no position is known.
    this.#baselined = 'position';
    this.#pushGap({ from: fromTime, to: toTime, cause, count: undefined, fromTime, toTime });
    this.#lostOnResume = true;
  }

  // --- checkpoint ---

  /** The record for the settled prefix that ends at `ord`, whose last parcel is `floor`. */
  checkpointAt(ord: number, floor: Parcel): Checkpoint {
    const distinct = this.#baseDistinct + Math.max(0, this.#distinct() - this.#outbox.backlog);
    this.#hole.settled(ord);
    const settledAtEpochMs = this.#hole.vouchedUntil(floor.receivedEpochMs);
    const base = {
      schema: 1 as const,
      epoch: this.#host.epoch,
      index: this.#index + ord,
      era: floor.era,
      distinct,
      missing: this.#baseMissing + this.#tracker.missing,
      settledAtEpochMs,
    };
    if (this.#plan.profile.streamClass === 'A') {
      if (floor.sequence === undefined) return { ...base, position: '', tail: [] };
      const tail = this.#tracker
        .tail(floor.sequence)
        .map(({ sequence, print }) => `${String(sequence)}:${String(print)}`);
      return { ...base, position: `sequence:${String(floor.sequence)}`, tail };
    }
    return { ...base, ...this.#tail.recordFor(ord, floor) };
  }

  // --- inside ---

  #sequenced(view: EventView): void {
    const offered = this.#tracker.offer(
      view.sequence,
      view.print(),
      () => Buffer.from(view.bytes.subarray(view.start, view.end)),
      this.#nowMs,
    );
    switch (offered) {
      case 'next':
        this.#accept(view, this.#replay.of(view, this.lastReceivedEpochMs));
        if (this.#tracker.heldCount > 0) this.#release();
        return;
      case 'duplicate':
        this.duplicates += 1;
        this.#sawRepeat = true;
        return;
      case 'conflict':
        this.conflicts += 1;
        if (this.conflicts % 100 === 1)
          this.#deps.audit.write('sequence.conflict', this.#plan.client, {
            stream: this.#plan.name,
            sequence: String(view.sequence),
          });
        return this.tick();
      case 'held':
        return this.tick();
      case 'late':
        // The event first: were the notice acknowledged alone, a crash would lose what it says was filled.
        this.#accept(view, 'backfill');
        this.pushControl('gap.filled', {
          stream: this.#plan.name,
          from: String(view.sequence),
          to: String(view.sequence),
          mode: 'late_arrival',
        });
    }
  }

  /** Early events whose turn has come. */
  #release(): void {
    for (const bytes of this.#tracker.released()) {
      this.#heldReader.read(bytes, false, {
        ...SILENT,
        event: (view) => {
          this.#accept(view, this.#replay.of(view, this.lastReceivedEpochMs));
        },
      });
    }
  }

  #accept(view: EventView, replay: Replay): void {
    if (this.#resuming !== undefined) this.#announceResumed();
    const position = this.#plan.profile.streamClass === 'A' ? undefined : this.#believed(view.position());
    if (this.#expired && this.#plan.profile.streamClass === 'B') this.#announceExpired(position);
    if (position !== undefined) this.#advance(position);
    this.#expired = false;
    if (this.#baselined !== 'position') this.#writeBaseline(view, position);
    const encoded = this.#encoder.event(view, this.#stamp(replay, this.#position));
    const late = replay === 'backfill' && this.#lastPushed !== undefined;
    const parcel = late ? { ...encoded, sequence: this.#lastPushed } : encoded;
    if (!late) this.#lastPushed = parcel.sequence;
    const key =
      this.#plan.delivery.mode === 'Push' && this.#plan.delivery.order === 'key' ? this.#encoder.keyOf(view) : '';
    const entry = this.#outbox.push(parcel, key, parcel.ce.length, false);
    if (this.#plan.profile.streamClass === 'B') this.#tail.add(entry.ord, parcel.identity, position);
    this.received += 1;
    this.#replay.accepted();
    this.#host.accepted();
  }

  /** Times only move forward here; the checkpoint looks for earlier ones among what is unsettled. */
  #advance(position: Position): void {
    if (
      position.kind === 'since' &&
      this.#position?.kind === 'since' &&
      Number(position.value) <= Number(this.#position.value)
    )
      return;
    this.#position = position;
  }

  #believed(position: Position | undefined): Position | undefined {
    if (position?.kind !== 'since') return position;
    const age = this.#deps.nowEpochMs() - Number(position.value);
    return age <= BELIEVED_PAST_MS && age >= -BELIEVED_FUTURE_MS ? position : undefined;
  }

  /** The record of a stream that has settled nothing yet: just before its first event. A position that cannot be named stays empty; the next start then announces the time. */
  #writeBaseline(view: EventView, position: Position | undefined): void {
    this.#baselined = 'position';
    const { sequence } = view;
    const before =
      this.#plan.profile.streamClass === 'A'
        ? sequence > 0
          ? `sequence:${String(pred(sequence))}`
          : ''
        : position?.kind === 'since'
          ? `since:${String(Number(position.value) - 1)}`
          : '';
    this.#host.baseline(this.#baseline(before));
  }

  /** The stream is subscribed from now on: whatever the platform makes is ours to deliver or to announce, also if the first event never reaches us. */
  subscribed(): void {
    this.#subscribedEpochMs = this.#deps.nowEpochMs();
    if (this.#baselined !== 'nothing') return;
    this.#baselined = 'subscribed';
    this.#host.baseline(this.#baseline(''));
  }

  /** The end of a term in which nothing came: until now nothing was missed. */
  unsubscribed(): void {
    if (this.#baselined === 'subscribed' && this.received === 0 && this.#outbox.backlog === 0)
      this.#host.baseline(this.#baseline(''));
  }

  #baseline(position: string): Checkpoint {
    return {
      schema: 1,
      epoch: this.#host.epoch,
      index: 0,
      position,
      era: this.#era,
      tail: [],
      distinct: 0,
      missing: 0,
      settledAtEpochMs: this.#deps.nowEpochMs(),
    };
  }

  #announceResumed(): void {
    const resuming = this.#resuming;
    this.#resuming = undefined;
    if (resuming === undefined || this.#plan.delivery.control === 'gaps') return;
    const proved =
      this.#plan.profile.streamClass === 'A' || (this.#plan.profile.streamClass === 'B' && this.#sawRepeat);
    const lossless =
      this.#lostOnResume || this.#expired
        ? false
        : proved
          ? true
          : this.#plan.profile.streamClass === 'C'
            ? false
            : 'unknown';
    const mode = this.#plan.profile.resume.kind ?? 'none';
    this.pushControl('stream.resumed', {
      stream: this.#plan.name,
      mode,
      lossless,
      reason: resuming.reason,
      downMs: Math.round(this.#deps.nowMs() - resuming.sinceMs),
    });
  }

  #announceExpired(next: Position | undefined): void {
    this.#expired = false;
    const before = this.#position;
    if (before === undefined) return;
    const times =
      before.kind === 'since'
        ? {
            fromTime: isoOf(before.value),
            toTime: next?.kind === 'since' ? isoOf(next.value) : new Date(this.#deps.nowEpochMs()).toISOString(),
          }
        : {};
    this.#pushGap({
      from: before.value,
      to: next?.value ?? '',
      cause: 'retention_exceeded',
      count: undefined,
      ...times,
    });
  }

  #announceGap(from: Sequence, to: Sequence, cause: GapCause): void {
    const count = Number(BigInt(to) - BigInt(from) + 1n);
    this.#pushGap({ from: String(from), to: String(to), cause, count }, to);
  }

  #pushGap(data: GapData, sequence?: Sequence): void {
    const body = {
      stream: this.#plan.name,
      class: this.#plan.profile.streamClass,
      ...data,
      count: undefined,
      lossless: false,
    };
    this.pushControl('gap.detected', body, sequence === undefined ? undefined : { sequence });
    this.#host.gap(data);
  }

  #onRestarted(last: Sequence | undefined, first: Sequence): void {
    this.#era += 1;
    this.#deps.audit.write('sequence.restarted', this.#plan.client, {
      stream: this.#plan.name,
      last: String(last),
      first: String(first),
      era: this.#era,
    });
    const gap: GapData = {
      from: last === undefined ? '' : String(last),
      to: String(first),
      cause: 'sequence_restarted',
      count: undefined,
    };
    this.pushControl(
      'gap.detected',
      { stream: this.#plan.name, class: 'A', ...gap, lossless: false },
      { sequence: first > 0 ? pred(first) : undefined },
    );
    this.#host.gap(gap);
  }

  #distinct(): number {
    return this.#plan.profile.streamClass === 'A' ? this.#tracker.distinct : this.received;
  }

  #stamp(replay: Replay, position?: Position): Stamp {
    return {
      epoch: this.#host.epoch,
      ord: this.#outbox.lastOrd + 1,
      era: this.#era,
      replay,
      nowMs: this.#nowMs,
      nowEpochMs: this.#deps.nowEpochMs(),
      position,
    };
  }
}

const SILENT: FrameSink = {
  event: () => undefined,
  control: () => undefined,
  emptyBatch: () => undefined,
  poison: () => undefined,
};
