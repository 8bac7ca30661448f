import type { LivenessPolicy } from '../core/liveness.ts';
import type { Outbox } from '../core/outbox.ts';
import type { Parcel } from '../delivery/envelope.ts';

/** A paused socket answers no pings, so a pause is short and never longer than this; then the stream is parked. */
const PAUSE_MAX_MS = 1000;

/**
 * What to do about a buffer that is full: first stop reading for a moment (the platform's TCP window is a buffer too), then park: close politely and
 * resume later by position.
 */
export class Backpressure {
  readonly #limitMs: number;
  #sinceMs: number | undefined;

  /** A pause must stay well below what either side takes for death: our pong timeout, and the silence our watchdog allows. */
  constructor({ ping, watchdog }: LivenessPolicy) {
    this.#limitMs = Math.min(PAUSE_MAX_MS, (ping?.timeoutMs ?? Infinity) / 2, (watchdog?.silenceMs ?? Infinity) / 4);
  }

  get paused(): boolean {
    return this.#sinceMs !== undefined;
  }

  look(outbox: Outbox<Parcel>, lowBytes: number, nowMs: number): 'nothing' | 'pause' | 'resume' | 'park' {
    if (this.#sinceMs !== undefined && outbox.bufferedBytes < lowBytes) {
      this.#sinceMs = undefined;
      return 'resume';
    }
    if (!outbox.full) return 'nothing';
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs;
      return 'pause';
    }
    if (nowMs - this.#sinceMs < this.#limitMs) return 'nothing';
    this.#sinceMs = undefined;
    return 'park';
  }

  /** The sockets are gone: nothing is paused any more. */
  reset(): void {
    this.#sinceMs = undefined;
  }

  deadline(): number | undefined {
    return this.#sinceMs === undefined ? undefined : this.#sinceMs + this.#limitMs;
  }
}
