/**
 * What was received last may have been made this much earlier: a pause of backpressure (at most a second), a busy
 * machine, the way itself. What the platform made meanwhile was under way behind it, so a notice reaches back by this
 * much. Not promised for what lay longer in a stopped process's socket.
 */
export const IN_FLIGHT_MS = 1500;

/**
 * Keeps a gap of which only times are known: since when nothing can be vouched for. Until its notice is settled every
 * stored record must go on naming that time, or a crash in between would hide the gap.
 */
export class TimeGap {
  /** Begin of the gap while it is not announced. */
  #pendingSinceEpochMs: number | undefined;
  /** Begin of the gap while it is not settled: announced by the entry `ord`, or not at all. */
  #openSinceEpochMs: number | undefined;
  #noticeOrd = Infinity;

  get pending(): boolean {
    return this.#pendingSinceEpochMs !== undefined;
  }

  /** True while the gap is not announced, or its notice is not settled. */
  get open(): boolean {
    return this.#openSinceEpochMs !== undefined;
  }

  since(epochMs: number): void {
    this.#pendingSinceEpochMs = Math.min(this.#pendingSinceEpochMs ?? Infinity, epochMs);
    this.#openSinceEpochMs = Math.min(this.#openSinceEpochMs ?? Infinity, epochMs);
    this.#noticeOrd = Infinity;
  }

  /**
   * Notes that entry `ord` is the notice. @returns where the gap begins, by the clock of the events' makers; undefined:
   * there is none to announce.
   */
  announcedAs(ord: number): number | undefined {
    const since = this.#pendingSinceEpochMs;
    if (since === undefined) return undefined;
    this.#pendingSinceEpochMs = undefined;
    this.#noticeOrd = ord;
    return since - IN_FLIGHT_MS;
  }

  /** Notes that everything up to entry `ord` is settled. */
  settled(ord: number): void {
    if (ord < this.#noticeOrd) return;
    this.#openSinceEpochMs = undefined;
    this.#noticeOrd = Infinity;
  }

  /**
   * Returns until when a record may vouch that everything is settled or announced, if it were `epochMs` without the
   * gap.
   */
  vouchedUntil(epochMs: number): number {
    return Math.min(epochMs, this.#openSinceEpochMs ?? Infinity);
  }
}
