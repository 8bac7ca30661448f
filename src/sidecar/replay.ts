import type { Replay } from '../delivery/envelope.ts';
import type { EventView } from '../platforms/codec.ts';

/** A link's replay is over after this, whatever the events' own times say. */
const REPLAY_LIMIT_MS = 60_000;

/**
 * Tells `resume` from `live`. After a restart as many events as may have been delivered before are marked; after that, what is older than the link,
 * until the first event that is not.
 */
export class ReplayMark {
  #left = 0;
  #openedEpochMs = 0;
  #caughtUp = true;

  /** @param bound events that may have been delivered before this process. */
  restarted(bound: number): void {
    this.#left = bound;
  }

  linkOpened(nowEpochMs: number): void {
    this.#openedEpochMs = nowEpochMs;
    this.#caughtUp = false;
  }

  accepted(): void {
    if (this.#left > 0) this.#left -= 1;
  }

  of(view: EventView, nowEpochMs: number): Replay {
    if (this.#left > 0) return 'resume';
    if (this.#caughtUp) return 'live';
    const time = view.text('time');
    const at = time === undefined ? Number.NaN : /^\d+$/.test(time) ? Number(time) : Date.parse(time);
    if (at < this.#openedEpochMs && nowEpochMs - this.#openedEpochMs <= REPLAY_LIMIT_MS) return 'resume';
    this.#caughtUp = true;
    return 'live';
  }
}
