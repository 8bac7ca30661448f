import type { Deps } from '../runtime/environment.ts';

/** Reading without a frame for so long has caught up with what was sent. */
const CAUGHT_UP_MS = 100;

/** Keeps when one stream's platform was heard last, and since when frames may wait unread on the way. */
export class ReceiptClock {
  readonly #deps: Deps;
  #nowMs = 0;
  /** Wall clock of the last frame, ms since 1970, or of the last event that an earlier term had settled; 0: none. */
  lastReceivedEpochMs = 0;
  #subscribedEpochMs = 0;
  /** Since when frames may wait on the way because reading was paused; set until reading has caught up. */
  #behindSinceEpochMs: number | undefined;
  #readingSinceMs = 0;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Monotonic ms of the last frame. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** True while frames may wait unread. */
  get behind(): boolean {
    return this.#behindSinceEpochMs !== undefined;
  }

  /** Notes that a frame is read. */
  received(): void {
    const nowMs = this.#deps.nowMs();
    // Nothing came for a while although we read: what was sent before is read.
    if (this.#behindSinceEpochMs !== undefined && nowMs - Math.max(this.#nowMs, this.#readingSinceMs) >= CAUGHT_UP_MS)
      this.#behindSinceEpochMs = undefined;
    this.#nowMs = nowMs;
    this.lastReceivedEpochMs = this.#deps.nowEpochMs();
  }

  linkOpened(): void {
    this.#behindSinceEpochMs = undefined;
  }

  subscribed(): void {
    this.#subscribedEpochMs = this.#deps.nowEpochMs();
  }

  /**
   * Notes that reading stops for a moment, or goes on: frames sent meanwhile wait, and are read later than they came.
   */
  paused(paused: boolean): void {
    if (paused) this.#behindSinceEpochMs ??= this.lastReceivedEpochMs;
    this.#readingSinceMs = paused ? Infinity : this.#deps.nowMs();
  }

  /** Returns when the platform was heard last, by a frame or by taking our subscription. */
  get heardEpochMs(): number {
    return Math.max(this.lastReceivedEpochMs, this.#subscribedEpochMs);
  }

  /** Returns since when something may be missing that was sent: since nothing came, or since reading is behind. */
  get silentSinceEpochMs(): number {
    return this.notBehind(this.heardEpochMs);
  }

  /** Returns the instant, or the one since which reading is behind, if that is earlier. */
  notBehind(epochMs: number): number {
    return Math.min(epochMs, this.#behindSinceEpochMs ?? Infinity);
  }
}
