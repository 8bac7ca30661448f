import { MAX_TIMER_MS } from '../core/units.ts';

/** Pause before the same deadline is looked at again. */
const AGAIN_MS = 25;

/** One timer set to the earliest deadline of its owner. It may fire early or late: the owner looks at the clock. */
export class DeadlineTimer {
  readonly #nowMs: () => number;
  readonly #fire: () => void;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Infinity;
  #firedForMs = -Infinity;

  constructor(nowMs: () => number, fire: () => void) {
    this.#nowMs = nowMs;
    this.#fire = fire;
  }

  /** Sets the timer; setting it again to a later instant leaves the earlier wake-up, which is harmless and cheaper. */
  set(wantedMs: number | undefined): void {
    // A deadline that was looked at already and still stands is looked at again a little later, never in a loop.
    const atMs = wantedMs !== undefined && wantedMs <= this.#firedForMs ? this.#nowMs() + AGAIN_MS : wantedMs;
    if (atMs === undefined || (this.#timer !== undefined && this.#atMs <= atMs)) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    const delay = Math.min(MAX_TIMER_MS, Math.max(0, atMs - this.#nowMs()));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#firedForMs = this.#atMs;
      this.#atMs = Infinity;
      this.#fire();
    }, Math.ceil(delay));
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#atMs = Infinity;
  }
}
