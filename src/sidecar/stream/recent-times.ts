/** Events that are looked back at. No more than a checkpoint can name, so that what comes again is recognised. */
const WINDOW_EVENTS = 256;
/** How long after its receipt an event is looked back at. */
const WINDOW_MS = 2000;

interface Seen {
  readonly at: number;
  readonly ownMs: number;
  readonly receivedMs: number;
}

/**
 * Keeps, for class B by time, the earliest own time among the events received last. A platform whose clock runs ahead
 * for a while stamps some events with a time that later ones do not reach; resuming there would skip them. O(1) per
 * event, amortised.
 */
export class RecentTimes {
  #serial = 0;
  #beganMs = 0;
  /** Each is earlier than all behind it. */
  #rising: Seen[] = [];

  /** Begins with another link: its first events may be a replay. */
  begin(nowMs: number): void {
    this.#serial = 0;
    this.#beganMs = nowMs;
    this.#rising = [];
  }

  /**
   * Takes in one event's own time. @param behind it was sent some time ago: then the time of receipt proves nothing,
   * and only the number of events counts. Returns the earliest of the window, ms since 1970; undefined while the window
   * is not full.
   */
  lowest(
    ownMs: number,
    { receivedMs, behind }: { readonly receivedMs: number; readonly behind: boolean },
  ): number | undefined {
    if (behind) this.#beganMs = receivedMs;
    this.#serial += 1;
    while ((this.#rising.at(-1)?.ownMs ?? -Infinity) >= ownMs) this.#rising.pop();
    this.#rising.push({ at: this.#serial, ownMs, receivedMs });
    while (this.#over(this.#rising[0], receivedMs, behind)) this.#rising.shift();
    const full = this.#serial >= WINDOW_EVENTS || receivedMs - this.#beganMs > WINDOW_MS;
    return full ? this.#rising[0]?.ownMs : undefined;
  }

  #over(seen: Seen | undefined, nowMs: number, behind: boolean): boolean {
    if (seen === undefined) return false;
    return this.#serial - seen.at >= WINDOW_EVENTS || (!behind && nowMs - seen.receivedMs > WINDOW_MS);
  }
}
