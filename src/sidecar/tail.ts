import type { Parcel } from '../delivery/envelope.ts';
import type { Position } from '../platforms/profile.ts';

/** Identities around the position that go into a checkpoint. */
const TAIL_LIMIT = 512;
const CURSOR_TAIL = 64;
/** Of these, events stamped ahead of their receipt, at most. */
const EARLY_LIMIT = 256;
/** Entries at the front that are forgotten are cut off in runs of at least this many. */
const TRIM_AT = 1024;

interface Accepted {
  readonly ord: number;
  readonly identity: string;
  /** The event's own time; NaN where it has none that is believed. */
  readonly since: number;
}

/**
 * Class B: keeps which identities and which time a checkpoint needs, so that a replay after a restart is recognised and nothing unsettled is
 * skipped. It keeps every entry that is not settled, and the last ones that are; O(1) per event, amortised.
 */
export class AcceptedTail {
  #accepted: Accepted[] = [];
  /** Stamped ahead of their receipt. */
  #early: Accepted[] = [];
  /** Entries before this index are settled. */
  #settled = 0;
  /** Entries whose time is earlier than that of all behind them: the first that is not settled has the earliest time of all that are not. */
  #earliest: Accepted[] = [];
  #earliestAt = 0;

  /** What an earlier term named in its checkpoint counts as settled: the next one must go on naming it while the position has not passed it. */
  restore(identities: readonly string[]): void {
    for (const identity of identities) this.#accepted.push({ ord: 0, identity, since: Number.NaN });
  }

  add(ord: number, { identity, receivedEpochMs }: Parcel, position: Position | undefined): void {
    const since = position?.kind === 'since' ? Number(position.value) : Number.NaN;
    const one = { ord, identity, since };
    this.#accepted.push(one);
    if (since > receivedEpochMs) this.#early.push(one);
    if (Number.isNaN(since)) return;
    while (this.#earliest.length > this.#earliestAt && (this.#earliest.at(-1)?.since ?? 0) >= since)
      this.#earliest.pop();
    this.#earliest.push(one);
  }

  /** Position and tail for the settled prefix that ends at `ord`. Forgets what no later checkpoint can need. */
  recordFor(
    ord: number,
    position: Position | undefined,
  ): { readonly position: string; readonly tail: readonly string[] } {
    while ((this.#accepted[this.#settled]?.ord ?? Infinity) <= ord) this.#settled += 1;
    while ((this.#earliest[this.#earliestAt]?.ord ?? Infinity) <= ord) this.#earliestAt += 1;
    this.#trim();
    const settled = (count: number): readonly Accepted[] =>
      this.#accepted.slice(Math.max(0, this.#settled - count), this.#settled);
    const identities = (from: readonly Accepted[]): string[] => from.map((one) => one.identity);
    if (position === undefined) return { position: '', tail: identities(settled(1)) };
    if (position.kind !== 'since')
      return { position: `${position.kind}:${position.value}`, tail: identities(settled(CURSOR_TAIL)) };
    // Never later than an unsettled event's own time: times do not always grow, and resuming behind it would lose it.
    const since = Math.min(Number(position.value), this.#earliest[this.#earliestAt]?.since ?? Infinity);
    // What is stamped ahead comes again at every resume until the position has passed its stamp.
    this.#early = this.#early.filter((one) => one.since >= since).slice(-EARLY_LIMIT);
    const early = this.#early.filter((one) => one.ord <= ord);
    const last = settled(TAIL_LIMIT - early.length).filter((one) => !(one.since < since - 1));
    return { position: `since:${String(since)}`, tail: [...new Set(identities([...early, ...last]))] };
  }

  #trim(): void {
    const dead = this.#settled - TAIL_LIMIT;
    if (dead >= TRIM_AT && dead * 2 >= this.#accepted.length) {
      this.#accepted = this.#accepted.slice(dead);
      this.#settled -= dead;
    }
    if (this.#earliestAt >= TRIM_AT && this.#earliestAt * 2 >= this.#earliest.length) {
      this.#earliest = this.#earliest.slice(this.#earliestAt);
      this.#earliestAt = 0;
    }
  }
}
