import type { StreamPlan } from '../../config/plan.ts';
import {
  CONTROL,
  EVENT,
  NEXT_EVENT,
  OTHER,
  REDRIVEN,
  type Outbox,
  type OutboxEntry,
  type Traits,
} from '../../core/events/outbox.ts';
import { distance, type Sequence } from '../../core/events/sequence.ts';
import { Encoder, type ControlType, type Parcel, type Replay, type Stamp } from '../../delivery/envelope.ts';
import type { EventView } from '../../platforms/frame-reader.ts';
import type { Position } from '../../platforms/profile.ts';
import type { Deps } from '../runtime/environment.ts';
import type { IntakeStage } from './intake-note.ts';
import type { ReceiptClock } from './receipt-clock.ts';
import type { ResumePoint } from './resume-point.ts';

/** Encodes, once, what goes to the consumer and puts it into the outbox: events, control events, redriven letters. */
export class ParcelWriter {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #outbox: Outbox<Parcel>;
  readonly #epoch: number;
  readonly #wake: () => void;
  readonly #receipts: ReceiptClock;
  readonly #resume: ResumePoint;
  readonly #encoder: Encoder;
  /** Class A: the position of the last parcel in the outbox. The tracker may already be further. */
  #lastPushed: Sequence | undefined;
  /** True when the event encoded last comes late. */
  late = false;
  /** What a checkpoint can name of the event encoded last. */
  traits: Traits = OTHER;
  /** Number of the platform's numbering: it grows when the platform begins to count anew. */
  era = 0;

  constructor(
    plan: StreamPlan,
    deps: Deps,
    stage: IntakeStage,
    facts: { readonly receipts: ReceiptClock; readonly resume: ResumePoint },
  ) {
    this.#plan = plan;
    this.#deps = deps;
    this.#outbox = stage.outbox;
    this.#epoch = stage.epoch;
    this.#wake = stage.wake;
    this.#receipts = facts.receipts;
    this.#resume = facts.resume;
    this.#encoder = new Encoder(plan);
  }

  /** Goes on behind this number of the platform. */
  restore(last: Sequence): void {
    this.#lastPushed = last;
  }

  /** Encodes an event. `backfill`: it comes late, and stands for no position of its own. */
  encode(view: EventView, replay: Replay): Parcel {
    const encoded = this.#encoder.event(view, this.#stamp(replay, this.#resume.stored));
    this.late = replay === 'backfill' && this.#lastPushed !== undefined;
    const parcel = this.late ? { ...encoded, sequence: this.#lastPushed } : encoded;
    this.traits = this.#traitsOf(parcel);
    if (!this.late) this.#lastPushed = parcel.sequence;
    return parcel;
  }

  /** Puts the event that was encoded last into the outbox. */
  push(view: EventView, parcel: Parcel): OutboxEntry<Parcel> {
    return this.#outbox.push(parcel, this.#keyOf(view), parcel.ce.length, this.traits);
  }

  /** Puts a control event in order with the data. @param at.sequence class A: the number that it stands for. */
  control(
    type: ControlType,
    data: Readonly<Record<string, unknown>> | string,
    at?: { readonly sequence: Sequence | undefined },
  ): void {
    const parcel = this.#encoder.control(type, data, this.#stamp('live'));
    if (at !== undefined) this.#lastPushed = at.sequence;
    this.#outbox.push(this.#here(parcel), '\u0000control', parcel.ce.length, CONTROL);
    this.#wake();
  }

  /** Puts a dead letter into the outbox again. @returns its number in the outbox. */
  redriven(attributes: string, data: Buffer, eventId: string): number {
    const parcel = this.#encoder.redriven(attributes, data, eventId, this.#stamp('redrive'));
    const entry = this.#outbox.push(this.#here(parcel), `\u0000redrive-${eventId}`, parcel.ce.length, REDRIVEN);
    this.#wake();
    return entry.ord;
  }

  /** Gives a parcel that is no event of the platform the position of the event before it. */
  #here(parcel: Parcel): Parcel {
    return { ...parcel, sequence: this.#lastPushed, position: this.#resume.stored };
  }

  #keyOf(view: EventView): string {
    const { mode, order } = this.#plan.delivery;
    return mode === 'Push' && order === 'key' ? this.#encoder.keyOf(view) : '';
  }

  /** Returns whether a checkpoint can name the event by its number, and whether that number follows the one before. */
  #traitsOf({ sequence }: Parcel): Traits {
    if (sequence === undefined || this.late) return OTHER;
    return this.#lastPushed !== undefined && distance(sequence, this.#lastPushed) === 1 ? NEXT_EVENT : EVENT;
  }

  #stamp(replay: Replay, position?: Position): Stamp {
    return {
      epoch: this.#epoch,
      ord: this.#outbox.lastOrd + 1,
      era: this.era,
      replay,
      nowMs: this.#receipts.nowMs,
      nowEpochMs: this.#deps.nowEpochMs(),
      heardEpochMs: this.#receipts.heardEpochMs,
      position,
    };
  }
}
