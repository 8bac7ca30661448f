import { parseSequence, type Sequence } from '../core/events/sequence.ts';
import type { Control } from '../core/session/session-model.ts';
import type { FieldPaths, Position, Profile } from './profile.ts';
import { JsonScanner, skipSpace, skipValue } from './json-scanner.ts';

/** Takes the events and messages of a frame. Views are valid only during the call: copy bytes that outlive it. */
export interface FrameSink {
  event(view: EventView): void;
  control(control: Control, type: string): void;
  emptyBatch(): void;
  poison(bytes: Buffer, reason: string): void;
}

/** One event inside a frame: its original bytes and where its members stand in them. Reused for every event. */
export interface EventView {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Class A only. */
  readonly sequence: Sequence;
  /**
   * Returns JSON text of the member (a string with its quotes, or a number), one character per byte (latin1); undefined
   * when absent.
   */
  raw(role: keyof FieldPaths): string | undefined;
  /** Returns decoded text of the member; undefined when absent or neither string nor number. */
  text(role: keyof FieldPaths): string | undefined;
  /** Returns the resume value that this event stands for; undefined where it has none. */
  position(): Position | undefined;
  /**
   * Returns the identity by which two deliveries are the same event: id, else type + correlation id + time, else a
   * content hash.
   */
  identity(): string;
  /** Returns 32 bits of the identity, cheap enough for every event. */
  print(): number;
}

const ROLES = ['position', 'id', 'type', 'time', 'key'] as const;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;

/** Reads the frames of one stream. Never throws on input; an unreadable frame is poison, with its bytes. */
export class FrameReader implements EventView {
  readonly #profile: Profile;
  readonly #scanner: JsonScanner;
  readonly #roles: Readonly<Record<(typeof ROLES)[number], readonly number[]>>;
  readonly #nested: Readonly<Record<(typeof ROLES)[number], readonly string[]>>;
  readonly #type: number;
  readonly #eventType: number;
  readonly #correlation: number;
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  sequence: Sequence = 0;
  #parsed: unknown;

  constructor(profile: Profile, fields: FieldPaths) {
    this.#profile = profile;
    const flat = ROLES.flatMap((role) => fields[role].filter((path) => !path.includes('.')));
    this.#scanner = new JsonScanner([...flat, 'type', 'eventType', 'correlationId']);
    const slots = (role: (typeof ROLES)[number]): number[] =>
      fields[role].filter((path) => !path.includes('.')).map((name) => this.#scanner.slot(name));
    this.#roles = {
      position: slots('position'),
      id: slots('id'),
      type: slots('type'),
      time: slots('time'),
      key: slots('key'),
    };
    const dotted = (role: (typeof ROLES)[number]): string[] => fields[role].filter((path) => path.includes('.'));
    this.#nested = {
      position: dotted('position'),
      id: dotted('id'),
      type: dotted('type'),
      time: dotted('time'),
      key: dotted('key'),
    };
    this.#type = this.#scanner.slot('type');
    this.#eventType = this.#scanner.slot('eventType');
    this.#correlation = this.#scanner.slot('correlationId');
  }

  /** Reads one message. A JSON object is an event or a control message, an array a batch of events. */
  read(data: Buffer, isBinary: boolean, sink: FrameSink): void {
    if (isBinary) return sink.poison(data, 'binary frame');
    const at = skipSpace(data, 0);
    if (data[at] === OPEN_BRACE) {
      const end = this.#scanner.object(data, at);
      if (end < 0) return sink.poison(data, `not JSON: ${this.#scanner.error}`);
      if (skipSpace(data, end) !== data.length)
        return sink.poison(data, `not JSON: more text after the object at byte ${String(end)}`);
      // The whole frame, white space around the object included, is the original.
      return this.#message(data, 0, data.length, sink);
    }
    if (data[at] === OPEN_BRACKET) return this.#batch(data, at, sink);
    if (data.length === 0) return sink.poison(data, 'empty frame');
    sink.poison(data, skipValue(data, at, 0) < 0 ? 'not JSON' : 'neither an object nor an array');
  }

  #batch(data: Buffer, at: number, sink: FrameSink): void {
    const whole = skipValue(data, at, 0);
    if (whole < 0 || skipSpace(data, whole) !== data.length) return sink.poison(data, 'not JSON: broken batch');
    let i = skipSpace(data, at + 1);
    if (data[i] === CLOSE_BRACKET) return sink.emptyBatch();
    for (;;) {
      if (data[i] === OPEN_BRACE) {
        const end = this.#scanner.object(data, i);
        this.#message(data, i, end, sink);
        i = end;
      } else {
        const end = skipValue(data, i, 1);
        sink.poison(data.subarray(i, end), 'batch element is not an object');
        i = end;
      }
      i = skipSpace(data, i);
      if (data[i] !== COMMA) return;
      i = skipSpace(data, i + 1);
    }
  }

  #message(data: Buffer, start: number, end: number, sink: FrameSink): void {
    this.bytes = data;
    this.start = start;
    this.end = end;
    this.#parsed = undefined;
    const type = this.#controlType();
    const control = type === undefined ? undefined : this.#profile.controls[type];
    if (type !== undefined && control !== undefined && Object.hasOwn(this.#profile.controls, type))
      return sink.control(control, type);
    if (this.#profile.streamClass !== 'A') return sink.event(this);
    this.#numbered(type, sink);
  }

  /** Returns the type of a message that may be a control message: an event has an eventType. */
  #controlType(): string | undefined {
    return !this.#scanner.has(this.#eventType) && this.#scanner.kind(this.#type) === 'string'
      ? this.#textAt(this.#type)
      : undefined;
  }

  /** Reads a numbered event, for class A: an event has its number, or breaks the class's rule. */
  #numbered(type: string | undefined, sink: FrameSink): void {
    const slot = this.#roles.position[0] ?? -1;
    const small = slot >= 0 && this.#scanner.has(slot) ? this.#scanner.smallInteger(this.bytes, slot) : -1;
    if (small >= 0) {
      this.sequence = small;
      return sink.event(this);
    }
    const raw = this.raw('position');
    if (raw === undefined) {
      // A message with a type and no member of an event is an unknown control message; any other breaks the class's
      // rule.
      if (type !== undefined && this.raw('id') === undefined) return sink.control('unknown', type);
      return sink.poison(this.bytes.subarray(this.start, this.end), 'sequence is missing');
    }
    const sequence = parseSequence(raw);
    if (sequence === undefined)
      return sink.poison(
        this.bytes.subarray(this.start, this.end),
        `sequence is not a non-negative integer: ${raw.slice(0, 40)}`,
      );
    this.sequence = sequence;
    sink.event(this);
  }

  raw(role: keyof FieldPaths): string | undefined {
    for (const slot of this.#roles[role]) {
      const kind = this.#scanner.kind(slot);
      if (kind === 'none' || (kind === 'literal' && role !== 'position')) continue;
      return this.#rawAt(slot);
    }
    for (const path of this.#nested[role]) {
      const value = this.#dig(path);
      if (value !== undefined && value !== null) return Buffer.from(JSON.stringify(value)).toString('latin1');
    }
    return undefined;
  }

  text(role: keyof FieldPaths): string | undefined {
    const raw = this.raw(role);
    if (raw === undefined) return undefined;
    if (raw.charCodeAt(0) === 0x22) return decodeString(raw);
    return /^[-\d]/.test(raw) ? raw : undefined;
  }

  position(): Position | undefined {
    const kind = this.#profile.resume.kind;
    if (kind === undefined) return undefined;
    if (kind === 'sequence') return { kind, value: String(this.sequence) };
    if (kind === 'since') return this.#timePosition();
    return (kind === 'cursor' ? this.#cursorPosition() : undefined) ?? this.#idPosition();
  }

  #timePosition(): Position | undefined {
    const value = this.text('position');
    const ms = value === undefined ? Number.NaN : timeOf(value);
    return Number.isFinite(ms) ? { kind: 'since', value: String(ms) } : undefined;
  }

  #cursorPosition(): Position | undefined {
    const value = this.text('position');
    return value === undefined || value === '' ? undefined : { kind: 'cursor', value };
  }

  #idPosition(): Position | undefined {
    const value = this.text('id');
    return value === undefined || value === '' ? undefined : { kind: 'lastEventId', value };
  }

  identity(): string {
    const id = this.text('id');
    if (id !== undefined && id !== '') return id;
    const correlation = this.#scanner.kind(this.#correlation) === 'none' ? undefined : this.#rawAt(this.#correlation);
    const time = this.text('time');
    const content = hash(this.bytes, this.start, this.end, 0x811c9dc5).toString(16);
    // Two events of one correlation may share their millisecond: another content is another event.
    if (correlation !== undefined && time !== undefined)
      return `${this.text('type') ?? ''}|${correlation}|${time}|${content}`;
    return `hash-${content}${hash(this.bytes, this.start, this.end, 0x01000193).toString(16)}`;
  }

  print(): number {
    for (const slot of this.#roles.id) {
      if (this.#scanner.kind(slot) !== 'none')
        return hash(this.bytes, this.#scanner.starts[slot] ?? 0, this.#scanner.ends[slot] ?? 0, 0x811c9dc5);
    }
    return hash(this.bytes, this.start, this.end, 0x811c9dc5);
  }

  #rawAt(slot: number): string {
    return this.bytes.toString('latin1', this.#scanner.starts[slot], this.#scanner.ends[slot]);
  }

  #textAt(slot: number): string {
    return decodeString(this.#rawAt(slot));
  }

  #dig(path: string): unknown {
    this.#parsed ??= JSON.parse(this.bytes.toString('utf8', this.start, this.end));
    let at: unknown = this.#parsed;
    for (const step of path.split('.')) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
      at = (at as Record<string, unknown>)[step];
    }
    return at;
  }
}

/** Returns the string that a JSON string literal, given one character per byte, stands for. */
export function decodeString(raw: string): string {
  if (!raw.includes('\\') && /^[\u0000-\u007f]*$/.test(raw)) return raw.slice(1, -1);
  return String(JSON.parse(Buffer.from(raw, 'latin1').toString('utf8')));
}

/** Converts ISO 8601 text or epoch milliseconds as digits to epoch milliseconds; NaN when it is neither. */
export function timeOf(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : Date.parse(value);
}

/** Returns a FNV-1a hash, 32 bits: for telling events apart, not for security. */
function hash(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let h = seed;
  for (let i = from; i < to; i += 1) h = Math.imul(h ^ (bytes[i] ?? 0), 0x01000193);
  return h >>> 0;
}
