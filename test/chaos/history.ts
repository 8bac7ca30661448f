/** One line of a history (docs/chaos.md). `t` is CLOCK_MONOTONIC in ns, as a decimal string. */
export interface HistoryLine {
  readonly w: string;
  readonly i: number;
  readonly t: string;
  readonly k: string;
  readonly [field: string]: unknown;
}

/** What the judge must know of a run besides what happened. */
export interface RunFacts {
  readonly streamClass: 'A' | 'B' | 'C';
  /** Most events delivered again after one disruption: maxInFlight + maxUncheckpointed. */
  readonly maxAgain: number;
  readonly maxInFlight: number;
  /** Longest overlap of two pods' connections, ms. */
  readonly overlapMs: number;
  /** The gate: so many attempts at once, one more per `refillMs`. */
  readonly capacity: number;
  readonly refillMs: number;
  /**
   * After the last fault a connection is open again within this, ms; events made by then are acknowledged 5 s later.
   */
  readonly convergeMs: number;
  /** Most connection attempts in a window of so many ms, below what the gate allows: what the backoff makes of it. */
  readonly attempts?: Readonly<Record<number, number>>;
  /** The platform's pings are answered within this, ms; undefined: the row is about something else. */
  readonly pongMs?: number;
  /** Exit codes besides 0 that a process which was told to end may have. */
  readonly exitCodes?: readonly number[];
  /** Most memory of one process, MiB, and most descriptors above those of its start. */
  readonly rssMb: number;
  readonly fdsMore: number;
  /** Most commands and connections of one replica to a store that fails. */
  readonly commandsPerSecond: number;
}

/** Writes the lines of one writer; `i` has no holes and the last line is `eof`. */
export class Writer {
  readonly lines: HistoryLine[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(k: string, fields: Readonly<Record<string, unknown>> = {}, t: bigint = process.hrtime.bigint()): void {
    this.lines.push({ w: this.#name, i: this.lines.length, t: String(t), k, ...fields });
  }

  close(): readonly HistoryLine[] {
    this.add('eof', { count: this.lines.length });
    return this.lines;
  }
}

const NS_PER_MS = 1_000_000;

/** When a line was written, in ms of the monotonic clock. */
export function ms(line: HistoryLine | undefined): number {
  return line === undefined ? 0 : Number(BigInt(line.t) / 1000n) / (NS_PER_MS / 1000);
}
