import { createHash } from 'node:crypto';
import type { StreamPlan } from '../../config/plan.ts';
import type { Checkpoint } from '../../coordination/store.ts';
import type { Outbox, Snapshot } from '../../core/events/outbox.ts';
import { RecentIds } from '../../core/events/recent-ids.ts';
import { parseSequence, type Sequence } from '../../core/events/sequence.ts';
import { SequenceTracker } from '../../core/events/sequence-tracker.ts';
import type { Control } from '../../core/session/session-model.ts';
import type { GapCause } from '../../core/vocabulary.ts';
import type { ControlType, Parcel, Replay } from '../../delivery/envelope.ts';
import { FrameReader, type EventView, type FrameSink } from '../../platforms/frame-reader.ts';
import type { Position } from '../../platforms/profile.ts';
import type { Deps } from '../runtime/environment.ts';
import { AcceptedTail } from './accepted-tail.ts';
import type { Covering } from './checkpointer.ts';
import { ContinuityNotices } from './continuity-notices.ts';
import type { IntakeNote, IntakeStage } from './intake-note.ts';
import { ParcelWriter } from './parcel-writer.ts';
import { positionOf, printOf } from './positions.ts';
import { ReceiptClock } from './receipt-clock.ts';
import { ReplayMark } from './replay-mark.ts';
import { ResumePoint } from './resume-point.ts';
import { sequenceRecord } from './sequence-record.ts';
import { decodeAhead, SettledBefore } from './settled-before.ts';
import { StreamBaseline } from './stream-baseline.ts';
import { TimeGap } from './time-gap.ts';

/** Identities remembered where no sequence tells duplicates apart. */
const RECENT_IDS = 16_384;
/** Bytes of an unreadable frame that its control event repeats. */
const POISON_BYTES = 65_536;

/**
 * Turns frames into parcels: order, duplicates, gaps and positions of one stream. Puts what it accepts into the outbox,
 * encoded once.
 */
export class Intake implements FrameSink {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #epoch: number;
  readonly #notes: IntakeNote[] = [];
  readonly #outbox: Outbox<Parcel>;
  readonly #reader: FrameReader;
  readonly #heldReader: FrameReader;
  readonly #tracker: SequenceTracker<Buffer>;
  readonly #recent = new RecentIds(RECENT_IDS);
  readonly #tail = new AcceptedTail();
  readonly #replay = new ReplayMark();
  readonly #settledBefore = new SettledBefore();
  readonly #timeGap = new TimeGap();
  readonly receipts: ReceiptClock;
  readonly resume: ResumePoint;
  readonly #writer: ParcelWriter;
  readonly #notices: ContinuityNotices;
  readonly #baseline: StreamBaseline;
  #index = 0;
  #baseDistinct = 0;
  #baseMissing = 0;
  /** Events that ended the consumer in an earlier term, by id as JSON text. */
  #knownSuspects: Map<string, number> = new Map();
  received = 0;
  duplicates = 0;
  poisoned = 0;
  conflicts = 0;

  constructor(plan: StreamPlan, deps: Deps, stage: IntakeStage) {
    this.#plan = plan;
    this.#deps = deps;
    this.#outbox = stage.outbox;
    this.#epoch = stage.epoch;
    this.#reader = new FrameReader(plan.profile, plan.fields);
    this.#heldReader = new FrameReader(plan.profile, plan.fields);
    this.#tracker = new SequenceTracker<Buffer>(plan.tracker, (bytes) => bytes.length);
    this.receipts = new ReceiptClock(deps);
    this.resume = new ResumePoint(plan, deps, { tracker: this.#tracker, receipts: this.receipts });
    this.#writer = new ParcelWriter(plan, deps, stage, { receipts: this.receipts, resume: this.resume });
    this.#notices = new ContinuityNotices(plan, deps, this.#writer, this.#notes);
    this.#baseline = new StreamBaseline(deps, stage.epoch, this.#notes);
  }

  /**
   * Continues from a checkpoint. Marks as `resume` what the platform sends above it: it may have been delivered before.
   */
  restore(checkpoint: Checkpoint): void {
    this.#index = checkpoint.index;
    this.#baseDistinct = checkpoint.distinct;
    this.#baseMissing = checkpoint.missing;
    this.#writer.era = checkpoint.era;
    this.receipts.lastReceivedEpochMs = checkpoint.settledAtEpochMs;
    this.resume.restore(checkpoint.position);
    this.#settledBefore.count = checkpoint.aheadCount ?? 0;
    this.#baseline.known();
    this.#knownSuspects = new Map(checkpoint.suspects);
    this.#replay.restarted(this.#plan.outbox, this.#deps.nowEpochMs());
    const { stored } = this.resume;
    if (stored?.kind === 'sequence') return this.#restoreSequence(parseSequence(stored.value), checkpoint);
    for (const identity of checkpoint.tail) this.#recent.add(identity);
    if (this.#plan.profile.streamClass === 'B') this.#tail.restore(checkpoint.tail);
  }

  #restoreSequence(last: Sequence | undefined, checkpoint: Checkpoint): void {
    if (last === undefined) return;
    const prints = checkpoint.tail.flatMap(printOf);
    this.#tracker.restore(last, prints);
    this.#writer.restore(last);
    this.#settledBefore.restore(
      decodeAhead(last, checkpoint.ahead ?? []),
      new Map(prints.map(({ sequence, print }) => [String(sequence), print])),
    );
  }

  takeNotes(): readonly IntakeNote[] {
    return this.#notes.length === 0 ? this.#notes : this.#notes.splice(0);
  }

  read(data: Buffer, isBinary: boolean): void {
    this.receipts.received();
    this.#reader.read(data, isBinary, this);
  }

  /** @param expired the position was refused. @param asked the link was asked for a position. */
  linkOpened(expired: boolean, asked: boolean): void {
    this.#replay.linkOpened(this.#deps.nowEpochMs());
    this.receipts.linkOpened();
    this.resume.linkOpened();
    this.#notices.linkOpened(expired, asked);
  }

  /** @param downForMs how long there was no connection before this process knew of the stream. */
  interrupted(reason: string, downForMs = 0): void {
    this.#notices.interrupted(reason, downForMs);
  }

  get continuityRate(): number {
    const distinct = this.#baseDistinct + this.#distinct();
    const missing = this.#baseMissing + this.#tracker.missing;
    return distinct + missing === 0 ? 1 : distinct / (distinct + missing);
  }

  /** Notes that what came since then cannot be asked for again: it is announced when the stream is open. */
  holeSince(epochMs: number): void {
    this.#timeGap.since(epochMs);
  }
  get holed(): boolean {
    return this.#timeGap.pending;
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
        this.#notes.push({ kind: 'ask-again' });
        return;
      case 'gap':
        this.#notices.missing(missing.from, missing.to);
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
      this.#notices.repeated(this.resume.provedBy(view));
      this.#advanceBy(view, identity);
      return;
    }
    this.#accept(view, this.#replay.of(view, this.receipts.lastReceivedEpochMs));
  }

  control(control: Control, type: string): void {
    if (control === 'position-expired') this.#notices.positionRefused();
    this.#notes.push({ kind: 'control', control, type });
  }

  emptyBatch(): void {
    this.#notes.push({ kind: 'empty-batch' });
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

  pushControl(type: ControlType, data: Readonly<Record<string, unknown>> | string): void {
    this.#writer.control(type, data);
  }

  redrive(attributes: string, data: Buffer, eventId: string): number {
    return this.#writer.redriven(attributes, data, eventId);
  }

  /** Announces a gap by time: of class C, or left by a restart. Does nothing where there is none. */
  announceHole(cause: GapCause): void {
    const fromEpochMs = this.#timeGap.announcedAs(this.#outbox.lastOrd + 1);
    if (fromEpochMs === undefined) return;
    // Until this notice is settled the store must go on without a position.
    this.#baseline.known();
    this.#notices.hole(fromEpochMs, cause);
  }

  // --- checkpoint ---

  /** Returns the record of what is settled; undefined while there is nothing that it could name. */
  checkpointAt({ ord, item: floor, runs }: Snapshot<Parcel>): Covering | undefined {
    const distinct = this.#baseDistinct + Math.max(0, this.#distinct() - this.#outbox.backlog);
    this.#timeGap.settled(ord);
    const receivedEpochMs = this.receipts.notBehind(floor?.heardEpochMs ?? this.receipts.lastReceivedEpochMs);
    const base = {
      schema: 1 as const,
      epoch: this.#epoch,
      index: this.#index + ord,
      era: floor?.era ?? this.#writer.era,
      distinct,
      missing: this.#baseMissing + this.#tracker.missing,
      settledAtEpochMs: this.#timeGap.vouchedUntil(receivedEpochMs),
    };
    if (this.#plan.profile.streamClass === 'A') {
      const known = { start: this.#start, tracker: this.#tracker, before: this.#settledBefore, outbox: this.#outbox };
      return sequenceRecord(base, { ord, item: floor, runs }, known);
    }
    if (floor === undefined) return undefined;
    // A control event may be settled before the first event is: then the position before the first event still stands.
    const record = this.#tail.recordFor(ord, floor.position ?? positionOf(this.#start));
    return { record: { ...base, ...record }, ord, ahead: 0 };
  }

  /**
   * Returns where a stream stands that has settled no event; no position while a gap by time is open, or a crash would
   * hide it.
   */
  get #start(): string {
    return this.#timeGap.open ? '' : this.resume.beforeFirst;
  }

  #sequenced(view: EventView): void {
    const offered = this.#tracker.offer(
      view.sequence,
      view.print(),
      () => Buffer.from(view.bytes.subarray(view.start, view.end)),
      this.receipts.nowMs,
    );
    switch (offered) {
      case 'next':
        this.#accept(view, this.#replay.of(view, this.receipts.lastReceivedEpochMs));
        if (this.#tracker.heldCount > 0) this.#release();
        return;
      case 'duplicate':
        this.duplicates += 1;
        this.#notices.repeated(true);
        this.#settledBefore.cameAgain(view.sequence, view.print());
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
        // The event first: were the notice acknowledged alone, a crash would lose the event that fills the gap.
        this.#accept(view, 'backfill');
        this.pushControl('gap.filled', {
          stream: this.#plan.name,
          from: String(view.sequence),
          to: String(view.sequence),
          mode: 'late_arrival',
        });
    }
  }

  /** Accepts the early events whose turn has come. */
  #release(): void {
    for (const bytes of this.#tracker.released()) {
      this.#heldReader.read(bytes, false, {
        ...SILENT,
        event: (view) => {
          this.#accept(view, this.#replay.of(view, this.receipts.lastReceivedEpochMs));
        },
      });
    }
  }

  #accept(view: EventView, replay: Replay): void {
    const byPosition = this.#plan.profile.streamClass !== 'A';
    const position = byPosition ? this.resume.believed(view.position()) : undefined;
    this.#notices.accepted(position, this.resume.stored);
    if (position !== undefined) this.resume.advance(position);
    if (this.received === 0 && this.resume.beforeFirst === '') this.#began(view, position);
    const parcel = this.#writer.encode(view, replay);
    this.received += 1;
    this.#replay.accepted();
    if (this.#wasSettledBefore(parcel)) {
      this.duplicates += 1;
      this.#outbox.pushSettled(parcel, this.#writer.traits);
      return;
    }
    const { ord } = this.#writer.push(view, parcel);
    if (this.#plan.profile.streamClass === 'B') this.#tail.add(ord, parcel, position);
    this.#recognise(parcel, ord);
  }

  #began(view: EventView, position: Position | undefined): void {
    this.resume.noteFirst(view.sequence, position);
    this.#baseline.began(this.resume.beforeFirst, this.#writer.era);
  }

  /** Returns whether an earlier term had settled the event ahead of its checkpoint. */
  #wasSettledBefore({ sequence, print }: Parcel): boolean {
    return sequence !== undefined && !this.#writer.late && this.#settledBefore.has(sequence, print);
  }

  #recognise({ idText }: Parcel, ord: number): void {
    const losses = this.#knownSuspects.size === 0 ? undefined : this.#knownSuspects.get(idText);
    if (losses === undefined) return;
    this.#knownSuspects.delete(idText);
    this.#notes.push({ kind: 'suspect', ord, losses });
  }

  /**
   * Moves the resume value on for a repetition as well: a replay that is cut off again and again must not begin at the
   * same place each time.
   */
  #advanceBy(view: EventView, identity: string): void {
    const position = this.resume.believed(view.position());
    this.#tail.cameAgain(identity, position);
    if (position?.kind === 'since') this.resume.advance(position);
  }

  /** Notes that the stream is subscribed from now on (see `StreamBaseline.subscribed`). */
  subscribed(): void {
    this.receipts.subscribed();
    this.#baseline.subscribed(this.#writer.era);
  }

  /** Ends the term while the stream is connected: if nothing came in it, nothing was missed until now. */
  unsubscribed(): void {
    if (this.received === 0 && this.#outbox.backlog === 0) this.#baseline.unsubscribed(this.#writer.era);
  }

  #onRestarted(last: Sequence | undefined, first: Sequence): void {
    this.#writer.era += 1;
    this.#settledBefore.clear();
    this.#deps.audit.write('sequence.restarted', this.#plan.client, {
      stream: this.#plan.name,
      last: String(last),
      first: String(first),
      era: this.#writer.era,
    });
    this.#notices.restarted(last, first);
  }

  #distinct(): number {
    return this.#plan.profile.streamClass === 'A' ? this.#tracker.distinct : this.received;
  }
}

const NOTHING = (): void => undefined;
const SILENT: FrameSink = { event: NOTHING, control: NOTHING, emptyBatch: NOTHING, poison: NOTHING };
