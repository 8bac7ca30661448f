import { BinaryHeap } from '../../src/core/binary-heap.ts';
import type { Scheduler } from '../../src/sidecar/runtime/scheduler.ts';

/** Promise reactions that may follow one another before anything else happens. */
const MICROTASKS = 12;

/**
 * A clock that stands still until everything due has been done. Things due at the same instant are done in the order
 * in which they were asked for.
 */
export class VirtualTime {
  readonly #due = new BinaryHeap<() => void>();
  #serial = 0;
  nowMs = 0;
  steps = 0;

  /** Runs it `delayMs` from now, behind what is due then already. */
  in(delayMs: number, act: () => void): void {
    this.#serial += 1;
    // Equal instants stay in order: the serial is a fraction that cannot reach the next microsecond.
    this.#due.push(Math.ceil((this.nowMs + delayMs) * 1000) + this.#serial / 2 ** 22, act);
  }

  /** Does what is due until `untilMs`, or until `done`; promises settle in between. Returns whether `done` held. */
  async run(untilMs: number, done: () => boolean, check: () => void): Promise<boolean> {
    for (;;) {
      for (let n = 0; n < MICROTASKS; n += 1) await Promise.resolve();
      check();
      if (done()) return true;
      const at = this.#due.lowest;
      if (at === undefined || at / 1000 > untilMs) {
        this.nowMs = untilMs;
        return false;
      }
      this.nowMs = Math.max(this.nowMs, Math.floor(at) / 1000);
      this.steps += 1;
      this.#due.pop()?.();
    }
  }
}

/** The scheduler of one process: dead, it does nothing any more. */
export function schedulerOf(time: VirtualTime, alive: () => boolean): Scheduler {
  return {
    nowMs: () => time.nowMs,
    soon: (act) => {
      time.in(0, () => {
        if (alive()) act();
      });
    },
    after: (delayMs, act) => {
      let wanted = true;
      time.in(delayMs, () => {
        if (wanted && alive()) act();
      });
      return () => {
        wanted = false;
      };
    },
  };
}
