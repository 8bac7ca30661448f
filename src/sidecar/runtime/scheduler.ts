/** Tells the time of a process and calls back later. The simulation replaces it by virtual time. */
export interface Scheduler {
  /** Returns monotonic milliseconds. */
  nowMs(): number;
  /** Runs it in the next turn of the event loop, behind what is under way. */
  soon(act: () => void): void;
  /** Runs it after a delay, unless the returned function is called before. @param delayMs whole, >= 0. */
  after(delayMs: number, act: () => void): () => void;
}

/** Returns Node's own timers. They keep the process alive. */
export function systemScheduler(nowMs: () => number): Scheduler {
  return {
    nowMs,
    soon: (act) => {
      setImmediate(act);
    },
    after: (delayMs, act) => {
      const timer = setTimeout(act, delayMs);
      return () => {
        clearTimeout(timer);
      };
    },
  };
}
