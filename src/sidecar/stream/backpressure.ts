import type { LivenessPolicy } from '../../core/session/liveness.ts';

/**
 * A paused socket answers no pings, so a pause is short and never longer than this; then the stream reads on, or is
 * parked.
 */
const PAUSE_MAX_MS = 1000;

/** How full the buffer is, in bytes. */
export interface Fill {
  readonly bufferedBytes: number;
  readonly maxBytes: number;
}

/**
 * Decides what to do about a full buffer: first stop reading for a moment (the platform's TCP window is a buffer, too),
 * then park: close politely and resume later by position. A pause ends when the buffer is half empty, and in any case
 * after its limit.
 */
export class Backpressure {
  readonly #limitMs: number;
  #sinceMs: number | undefined;

  /**
   * Derives the limit of a pause. It must stay well below the silence that either side takes for death: our pong
   * timeout, and the silence that our watchdog allows.
   */
  constructor({ ping, watchdog }: LivenessPolicy) {
    this.#limitMs = Math.min(PAUSE_MAX_MS, (ping?.timeoutMs ?? Infinity) / 2, (watchdog?.silenceMs ?? Infinity) / 4);
  }

  get paused(): boolean {
    return this.#sinceMs !== undefined;
  }

  look({ bufferedBytes, maxBytes }: Fill, nowMs: number): 'nothing' | 'pause' | 'resume' | 'park' {
    const full = bufferedBytes >= maxBytes;
    if (this.#sinceMs === undefined) {
      if (!full) return 'nothing';
      this.#sinceMs = nowMs;
      return 'pause';
    }
    const over = nowMs >= this.#sinceMs + this.#limitMs;
    if (!over && bufferedBytes * 2 >= maxBytes) return 'nothing';
    this.#sinceMs = undefined;
    return full ? 'park' : 'resume';
  }

  /** Forgets any pause, because the sockets are gone. */
  reset(): void {
    this.#sinceMs = undefined;
  }

  deadline(): number | undefined {
    return this.#sinceMs === undefined ? undefined : this.#sinceMs + this.#limitMs;
  }
}

/** Returns whether a parked stream may connect again: the buffer has room for what will come. */
export function mayUnpark({ bufferedBytes, maxBytes }: Fill): boolean {
  return bufferedBytes * 2 < maxBytes;
}
