import { MAX_TIMER_MS } from '../../core/units.ts';
import type { Scheduler } from './scheduler.ts';

/** Pause before the same deadline is looked at again. */
const AGAIN_MS = 25;

/** Sets one timer to the earliest deadline of its owner. It may fire early or late: the owner looks at the clock. */
export class DeadlineTimer {
  readonly #schedule: Scheduler;
  readonly #fire: () => void;
  #cancel: (() => void) | undefined;
  #atMs = Infinity;
  #firedForMs = -Infinity;

  constructor(schedule: Scheduler, fire: () => void) {
    this.#schedule = schedule;
    this.#fire = fire;
  }

  /** Sets the timer; setting it again to a later instant leaves the earlier wake-up, which is harmless and cheaper. */
  set(wantedMs: number | undefined): void {
    // A deadline that was looked at already and still stands is looked at again a little later, never in a loop.
    const again = wantedMs !== undefined && wantedMs <= this.#firedForMs;
    const atMs = again ? this.#schedule.nowMs() + AGAIN_MS : wantedMs;
    if (atMs === undefined || (this.#cancel !== undefined && this.#atMs <= atMs)) return;
    this.#cancel?.();
    this.#atMs = atMs;
    const delay = Math.min(MAX_TIMER_MS, Math.max(0, atMs - this.#schedule.nowMs()));
    this.#cancel = this.#schedule.after(Math.ceil(delay), () => {
      this.#cancel = undefined;
      this.#firedForMs = this.#atMs;
      this.#atMs = Infinity;
      this.#fire();
    });
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#atMs = Infinity;
  }
}
