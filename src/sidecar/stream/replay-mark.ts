import type { OutboxPolicy } from '../../core/events/outbox.ts';
import type { Replay } from '../../delivery/envelope.ts';
import type { EventView } from '../../platforms/frame-reader.ts';

/** A link's replay is over after this, whatever the events' own times say. */
const REPLAY_LIMIT_MS = 60_000;
/**
 * After a restart: events newer than it, and none older, for so long. Some of a replay are stamped ahead of their
 * time.
 */
const NEWER_FOR_MS = 2000;

/**
 * Tells `resume` from `live`. After a restart it marks every event that may have been delivered before: as many events
 * as may be out at one time, and then those made before the restart, wherever they come, because a conversation that
 * waits lets others go far ahead of it. Later it marks events older than the link, until the first one that is not.
 */
export class ReplayMark {
  #left = 0;
  /** Events made from then on are new to every process; Infinity: none is asked about any more. */
  #restartedEpochMs = Infinity;
  #newerSinceEpochMs: number | undefined;
  /** When an older event came last. */
  #olderEpochMs = 0;
  #openedEpochMs = 0;
  #caughtUp = true;

  /** Begins after a restart: the process before this one may have delivered as many events as these limits allow. */
  restarted(
    { maxInFlight, maxUncheckpointed }: Pick<OutboxPolicy, 'maxInFlight' | 'maxUncheckpointed'>,
    nowEpochMs: number,
  ): void {
    this.#left = maxInFlight + maxUncheckpointed;
    this.#restartedEpochMs = nowEpochMs;
    this.#olderEpochMs = nowEpochMs;
  }

  linkOpened(nowEpochMs: number): void {
    this.#openedEpochMs = nowEpochMs;
    this.#caughtUp = false;
  }

  accepted(): void {
    if (this.#left > 0) this.#left -= 1;
  }

  of(view: EventView, nowEpochMs: number): Replay {
    const before = this.#restartedEpochMs !== Infinity && this.#fromBefore(timeOf(view), nowEpochMs);
    if (before || this.#left > 0) return 'resume';
    if (this.#caughtUp) return 'live';
    const at = timeOf(view);
    if (at < this.#openedEpochMs && nowEpochMs - this.#openedEpochMs <= REPLAY_LIMIT_MS) return 'resume';
    this.#caughtUp = true;
    return 'live';
  }

  /** Returns whether an event with this time of its own may have been there before the restart. */
  #fromBefore(at: number, nowEpochMs: number): boolean {
    if (Number.isNaN(at)) return false;
    if (at < this.#restartedEpochMs) {
      this.#newerSinceEpochMs = undefined;
      this.#olderEpochMs = nowEpochMs;
      return true;
    }
    // Stamped ahead: the stamp does not tell when the event was made. Where the platform's clock is ahead of ours all
    // are: then only the time without an older one counts.
    const quiet = nowEpochMs - this.#olderEpochMs > REPLAY_LIMIT_MS;
    if (at > nowEpochMs && !quiet) return true;
    this.#newerSinceEpochMs ??= nowEpochMs;
    if (nowEpochMs - this.#newerSinceEpochMs < NEWER_FOR_MS && !quiet) return true;
    this.#restartedEpochMs = Infinity;
    return false;
  }
}

/** Returns the event's own time, ms since 1970; NaN where it has none. */
function timeOf(view: EventView): number {
  const time = view.text('time');
  return time === undefined ? Number.NaN : /^\d+$/.test(time) ? Number(time) : Date.parse(time);
}
