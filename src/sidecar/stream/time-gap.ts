/**
 * What was received last may have been made this much earlier: a pause of backpressure (at most a second), a busy
 * machine, the way itself. What the platform made meanwhile was under way behind it, so a notice reaches back by this
 * much. Not promised for what lay longer in a stopped process's socket.
 */
export const IN_FLIGHT_MS = 1500;

/**
 * A hole of which only times are known: since when nothing can be vouched for. Until the notice of it is settled every
 * stored record must go on saying so, or a crash in between would hide it.
 */
export class TimeGap {
  /** Not announced yet. */
  #pendingSinceEpochMs: number | undefined;
  /** Announced by the entry `ord`, or not at all, and not settled. */
  #openSinceEpochMs: number | undefined;
  #noticeOrd = Infinity;

  get pending(): boolean {
    return this.#pendingSinceEpochMs !== undefined;
  }

  /** Not announced yet, or its notice is not settled. */
  get open(): boolean {
    return this.#openSinceEpochMs !== undefined;
  }

  since(epochMs: number): void {
    this.#pendingSinceEpochMs = Math.min(this.#pendingSinceEpochMs ?? Infinity, epochMs);
    this.#openSinceEpochMs = Math.min(this.#openSinceEpochMs ?? Infinity, epochMs);
    this.#noticeOrd = Infinity;
  }

  /**
   * The notice is entry `ord`. @returns where the hole begins for who made the events; undefined: there is none to
   * announce.
   */
  announcedAs(ord: number): number | undefined {
    const since = this.#pendingSinceEpochMs;
    if (since === undefined) return undefined;
    this.#pendingSinceEpochMs = undefined;
    this.#noticeOrd = ord;
    return since - IN_FLIGHT_MS;
  }

  /** Everything up to entry `ord` is settled. */
  settled(ord: number): void {
    if (ord < this.#noticeOrd) return;
    this.#openSinceEpochMs = undefined;
    this.#noticeOrd = Infinity;
  }

  /** Until when a record may vouch that everything is settled or announced, if it were `epochMs` without the hole. */
  vouchedUntil(epochMs: number): number {
    return Math.min(epochMs, this.#openSinceEpochMs ?? Infinity);
  }
}
