import { appendFileSync, writeFileSync } from 'node:fs';

/** One act of the simulated platform. `t` is CLOCK_MONOTONIC in nanoseconds, shared by all processes of the machine. */
export interface HistoryRecord {
  readonly w: 'sim';
  readonly i: number;
  readonly t: string;
  readonly k: string;
  readonly [field: string]: unknown;
}

/** Records kept in memory unless more are asked for; older ones are only in the file. */
const KEPT = 200_000;
/** How often new records go to the file: one write for many records. */
const WRITE_EVERY_MS = 100;

/**
 * Keeps the simulator's own record of what it generated, sent, accepted and refused: the yardstick for every claim
 * about loss.
 */
export class History {
  readonly #file: string | undefined;
  #kept: HistoryRecord[] = [];
  #unwritten: string[] = [];
  #serial = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #limit: number;
  readonly counts = new Map<string, number>();

  constructor(file: string | undefined, limit = KEPT) {
    this.#limit = limit;
    this.#file = file;
    if (file === undefined) return;
    writeFileSync(file, '');
    this.#timer = setInterval(() => {
      this.#write();
    }, WRITE_EVERY_MS);
    this.#timer.unref();
  }

  add(k: string, fields: Readonly<Record<string, unknown>>): void {
    const record: HistoryRecord = { w: 'sim', i: this.#serial, t: String(process.hrtime.bigint()), k, ...fields };
    this.#serial += 1;
    this.counts.set(k, (this.counts.get(k) ?? 0) + 1);
    this.#kept.push(record);
    if (this.#kept.length > this.#limit * 1.25) this.#kept = this.#kept.slice(-this.#limit);
    if (this.#file !== undefined) this.#unwritten.push(JSON.stringify(record));
  }

  /** Returns all records that are kept, oldest first, with an end. */
  all(): readonly HistoryRecord[] {
    this.add('eof', { count: this.#serial });
    return [...this.#kept];
  }

  /** Returns the records of the given kinds, oldest first. */
  of(...kinds: readonly string[]): readonly HistoryRecord[] {
    return this.#kept.filter((record) => kinds.includes(record.k));
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#file === undefined) return;
    this.add('eof', { count: this.#serial });
    this.#write();
  }

  #write(): void {
    if (this.#file === undefined || this.#unwritten.length === 0) return;
    appendFileSync(this.#file, `${this.#unwritten.join('\n')}\n`);
    this.#unwritten = [];
  }
}
