import type { Parcel } from '../../delivery/envelope.ts';
import type { Position } from '../../platforms/profile.ts';

/** Identities around the position that go into a checkpoint, where the position is a time. */
const TAIL_LIMIT = 512;
/** The same where the position is no time: the platform resumes right behind it. */
const CURSOR_TAIL = 64;
/** Entries at the front that are forgotten are cut off in runs of at least this many. */
const TRIM_AT = 1024;

interface Accepted {
  readonly ord: number;
  readonly identity: string;
  /** The event's own time; NaN where it has none that is believed, or where only an earlier term saw the event. */
  since: number;
}

/**
 * Keeps, for class B, the identities and the time that a checkpoint needs, so that a replay after a restart is
 * recognised and nothing unsettled is skipped. It keeps every entry that is not settled, the last settled ones, and
 * those that come again at every resume until the position has passed their stamps; O(1) per event, amortised.
 */
export class AcceptedTail {
  #accepted: Accepted[] = [];
  /**
   * Settled entries, older than the last ones, that the position has not passed: stamped ahead of what came after them.
   */
  #ahead: Accepted[] = [];
  /** Entries before this index are settled, and in `#ahead` or passed. */
  #old = 0;
  /** Identities that an earlier term named and that have not come again since. */
  readonly #restored = new Map<string, Accepted>();
  /** Entries before this index are settled. */
  #settled = 0;
  /**
   * Entries whose time is earlier than that of all behind them: the first unsettled one has the earliest time of all
   * unsettled entries.
   */
  #earliest: Accepted[] = [];
  #earliestAt = 0;

  /**
   * Takes over the identities that an earlier term named in its checkpoint. They count as settled: the next checkpoint
   * must go on naming each while the position has not passed it.
   */
  restore(identities: readonly string[]): void {
    for (const identity of identities) {
      const one = { ord: 0, identity, since: Number.NaN };
      this.#accepted.push(one);
      this.#restored.set(identity, one);
    }
  }

  /** Notes that an event came again. If an earlier term had settled it, its time is known now. */
  cameAgain(identity: string, position: Position | undefined): void {
    const one = this.#restored.get(identity);
    if (one === undefined || position?.kind !== 'since') return;
    this.#restored.delete(identity);
    one.since = Number(position.value);
  }

  add(ord: number, { identity }: Parcel, position: Position | undefined): void {
    const since = position?.kind === 'since' ? Number(position.value) : Number.NaN;
    const one = { ord, identity, since };
    this.#accepted.push(one);
    if (Number.isNaN(since)) return;
    while (this.#earliest.length > this.#earliestAt && (this.#earliest.at(-1)?.since ?? 0) >= since)
      this.#earliest.pop();
    this.#earliest.push(one);
  }

  /** Returns position and tail for the settled prefix that ends at `ord`. Forgets what no later checkpoint can need. */
  recordFor(
    ord: number,
    position: Position | undefined,
  ): { readonly position: string; readonly tail: readonly string[] } {
    this.#settled = firstBehind(this.#accepted, this.#settled, ord);
    this.#earliestAt = firstBehind(this.#earliest, this.#earliestAt, ord);
    if (position?.kind !== 'since') {
      this.#trim(Infinity);
      if (position === undefined) return { position: '', tail: this.#lastSettled(1) };
      return { position: `${position.kind}:${position.value}`, tail: this.#lastSettled(CURSOR_TAIL) };
    }
    // Never later than an unsettled event's own time: times do not always grow, and resuming behind it would lose it.
    const since = Math.min(Number(position.value), this.#earliest[this.#earliestAt]?.since ?? Infinity);
    this.#trim(since);
    return { position: `since:${String(since)}`, tail: this.#comingAgain(since) };
  }

  #lastSettled(count: number): readonly string[] {
    return this.#accepted.slice(Math.max(0, this.#settled - count), this.#settled).map((one) => one.identity);
  }

  /**
   * Returns the settled identities that the platform repeats when it is asked from `since` on (or a millisecond
   * earlier); the latest, where there are too many.
   */
  #comingAgain(since: number): readonly string[] {
    const passed = ({ since: own }: Accepted): boolean => own < since - 1;
    const last = this.#accepted.slice(this.#old, this.#settled);
    const named = [...this.#ahead, ...last].filter((one) => !passed(one));
    const chosen =
      named.length <= TAIL_LIMIT
        ? named
        : named.toSorted((a, b) => (a.since || since) - (b.since || since)).slice(-TAIL_LIMIT);
    return [...new Set(chosen.map((one) => one.identity))];
  }

  #trim(since: number): void {
    for (; this.#old < this.#settled - TAIL_LIMIT; this.#old += 1) {
      const one = this.#accepted[this.#old];
      if (one !== undefined && (one.since >= since - 1 || this.#restored.has(one.identity))) this.#ahead.push(one);
    }
    this.#ahead = this.#ahead.filter((one) => !(one.since < since - 1)).slice(-TAIL_LIMIT);
    if (this.#old >= TRIM_AT && this.#old * 2 >= this.#accepted.length) {
      this.#accepted = this.#accepted.slice(this.#old);
      this.#settled -= this.#old;
      this.#old = 0;
    }
    if (this.#earliestAt >= TRIM_AT && this.#earliestAt * 2 >= this.#earliest.length) {
      this.#earliest = this.#earliest.slice(this.#earliestAt);
      this.#earliestAt = 0;
    }
  }
}

/** Returns the index of the first entry behind `ord`, from `at` on. */
function firstBehind(entries: readonly Accepted[], at: number, ord: number): number {
  let index = at;
  while ((entries[index]?.ord ?? Infinity) <= ord) index += 1;
  return index;
}
