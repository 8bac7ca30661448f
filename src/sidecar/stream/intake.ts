import { createHash } from 'node:crypto';
import type { StreamPlan } from '../../config/plan.ts';
import type { Checkpoint } from '../../coordination/store.ts';
import { RecentIds } from '../../core/events/recent-ids.ts';
import {
  CONTROL,
  EVENT,
  NEXT_EVENT,
  OTHER,
  REDRIVEN,
  type Outbox,
  type Snapshot,
  type Traits,
} from '../../core/events/outbox.ts';
import { distance, parseSequence, pred, type Sequence } from '../../core/events/sequence.ts';
import type { Control } from '../../core/session/session-model.ts';
import { SequenceTracker } from '../../core/events/sequence-tracker.ts';
import type { GapCause } from '../../core/vocabulary.ts';
import { Encoder, type ControlType, type Parcel, type Replay, type Stamp } from '../../delivery/envelope.ts';
import { FrameReader, type EventView, type FrameSink } from '../../platforms/frame-reader.ts';
import type { Position } from '../../platforms/profile.ts';
import type { Covering } from './checkpointer.ts';
import type { Deps } from '../runtime/environment.ts';
import { TimeGap } from './time-gap.ts';
import type { GapData, IntakeNote, IntakeStage } from './intake-note.ts';
import { isoOf, positionOf, printOf } from './positions.ts';
import { RecentTimes } from './recent-times.ts';
import { ReplayMark } from './replay-mark.ts';
import { sequenceRecord } from './sequence-record.ts';
import { decodeAhead, SettledBefore } from './settled-before.ts';
import { AcceptedTail } from './accepted-tail.ts';

/** Identities remembered where no sequence tells duplicates apart. */
const RECENT_IDS = 16_384;
const POISON_BYTES = 65_536;
/** Reading without a frame for so long has caught up with what was sent. */
const CAUGHT_UP_MS = 100;
/** In-process, class B asks from a little earlier than its position: identities sort out what repeats. */
const SINCE_OVERLAP_MS = 1000;
/**
 * Platform times further from our receipt than this are not believed as positions (a 1970 or 9999 date must not move
 * the resume point).
 */
const BELIEVED_PAST_MS = 30 * 86_400_000;
const BELIEVED_FUTURE_MS = 300_000;

/**
 * From frames to parcels: order, duplicates, gaps and positions of one stream. What it accepts is in the outbox,
 * encoded once.
 */
export class Intake implements FrameSink {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #epoch: number;
  readonly #wake: () => void;
  #notes: IntakeNote[] = [];
  readonly #outbox: Outbox<Parcel>;
  readonly #encoder: Encoder;
  readonly #reader: FrameReader;
  readonly #heldReader: FrameReader;
  readonly #tracker: SequenceTracker<Buffer>;
  readonly #recent = new RecentIds(RECENT_IDS);
  readonly #tail = new AcceptedTail();
  readonly #recentTimes = new RecentTimes();
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
  /**
   * Resume value of a stream that has settled no event: just before its first one, `kind:value`; empty where that
   * cannot be said.
   */
  #beforeFirst = '';
  readonly #settledBefore = new SettledBefore();
  /** Events that an earlier term saw end the consumer, by id as JSON text. */
  #knownSuspects: Map<string, number> = new Map();
  #nowMs = 0;
  /** Set from a disconnect until the first event after it. */
  #resuming: { readonly reason: string; readonly sinceMs: number; readonly announced: boolean } | undefined;
  #sawRepeat = false;
  #lostOnResume = false;
  #expired = false;
  /** When the link opened, if it offers only what is made from then on; else 0. */
  #onlyNewEpochMs = 0;
  lastReceivedEpochMs = 0;
  #subscribedEpochMs = 0;
  /** Since when frames may wait on the way because reading was paused; until it has caught up. */
  #behindSinceEpochMs: number | undefined;
  #readingSinceMs = 0;
  readonly #timeGap = new TimeGap();
  received = 0;
  duplicates = 0;
  poisoned = 0;
  conflicts = 0;

  constructor(plan: StreamPlan, deps: Deps, stage: IntakeStage) {
    this.#plan = plan;
    this.#deps = deps;
    this.#outbox = stage.outbox;
    this.#epoch = stage.epoch;
    this.#wake = stage.wake;
    this.#encoder = new Encoder(plan);
    this.#reader = new FrameReader(plan.profile, plan.fields);
    this.#heldReader = new FrameReader(plan.profile, plan.fields);
    this.#tracker = new SequenceTracker<Buffer>(plan.tracker, (bytes) => bytes.length);
  }

  /**
   * Continues from a checkpoint. What the platform sends above it may have been delivered before: it is marked
   * `resume`.
   */
  restore(checkpoint: Checkpoint): void {
    this.#era = checkpoint.era;
    this.#index = checkpoint.index;
    this.#baseDistinct = checkpoint.distinct;
    this.#baseMissing = checkpoint.missing;
    this.lastReceivedEpochMs = checkpoint.settledAtEpochMs;
    this.#position = positionOf(checkpoint.position);
    this.#restored = this.#position;
    this.#settledBefore.count = checkpoint.aheadCount ?? 0;
    this.#baselined = 'position';
    this.#beforeFirst = checkpoint.position;
    this.#knownSuspects = new Map(checkpoint.suspects);
    this.#replay.restarted(this.#plan.outbox, this.#deps.nowEpochMs());
    if (this.#position?.kind === 'sequence') {
      const last = parseSequence(this.#position.value);
      if (last !== undefined) {
        this.#tracker.restore(last, checkpoint.tail.flatMap(printOf));
        this.#lastPushed = last;
        this.#settledBefore.restore(
          decodeAhead(last, checkpoint.ahead ?? []),
          new Map(checkpoint.tail.flatMap(printOf).map(({ sequence, print }) => [String(sequence), print])),
        );
      }
    } else {
      for (const identity of checkpoint.tail) this.#recent.add(identity);
      if (this.#plan.profile.streamClass === 'B') this.#tail.restore(checkpoint.tail);
    }
  }

  takeNotes(): readonly IntakeNote[] {
    return this.#notes.length === 0 ? this.#notes : this.#notes.splice(0);
  }

  read(data: Buffer, isBinary: boolean): void {
    const nowMs = this.#deps.nowMs();
    // Nothing came for a while although we read: what was sent before is read.
    if (this.#behindSinceEpochMs !== undefined && nowMs - Math.max(this.#nowMs, this.#readingSinceMs) >= CAUGHT_UP_MS)
      this.#behindSinceEpochMs = undefined;
    this.#nowMs = nowMs;
    this.lastReceivedEpochMs = this.#deps.nowEpochMs();
    this.#reader.read(data, isBinary, this);
  }

  /**
   * What the next dial asks for; undefined: nothing is known yet, or the class cannot resume. @param overlap the old
   * link stays open.
   */
  resumePosition(overlap: boolean): Position | undefined {
    const position = this.position;
    if (position === undefined) return undefined;
    if (position.kind === 'sequence' && !overlap) this.#tracker.resumeAsked();
    if (position.kind !== 'since') return position;
    // One millisecond earlier covers both readings of the bound, inclusive and exclusive; a checkpoint's tail is no
    // longer than that.
    const floorMs = this.#restored?.kind === 'since' ? Number(this.#restored.value) - 1 : -Infinity;
    return { kind: 'since', value: String(Math.max(floorMs, Number(position.value) - SINCE_OVERLAP_MS)) };
  }

  /** @param expired the position was refused. @param asked the link was asked for one. */
  linkOpened(expired: boolean, asked: boolean): void {
    this.#replay.linkOpened(this.#deps.nowEpochMs());
    this.#onlyNewEpochMs = asked ? 0 : this.#deps.nowEpochMs();
    this.#behindSinceEpochMs = undefined;
    this.#recentTimes.begin(this.#deps.nowEpochMs());
    this.#expired ||= expired;
    this.#sawRepeat = false;
    this.#lostOnResume = false;
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

  /**
   * Reading stops for a moment, or goes on: what is sent meanwhile waits on the way, and is read later than it came.
   */
  paused(paused: boolean): void {
    if (paused) this.#behindSinceEpochMs ??= this.lastReceivedEpochMs;
    this.#readingSinceMs = paused ? Infinity : this.#deps.nowMs();
  }

  /** Since when something may be missing that was sent: since nothing came, or since we are behind with reading. */
  get silentSinceEpochMs(): number {
    const receivedEpochMs = Math.max(this.lastReceivedEpochMs, this.#subscribedEpochMs);
    return Math.min(receivedEpochMs, this.#behindSinceEpochMs ?? Infinity);
  }
  /** What came since then cannot be asked for again: it is announced when the stream is open. */
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
      this.#sawRepeat ||= this.#provesReplay(view);
      this.#advanceBy(view, identity);
      return;
    }
    this.#accept(view, this.#replay.of(view, this.lastReceivedEpochMs));
  }

  control(control: Control, type: string): void {
    if (control === 'position-expired') this.#expired = true;
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
      CONTROL,
    );
    this.#wake();
  }

  redrive(attributes: string, data: Buffer, eventId: string): number {
    const parcel = this.#encoder.redriven(attributes, data, eventId, this.#stamp('redrive'));
    const entry = this.#outbox.push(
      { ...parcel, sequence: this.#lastPushed, position: this.#position },
      `\u0000redrive-${eventId}`,
      parcel.ce.length,
      REDRIVEN,
    );
    this.#wake();
    return entry.ord;
  }

  /** A class C hole, or the hole a restart left: times are all that is known. Nothing when there is none. */
  announceHole(cause: GapCause): void {
    const fromEpochMs = this.#timeGap.announcedAs(this.#outbox.lastOrd + 1);
    if (fromEpochMs === undefined) return;
    const toEpochMs = this.#deps.nowEpochMs();
    const fromTime = new Date(Math.min(fromEpochMs, toEpochMs)).toISOString();
    const toTime = new Date(toEpochMs).toISOString();
    // Until this notice is settled the store must go on saying that no position is known.
    this.#baselined = 'position';
    this.#pushGap({ from: fromTime, to: toTime, cause, count: undefined, fromTime, toTime });
    this.#lostOnResume = true;
  }

  // --- checkpoint ---

  /** The record of what is settled; undefined while there is nothing that it could name. */
  checkpointAt({ ord, item: floor, runs }: Snapshot<Parcel>): Covering | undefined {
    const distinct = this.#baseDistinct + Math.max(0, this.#distinct() - this.#outbox.backlog);
    this.#timeGap.settled(ord);
    const floorEpochMs = floor?.heardEpochMs ?? this.lastReceivedEpochMs;
    const receivedEpochMs = Math.min(floorEpochMs, this.#behindSinceEpochMs ?? Infinity);
    const base = {
      schema: 1 as const,
      epoch: this.#epoch,
      index: this.#index + ord,
      era: floor?.era ?? this.#era,
      distinct,
      missing: this.#baseMissing + this.#tracker.missing,
      settledAtEpochMs: this.#timeGap.vouchedUntil(receivedEpochMs),
    };
    if (this.#plan.profile.streamClass === 'A') {
      const known = { start: this.#start, tracker: this.#tracker, before: this.#settledBefore, outbox: this.#outbox };
      return sequenceRecord(base, { ord, item: floor, runs }, known);
    }
    if (floor === undefined) return undefined;
    // A control event may be settled before the first event is: then what was said before that one still holds.
    const record = this.#tail.recordFor(ord, floor.position ?? positionOf(this.#start));
    return { record: { ...base, ...record }, ord, ahead: 0 };
  }

  /**
   * Where a stream stands that has settled no event. While a hole is open nothing may vouch for a position: a crash
   * would hide the hole.
   */
  get #start(): string {
    return this.#timeGap.open ? '' : this.#beforeFirst;
  }

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
    if (this.received === 0 && this.#beforeFirst === '') this.#noteFirst(view, position);
    const encoded = this.#encoder.event(view, this.#stamp(replay, this.#position));
    const late = replay === 'backfill' && this.#lastPushed !== undefined;
    const parcel = late ? { ...encoded, sequence: this.#lastPushed } : encoded;
    const traits = this.#traitsOf(parcel, late);
    if (!late) this.#lastPushed = parcel.sequence;
    if (parcel.sequence !== undefined && !late && this.#settledBefore.has(parcel.sequence, parcel.print)) {
      this.duplicates += 1;
      this.#outbox.pushSettled(parcel, traits);
      this.received += 1;
      this.#replay.accepted();
      return;
    }
    const entry = this.#outbox.push(parcel, this.#keyOf(view), parcel.ce.length, traits);
    if (this.#plan.profile.streamClass === 'B') this.#tail.add(entry.ord, parcel, position);
    this.#recognise(parcel, entry.ord);
    this.received += 1;
    this.#replay.accepted();
  }

  #keyOf(view: EventView): string {
    const { mode, order } = this.#plan.delivery;
    return mode === 'Push' && order === 'key' ? this.#encoder.keyOf(view) : '';
  }

  /** Whether a checkpoint can name the event by its number, and whether that follows the one before. */
  #traitsOf({ sequence }: Parcel, late: boolean): Traits {
    if (sequence === undefined || late) return OTHER;
    return this.#lastPushed !== undefined && distance(sequence, this.#lastPushed) === 1 ? NEXT_EVENT : EVENT;
  }

  #recognise({ idText }: Parcel, ord: number): void {
    const losses = this.#knownSuspects.size === 0 ? undefined : this.#knownSuspects.get(idText);
    if (losses === undefined) return;
    this.#knownSuspects.delete(idText);
    this.#notes.push({ kind: 'suspect', ord, losses });
  }

  /**
   * What comes again moves the resume value on as well: a replay that is cut off again and again must not begin at the
   * same place each time.
   */
  #advanceBy(view: EventView, identity: string): void {
    const position = this.#believed(view.position());
    this.#tail.cameAgain(identity, position);
    if (position?.kind === 'since') this.#advance(position);
  }

  /**
   * A repetition proves that the platform replays from our position, unless the event was stamped ahead of it: then it
   * says nothing about what came between.
   */
  #provesReplay(view: EventView): boolean {
    const position = view.position();
    if (position?.kind !== 'since' || this.#position?.kind !== 'since') return true;
    return Number(position.value) <= Number(this.#position.value);
  }

  /**
   * Moves the resume value on. A time never moves it past the receipt: what the platform makes after an event that is
   * stamped ahead would be skipped; our clock being behind costs repetitions only. In a replay the receipt says
   * nothing: there the earliest time among the last events holds it back.
   */
  #advance(position: Position): void {
    if (position.kind === 'since') {
      const nowEpochMs = this.#deps.nowEpochMs();
      const at = { receivedMs: nowEpochMs, behind: this.#behindSinceEpochMs !== undefined };
      const ms = this.#recentTimes.lowest(Math.min(Number(position.value), nowEpochMs), at);
      if (ms === undefined || (this.#position?.kind === 'since' && ms <= Number(this.#position.value))) return;
      this.#position = { kind: 'since', value: String(ms) };
      return;
    }
    this.#position = position;
  }

  /** A platform's time as a position; undefined where it is not believed. */
  #believed(position: Position | undefined): Position | undefined {
    if (position?.kind !== 'since') return position;
    const nowEpochMs = this.#deps.nowEpochMs();
    const age = nowEpochMs - Number(position.value);
    return age > BELIEVED_PAST_MS || age < -BELIEVED_FUTURE_MS ? undefined : position;
  }

  /**
   * The record of a stream that has settled nothing yet: just before its first event. A position that cannot be named
   * stays empty; the next start then announces the time.
   */
  #noteFirst(view: EventView, position: Position | undefined): void {
    const { sequence } = view;
    if (this.#plan.profile.streamClass === 'A')
      this.#beforeFirst = sequence > 0 ? `sequence:${String(pred(sequence))}` : '';
    else if (position?.kind === 'since') {
      // Others that are stamped a little earlier may still be on their way.
      const firstMs = Math.min(Number(position.value), this.#deps.nowEpochMs());
      this.#beforeFirst = `since:${String(firstMs - SINCE_OVERLAP_MS)}`;
      this.#position ??= positionOf(this.#beforeFirst);
    }
    if (this.#baselined === 'position') return;
    this.#baselined = 'position';
    this.#notes.push({ kind: 'baseline', record: this.#baseline(this.#beforeFirst) });
  }

  /**
   * The stream is subscribed from now on: whatever the platform makes is ours to deliver or to announce, also if the
   * first event never reaches us.
   */
  subscribed(): void {
    this.#subscribedEpochMs = this.#deps.nowEpochMs();
    if (this.#baselined !== 'nothing') return;
    this.#baselined = 'subscribed';
    this.#notes.push({ kind: 'baseline', record: this.#baseline('') });
  }

  /** The end of a term in which nothing came: until now nothing was missed. */
  unsubscribed(): void {
    if (this.#baselined === 'subscribed' && this.received === 0 && this.#outbox.backlog === 0)
      this.#notes.push({ kind: 'baseline', record: this.#baseline('') });
  }

  #baseline(position: string): Checkpoint {
    return {
      schema: 1,
      epoch: this.#epoch,
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
    // The first that comes may be stamped behind what was lost just before it.
    const nextMs =
      next?.kind === 'since' ? Math.max(Number(next.value), this.#onlyNewEpochMs) : this.#deps.nowEpochMs();
    const toMs = Math.max(nextMs, Number(before.value));
    const times = before.kind === 'since' ? { fromTime: isoOf(before.value), toTime: isoOf(String(toMs)) } : {};
    const to = next?.value ?? '';
    this.#pushGap({ from: before.value, to, cause: 'retention_exceeded', count: undefined, ...times });
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
    this.#notes.push({ kind: 'gap', data });
  }

  #onRestarted(last: Sequence | undefined, first: Sequence): void {
    this.#era += 1;
    this.#settledBefore.clear();
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
    this.#notes.push({ kind: 'gap', data: gap });
  }

  #distinct(): number {
    return this.#plan.profile.streamClass === 'A' ? this.#tracker.distinct : this.received;
  }

  #stamp(replay: Replay, position?: Position): Stamp {
    return {
      epoch: this.#epoch,
      ord: this.#outbox.lastOrd + 1,
      era: this.#era,
      replay,
      nowMs: this.#nowMs,
      nowEpochMs: this.#deps.nowEpochMs(),
      heardEpochMs: Math.max(this.lastReceivedEpochMs, this.#subscribedEpochMs),
      position,
    };
  }
}

const NOTHING = (): void => undefined;
const SILENT: FrameSink = { event: NOTHING, control: NOTHING, emptyBatch: NOTHING, poison: NOTHING };
