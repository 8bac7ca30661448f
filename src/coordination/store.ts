/**
 * Toward the store: contracts for what must outlive or be shared by processes (checkpoints, letters, leases, shared
 * limits, the stream pool), and `openStore`, which chooses an adapter. It never decides who leads or what a checkpoint
 * covers: that is core's. Adapters: redis/ for any number of replicas, embedded/ for one; one contract suite
 * (test/coordination/store.contract.test.ts) tests both.
 */

import type { EpochMillis } from '../core/units.ts';
import { recordIn } from './record-in.ts';

/** A stream's position: the end of the contiguous settled prefix. */
export interface Checkpoint {
  /** Layout of this record; a newer one than ours is refused, never guessed. */
  readonly schema: 1;
  /** Fencing number of the leader that wrote it. */
  readonly epoch: number;
  /** Events settled since the stream's first record; never goes down, so any class can be compared. */
  readonly index: number;
  /** Vendor resume value, `kind:value`; empty before the first event of a stream that cannot resume. */
  readonly position: string;
  /** Class A: how often the platform began a new numbering. */
  readonly era: number;
  /** Data to recognise a replay: class A `sequence:print`, class B identities at the position. At most 512 entries. */
  readonly tail: readonly string[];
  readonly distinct: number;
  readonly missing: number;
  readonly settledAtEpochMs: EpochMillis;
  /**
   * Events that may have ended the consumer: CloudEvents id as JSON text, and connections lost under them alone. At
   * most 16.
   */
  readonly suspects?: readonly (readonly [string, number])[];
  /** True when everything accepted was settled when its writer stopped. */
  readonly drained?: boolean;
  /** Numbers settled ahead of the floor: intervals as deltas. At most AHEAD_LIMIT_BYTES as JSON. */
  readonly ahead?: readonly number[];
  /** Grows with the entries settled ahead; none: 0. Of two records with one index the one with more is the newer. */
  readonly aheadCount?: number;
}

/** The longest `ahead` of a checkpoint, as JSON. A record with a longer one is unsound. */
export const AHEAD_LIMIT_BYTES = 16 * 1024;

export interface DeadLetter {
  /** Unique per stream, sorts by age. */
  readonly id: string;
  readonly stream: string;
  /** The consumer's identity of the event: CloudEvents id. */
  readonly eventId: string;
  /** CloudEvents attributes as they were delivered, without data. */
  readonly attributes: string;
  /** The original event, untouched. */
  readonly data: Buffer;
  readonly reason: string;
  readonly attempts: number;
  readonly firstAtEpochMs: EpochMillis;
  readonly deadAtEpochMs: EpochMillis;
}

/** Dead letters kept per stream. At the limit the stream is held instead of dropping the oldest. */
const DEAD_LETTER_LIMIT = 10_000;
/** Bytes of dead letters kept per stream, as letterBytes counts them. At the limit as above. */
const DEAD_LETTER_LIMIT_BYTES = 64 * 1024 * 1024;

/** Limits of the letters kept of one stream. */
export interface LetterLimits {
  readonly count: number;
  readonly bytes: number;
}

/** Both limits of the dead letters of one stream, as the stores enforce them; tests use smaller ones. */
export const LETTER_LIMITS: LetterLimits = { count: DEAD_LETTER_LIMIT, bytes: DEAD_LETTER_LIMIT_BYTES };

/** Returns a dead letter as text: JSON, the event in base64. */
export function letterText({ data, ...record }: DeadLetter): string {
  return JSON.stringify({ ...record, data: data.toString('base64') });
}

/** Returns the bytes that a dead letter counts toward the limit, in both adapters: those of letterText. */
export function letterBytes({ data, ...record }: DeadLetter): number {
  return Buffer.byteLength(JSON.stringify({ ...record, data: '' })) + Math.ceil(data.length / 3) * 4;
}

/**
 * Stores what must survive this process. Every method may throw HoldfastError HF_STORE_UNAVAILABLE; nothing is retried
 * inside.
 */
export interface Store {
  readonly kind: 'redis' | 'embedded';
  /**
   * Takes the fencing number of a client: higher than any before. Afterwards writes of older epochs are refused.
   * @param floor the highest epoch this process ever saw for the client (0: none), for a store that lost its data.
   */
  claim(client: string, holder: string, floor: number): Promise<number>;
  /** Returns the fencing number given last; 0: none. */
  epoch(client: string): Promise<number>;
  load(client: string, stream: string): Promise<Checkpoint | undefined>;
  /**
   * Writes records, all or none. `fenced`: another epoch has the client. `regressed`: a stored record is further
   * (newerOf).
   */
  save(
    client: string,
    epoch: number,
    checkpoints: Readonly<Record<string, Checkpoint>>,
  ): Promise<'stored' | 'fenced' | 'regressed'>;
  /** Puts back a record that the store has lost; one that is there stays. @returns whether it was written. */
  seed(client: string, stream: string, checkpoint: Checkpoint): Promise<boolean>;
  /** Stores a secret sealed by the caller (the store never has the key). Refused like a checkpoint. */
  saveSealed(client: string, epoch: number, name: string, sealed: string): Promise<'stored' | 'fenced'>;
  loadSealed(client: string, name: string): Promise<string | undefined>;
  /**
   * Stores a letter; durable when it resolves. `full`: a limit would be passed and nothing was written. Replaces a
   * letter with the same id.
   */
  addDeadLetter(client: string, letter: DeadLetter): Promise<'stored' | 'full'>;
  /** Returns letters, oldest first, after the id `after`. */
  listDeadLetters(
    client: string,
    stream: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly DeadLetter[]>;
  getDeadLetter(client: string, stream: string, id: string): Promise<DeadLetter | undefined>;
  removeDeadLetter(client: string, stream: string, id: string): Promise<boolean>;
  purgeDeadLetters(client: string, stream: string): Promise<number>;
  countDeadLetters(client: string, stream: string): Promise<number>;
  close(): Promise<void>;
}

/**
 * Reads a stored checkpoint. @returns undefined when it is not one; `newer` when a later version of the program wrote
 * it.
 */
export function parseCheckpoint(text: string): Checkpoint | 'newer' | undefined {
  const record: Unchecked | undefined = recordIn(text);
  if (record === undefined) return undefined;
  if (typeof record.schema === 'number' && record.schema > 1) return 'newer';
  return record.schema === 1 && isSound(record) ? (record as Checkpoint) : undefined;
}

type Unchecked = Partial<Record<keyof Checkpoint, unknown>>;

function isSound(record: Unchecked): boolean {
  const numbers = [record.epoch, record.index, record.era, record.distinct, record.missing, record.settledAtEpochMs];
  return (
    numbers.every((n) => typeof n === 'number' && Number.isFinite(n) && n >= 0) &&
    typeof record.position === 'string' &&
    Array.isArray(record.tail) &&
    soundAhead(record.ahead, record.aheadCount)
  );
}

function soundAhead(ahead: unknown, count: unknown): boolean {
  if (count !== undefined && !isCount(count)) return false;
  if (ahead === undefined) return true;
  return Array.isArray(ahead) && ahead.every(isCount) && JSON.stringify(ahead).length <= AHEAD_LIMIT_BYTES;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/**
 * Returns the record that is further, of two of one stream: by index, then by what is settled ahead of it. The first
 * one if neither is.
 */
export function newerOf(a: Checkpoint | undefined, b: Checkpoint | undefined): Checkpoint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.index !== b.index) return b.index > a.index ? b : a;
  return (b.aheadCount ?? 0) > (a.aheadCount ?? 0) ? b : a;
}
