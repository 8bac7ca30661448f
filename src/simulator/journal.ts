import { createHash } from 'node:crypto';
import type { SimDialect } from './sim-dialect.ts';
import type { History } from './history.ts';

export interface SimEvent {
  readonly seq: number;
  readonly id: string;
  readonly atMs: number;
  readonly cursor: string;
  readonly bytes: Buffer;
}

/** Events a stream keeps at most, whatever its retention. */
const LIMIT = 500_000;

/** Keeps one simulated stream: the events that it generated and still has. */
export class Journal {
  readonly name: string;
  readonly dialect: SimDialect;
  readonly #history: History;
  #events: SimEvent[] = [];
  #next = 1;
  #generation = 0;
  #lastAtMs = 0;
  #purgedUpToMs = -Infinity;
  /**
   * Number added to every number on the wire: platforms count beyond what a double can hold. Set before the first
   * event.
   */
  base = 0n;
  /**
   * 1: every conversation has as many events; above: of n conversations the busiest has n ** (-1 / skew) of them. Set
   * before the first event.
   */
  skew = 1;

  constructor(name: string, dialect: SimDialect, history: History) {
    this.name = name;
    this.dialect = dialect;
    this.#history = history;
  }

  get events(): readonly SimEvent[] {
    return this.#events;
  }
  get nextSeq(): number {
    return this.#next;
  }

  /** Makes one event. @param size bytes of its JSON, at least what its members need. */
  generate(size: number, keys: number): SimEvent {
    const seq = this.#next;
    this.#next += 1;
    // Platform times are in order here; two events may share a millisecond.
    this.#lastAtMs = Math.max(this.#lastAtMs, Date.now());
    const id = `${this.name.replace(/[^a-z]/g, '').slice(-8)}-${String(this.#generation)}-${String(seq)}`;
    const cursor = Buffer.from(`c:${String(this.#generation)}:${String(seq)}`).toString('base64url');
    const type = this.dialect.eventTypes[seq % this.dialect.eventTypes.length] ?? 'event';
    const members: Record<string, unknown> = {
      ...this.#position(seq, cursor),
      id,
      eventType: type,
      timestamp: new Date(this.#lastAtMs).toISOString(),
      conversationId: `conv-${String(this.skew === 1 ? seq % keys : Math.floor(unitOf(seq) ** this.skew * keys))}`,
      data: { n: seq, text: '' },
    };
    const bare = exact(members);
    const bytes = Buffer.from(
      bare.length >= size ? bare : exact({ ...members, data: { n: seq, text: 'x'.repeat(size - bare.length) } }),
    );
    const event: SimEvent = { seq, id, atMs: this.#lastAtMs, cursor, bytes };
    this.#events.push(event);
    if (this.#events.length > LIMIT) this.#events = this.#events.slice(-LIMIT / 2);
    this.#history.add('ev.gen', {
      stream: this.name,
      seq,
      id,
      key: members['conversationId'],
      h: createHash('sha256').update(bytes).digest('hex').slice(0, 16),
    });
    return event;
  }

  /** Skips numbers: they never existed. */
  jump(count: number): void {
    this.#history.add('ev.jump', { stream: this.name, from: this.#next, to: this.#next + count - 1 });
    this.#next += count;
  }

  /** Begins a new numbering; events before it cannot be asked for any more. */
  restart(): void {
    this.#history.add('ev.restart', { stream: this.name, last: this.#next - 1 });
    this.#events = [];
    this.#next = 1;
    this.#generation += 1;
  }

  /** Drops all but the last `keep` events: their retention is over. */
  purge(keep: number): void {
    this.#purgedUpToMs = this.#events.at(-1 - keep)?.atMs ?? this.#purgedUpToMs;
    this.#events = keep === 0 ? [] : this.#events.slice(-keep);
    this.#history.add('ev.purge', { stream: this.name, upto: this.#next - 1 - keep });
  }

  /** Returns whether an event later than this has been dropped. */
  purgedSince(atMs: number): boolean {
    return atMs + 1 < this.#purgedUpToMs;
  }

  /** Returns the oldest position on offer, in the dialect's own terms. */
  oldestPosition(): string | number | undefined {
    const { oldest } = this;
    if (oldest === undefined) return undefined;
    if (this.dialect.resume === 'cursor') return oldest.cursor;
    return this.dialect.resume === 'since' ? new Date(oldest.atMs).toISOString() : this.wire(oldest.seq);
  }

  /** Returns the number as the platform writes it: exact, whatever its size. */
  wire(seq: number): string | number {
    return this.base === 0n ? seq : String(this.base + BigInt(seq));
  }

  /** Returns our own number for one that a client named. */
  local(wire: string): number {
    return /^\d+$/.test(wire) ? Number(BigInt(wire) - this.base) : Number(wire);
  }

  /** The oldest event on offer. */
  get oldest(): SimEvent | undefined {
    return this.#events[0];
  }

  #position(seq: number, cursor: string): Record<string, unknown> {
    switch (this.dialect.resume) {
      case 'sequence':
      case 'frame':
        return { sequence: this.wire(seq) };
      case 'cursor':
        return { cursor };
      default:
        return {};
    }
  }
}

/**
 * Returns JSON with the sequence as a number of any size: it is the first member, and JSON.stringify writes no bigint.
 */
function exact(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(members).replace(/^\{"sequence":"(\d+)"/, '{"sequence":$1');
}

/** @returns a number in [0, 1) that looks drawn and is the same for the same `n`. */
function unitOf(n: number): number {
  let bits = Math.imul(n ^ (n >>> 16), 0x45d9f3b);
  bits = Math.imul(bits ^ (bits >>> 16), 0x45d9f3b);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
