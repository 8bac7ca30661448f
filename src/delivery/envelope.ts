import type { StreamPlan } from '../config/plan.ts';
import type { Sequence } from '../core/events/sequence.ts';
import { decodeString, type EventView } from '../platforms/frame-reader.ts';
import type { Position } from '../platforms/profile.ts';

export type Replay = 'live' | 'resume' | 'backfill' | 'redrive';

/** Control events beside the data, in order with it. */
export type ControlType =
  | 'stream.interrupted'
  | 'stream.resumed'
  | 'gap.detected'
  | 'gap.filled'
  | 'resync.required'
  | 'leader.changed'
  | 'poison';

/** One CloudEvent, encoded once on receipt. The payload's bytes are inside `ce`, untouched. */
export interface Parcel {
  readonly control: ControlType | undefined;
  /** The structured-mode JSON of the whole CloudEvent. */
  readonly ce: Buffer;
  /** Where the data stands in `ce`. */
  readonly dataAt: number;
  readonly dataEnd: number;
  /** Where the padded attempt number stands in `ce`. */
  readonly attemptAt: number;
  /** CloudEvents id as JSON text, one character per byte; `eventIdOf` decodes it. */
  readonly idText: string;
  /** Class A: the position that this parcel stands for once it is settled, and the numbering that it belongs to. */
  readonly sequence: Sequence | undefined;
  readonly era: number;
  /** Resume value after this event is settled; undefined: that of the one before. */
  readonly position: Position | undefined;
  /** Class A: print; else identity. For recognising replays after a restart. */
  readonly print: number;
  readonly identity: string;
  readonly receivedAtMs: number;
  readonly receivedEpochMs: number;
  /**
   * Time until which everything that the platform sent is here or in an entry before this one. Our own notices and
   * redriven letters prove nothing of it.
   */
  readonly heardEpochMs: number;
}

export interface Stamp {
  readonly epoch: number;
  readonly ord: number;
  readonly era: number;
  readonly replay: Replay;
  readonly nowMs: number;
  readonly nowEpochMs: number;
  /** When the platform was heard last. */
  readonly heardEpochMs: number;
  /** Class B: the resume value after the clock rule; overrides the event's own. */
  readonly position?: Position | undefined;
}

/** Room for the attempt number, padded with spaces, which JSON allows after a number. */
const ATTEMPT_WIDTH = 4;
/** Piece of memory that many events are written into; one that needs more than a quarter of it gets its own. */
const SLAB_BYTES = 65_536;

/**
 * Builds the CloudEvents of one stream (CloudEvents 1.0.2, JSON format). Copies members of the original as bytes, never
 * decoded and encoded again.
 */
export class Encoder {
  readonly #source: string;
  readonly #type: string;
  readonly #stream: string;
  readonly #streamKey: string;
  readonly #classA: boolean;
  #slab = Buffer.alloc(0);
  #used = 0;
  #tailFor = '';
  #tailEpoch = 0;
  #tailHead = '';
  #minute = '\u0000';
  #recordedAt = 0;
  #recorded = '';

  constructor(plan: StreamPlan) {
    this.#source = `,"source":${JSON.stringify(plan.source)},"type":`;
    this.#type = plan.profile.typePrefix;
    this.#stream = plan.name;
    this.#streamKey = JSON.stringify(plan.name);
    this.#classA = plan.profile.streamClass === 'A';
  }

  /** Returns the ordering key of an event: its conversation, else the stream. */
  keyOf(view: EventView): string {
    return asString(view.raw('key')) ?? this.#streamKey;
  }

  event(view: EventView, stamp: Stamp): Parcel {
    const identity = this.#classA ? '' : view.identity();
    const id = asString(view.raw('id')) ?? this.#madeId(view, stamp, identity);
    const type = asString(view.raw('type'));
    const key = asString(view.raw('key'));
    const time = this.#time(view.raw('time'));
    const sequence = this.#classA ? `,"sequence":"${String(view.sequence).padStart(20, '0')}"` : '';
    const head =
      `{"specversion":"1.0","id":${id}${this.#source}"${this.#type}` +
      `${type === undefined ? 'event' : type.slice(1, -1)}"${time}` +
      (key === undefined ? '' : `,"subject":${key}`) +
      `,"datacontenttype":"application/json","partitionkey":${key ?? this.#streamKey}${sequence}` +
      this.#tail(stamp);
    const dataAt = head.length;
    const size = dataAt + (view.end - view.start) + 1;
    const ce = this.#room(size);
    ce.write(head, 0, 'latin1');
    view.bytes.copy(ce, dataAt, view.start, view.end);
    ce[size - 1] = 0x7d;
    return {
      control: undefined,
      ce,
      dataAt,
      dataEnd: size - 1,
      attemptAt: dataAt - ATTEMPT_OFFSET,
      idText: id,
      sequence: this.#classA ? view.sequence : undefined,
      era: stamp.era,
      position: this.#classA ? undefined : stamp.position,
      print: this.#classA ? view.print() : 0,
      identity,
      receivedAtMs: stamp.nowMs,
      receivedEpochMs: stamp.nowEpochMs,
      heardEpochMs: stamp.heardEpochMs,
    };
  }

  control(type: ControlType, data: Readonly<Record<string, unknown>> | string, stamp: Stamp): Parcel {
    const id = `hf-${String(stamp.epoch)}-${String(stamp.ord)}`;
    const body = typeof data === 'string' ? data : JSON.stringify(data);
    const head = Buffer.from(
      `{"specversion":"1.0","id":"${id}"${this.#source}"dev.holdfast.${type}",` +
        `"time":"${this.#recordedTime(stamp.nowEpochMs)}",` +
        `"datacontenttype":"application/json","partitionkey":${this.#streamKey}${this.#tail(stamp)}`,
    );
    const ce = Buffer.concat([head, Buffer.from(body), Buffer.from('}')]);
    return {
      control: type,
      ce,
      dataAt: head.length,
      dataEnd: ce.length - 1,
      attemptAt: head.length - ATTEMPT_OFFSET,
      idText: `"${id}"`,
      sequence: undefined,
      era: stamp.era,
      position: undefined,
      print: 0,
      identity: '',
      receivedAtMs: stamp.nowMs,
      receivedEpochMs: stamp.nowEpochMs,
      heardEpochMs: stamp.heardEpochMs,
    };
  }

  /** Encodes a dead letter on its way again: same id, hfreplay redrive. */
  redriven(attributes: string, data: Buffer, eventId: string, stamp: Stamp): Parcel {
    const kept = JSON.parse(attributes) as Record<string, unknown>;
    for (const name of ['hfepoch', 'hfcursor', 'hfattempt', 'hfreplay', 'recordedtime', 'data'])
      Reflect.deleteProperty(kept, name);
    const head = Buffer.from(JSON.stringify(kept).slice(0, -1) + this.#tail({ ...stamp, replay: 'redrive' }));
    const ce = Buffer.concat([head, data, Buffer.from('}')]);
    return {
      control: undefined,
      ce,
      dataAt: head.length,
      dataEnd: ce.length - 1,
      attemptAt: head.length - ATTEMPT_OFFSET,
      idText: Buffer.from(JSON.stringify(eventId)).toString('latin1'),
      sequence: undefined,
      era: stamp.era,
      position: undefined,
      print: 0,
      identity: '',
      receivedAtMs: stamp.nowMs,
      receivedEpochMs: stamp.nowEpochMs,
      heardEpochMs: stamp.heardEpochMs,
    };
  }

  get stream(): string {
    return this.#stream;
  }

  /** Returns the id of an event that brings none, as JSON text. */
  #madeId(view: EventView, stamp: Stamp, identity: string): string {
    return this.#classA
      ? `"${String(stamp.era)}-${String(view.sequence)}"`
      : Buffer.from(JSON.stringify(identity)).toString('latin1');
  }

  /** Returns our own attributes. hfepoch is a string: CloudEvents integers have 32 bits. */
  #tail(stamp: Stamp): string {
    const recorded = this.#recordedTime(stamp.nowEpochMs);
    if (recorded !== this.#tailFor || stamp.epoch !== this.#tailEpoch) {
      this.#tailFor = recorded;
      this.#tailEpoch = stamp.epoch;
      const epoch = String(stamp.epoch);
      this.#tailHead = `,"recordedtime":"${recorded}","hfepoch":"${epoch}","hfcursor":"${epoch}.`;
    }
    return (
      this.#tailHead +
      String(stamp.ord) +
      (stamp.replay === 'live' ? LIVE_TAIL : `","hfreplay":"${stamp.replay}${FIRST_ATTEMPT}`)
    );
  }

  /**
   * Returns the time attribute. Most events share their minute with the one before: only the seconds are read again.
   */
  #time(raw: string | undefined): string {
    if (raw === undefined) return '';
    if (raw.startsWith(this.#minute) && SECONDS.test(raw.slice(MINUTE_CHARS))) return `,"time":${raw}`;
    const attribute = timeAttribute(raw);
    if (attribute !== '' && raw.charCodeAt(0) === 0x22) this.#minute = raw.slice(0, MINUTE_CHARS);
    return attribute;
  }

  #recordedTime(epochMs: number): string {
    if (epochMs !== this.#recordedAt) {
      this.#recordedAt = epochMs;
      this.#recorded = new Date(epochMs).toISOString();
    }
    return this.#recorded;
  }

  /**
   * Returns a piece of a slab: events leave in the order they came, so a slab is free soon after its last one is
   * settled.
   */
  #room(size: number): Buffer {
    if (size > SLAB_BYTES / 4) return Buffer.allocUnsafeSlow(size);
    if (this.#used + size > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    const piece = this.#slab.subarray(this.#used, this.#used + size);
    this.#used += size;
    return piece;
  }
}

const FIRST_ATTEMPT = `","hfattempt":1${' '.repeat(ATTEMPT_WIDTH - 1)},"data":`;
const LIVE_TAIL = `","hfreplay":"live${FIRST_ATTEMPT}`;

/** From the attempt's first digit to the data: the padded number and `,"data":`. */
const ATTEMPT_OFFSET = ATTEMPT_WIDTH + ',"data":'.length;

const NO_BYTES = Buffer.alloc(0);

/** Reduces a parcel that is settled while an older one is not: keeps its numbers and times, not its bytes. */
export function withoutBytes(parcel: Parcel): Parcel {
  return { ...parcel, ce: NO_BYTES };
}

/** Returns the CloudEvents id as the consumer sees it. */
export function eventIdOf(parcel: Parcel): string {
  return decodeString(parcel.idText);
}

/** Writes the number of this delivery into the encoded event, in place. */
export function stampAttempt(parcel: Parcel, attempt: number): void {
  parcel.ce.write(String(Math.min(attempt, 9999)).padEnd(ATTEMPT_WIDTH, ' '), parcel.attemptAt, 'latin1');
}

/**
 * Returns JSON text of a string attribute: strings as they are, numbers in quotes; empty and others count as absent.
 */
function asString(raw: string | undefined): string | undefined {
  if (raw === undefined || raw === '""') return undefined;
  const first = raw.charCodeAt(0);
  if (first === 0x22) return raw;
  return first === 0x2d || (first >= 0x30 && first <= 0x39) ? `"${raw}"` : undefined;
}

/** `"YYYY-MM-DDTHH:MM` */
const MINUTE_CHARS = 17;
const SECONDS = /^:[0-5]\d(\.\d{1,9})?Z"$/;

/** RFC 3339 has years 0000 to 9999. */
const YEAR_0_MS = -62_167_219_200_000;
const YEAR_10000_MS = 253_402_300_800_000;

/**
 * Returns a time as RFC 3339, as CloudEvents wants it; converts epoch milliseconds, leaves anything else out (it is
 * still in the data).
 */
function timeAttribute(raw: string | undefined): string {
  if (raw === undefined) return '';
  if (raw.charCodeAt(0) === 0x22)
    return /^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"$/.test(raw) &&
      Number.isFinite(Date.parse(raw.slice(1, -1)))
      ? `,"time":${raw}`
      : '';
  const ms = Number(raw);
  return Number.isSafeInteger(ms) && ms >= YEAR_0_MS && ms < YEAR_10000_MS
    ? `,"time":"${new Date(ms).toISOString()}"`
    : '';
}

/** Returns the attributes of an encoded event without its data, as JSON text. */
export function attributesOf(parcel: Parcel): string {
  return `${parcel.ce.toString('utf8', 0, parcel.dataAt - ',"data":'.length)}}`;
}
