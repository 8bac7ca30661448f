/**
 * Class C: how long a socket is held while the lease is in doubt. There the platform itself evicts the older of two.
 */
const HOLD_MS = 30_000;

/** Keeps or closes a stream's sockets while its lease is in doubt: A and B at once, C after 30 s. */
export class LeaseDoubt {
  readonly #holdMs: number;
  #downSinceMs: number | undefined;
  #closed = false;

  constructor(streamClass: 'A' | 'B' | 'C') {
    this.#holdMs = streamClass === 'C' ? HOLD_MS : 0;
  }

  /** True while the lease is in doubt. */
  get down(): boolean {
    return this.#downSinceMs !== undefined;
  }

  lower(nowMs: number): void {
    this.#downSinceMs ??= nowMs;
  }

  lift(): void {
    this.#downSinceMs = undefined;
    this.#closed = false;
  }

  /** Returns whether the sockets must be closed now; true once. */
  closes(nowMs: number): boolean {
    const due = this.deadline();
    if (due === undefined || nowMs < due) return false;
    this.#closed = true;
    return true;
  }

  deadline(): number | undefined {
    return this.#downSinceMs === undefined || this.#closed ? undefined : this.#downSinceMs + this.#holdMs;
  }
}
