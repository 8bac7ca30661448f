import type { StreamPlan } from '../../config/plan.ts';
import { pred, type Sequence } from '../../core/events/sequence.ts';
import type { SequenceTracker } from '../../core/events/sequence-tracker.ts';
import type { EventView } from '../../platforms/frame-reader.ts';
import type { Position } from '../../platforms/profile.ts';
import type { Deps } from '../runtime/environment.ts';
import { positionOf } from './positions.ts';
import type { ReceiptClock } from './receipt-clock.ts';
import { RecentTimes } from './recent-times.ts';

/** In-process, class B asks from a little earlier than its position: identities sort out what repeats. */
const SINCE_OVERLAP_MS = 1000;
/**
 * Platform times so much before our receipt are not believed as positions (a 1970 date must not move the resume point).
 */
const BELIEVED_PAST_MS = 30 * 86_400_000;
/** Platform times so much after our receipt are not believed as positions (nor must a 9999 date). */
const BELIEVED_FUTURE_MS = 300_000;

/**
 * Knows where one stream would go on: the last good position, the position that the next dial asks for, and the one
 * before its first event. Class A takes it from the tracker, B from the events, C has none.
 */
export class ResumePoint {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #tracker: SequenceTracker<Buffer>;
  readonly #receipts: ReceiptClock;
  readonly #recentTimes = new RecentTimes();
  #position: Position | undefined;
  #restored: Position | undefined;
  /** Just before the first event of a stream that has settled none, `kind:value`; empty where no position is known. */
  #beforeFirst = '';

  constructor(
    plan: StreamPlan,
    deps: Deps,
    facts: { readonly tracker: SequenceTracker<Buffer>; readonly receipts: ReceiptClock },
  ) {
    this.#plan = plan;
    this.#deps = deps;
    this.#tracker = facts.tracker;
    this.#receipts = facts.receipts;
  }

  restore(position: string): void {
    this.#position = positionOf(position);
    this.#restored = this.#position;
    this.#beforeFirst = position;
  }

  /** The position of class B, or the one that was restored; class A is further (`current`). */
  get stored(): Position | undefined {
    return this.#position;
  }

  /** Returns the last good position. Class A derives it from the tracker: building it per event would be waste. */
  get current(): Position | undefined {
    if (this.#plan.profile.streamClass !== 'A') return this.#position;
    const last = this.#tracker.last;
    return last === undefined || (this.#position === undefined && this.#tracker.distinct === 0)
      ? undefined
      : { kind: 'sequence', value: String(last) };
  }

  /** Returns the position before the first event; empty where that is not known. */
  get beforeFirst(): string {
    return this.#beforeFirst;
  }

  /**
   * Returns the position that the next dial asks for; undefined: none is known yet, or the class cannot resume.
   * @param overlap the old link stays open.
   */
  asked(overlap: boolean): Position | undefined {
    const position = this.current;
    if (position === undefined) return undefined;
    if (position.kind === 'sequence' && !overlap) this.#tracker.resumeAsked();
    if (position.kind !== 'since') return position;
    // One millisecond earlier covers both readings of the bound, inclusive and exclusive; a checkpoint's tail is no
    // longer than that.
    const floorMs = this.#restored?.kind === 'since' ? Number(this.#restored.value) - 1 : -Infinity;
    return { kind: 'since', value: String(Math.max(floorMs, Number(position.value) - SINCE_OVERLAP_MS)) };
  }

  linkOpened(): void {
    this.#recentTimes.begin(this.#deps.nowEpochMs());
  }

  /**
   * Moves the position on. A time never moves it past the receipt: events that the platform makes after one that is
   * stamped ahead would be skipped; our clock being behind costs repetitions only. In a replay the receipt proves
   * nothing: there the earliest time among the last events keeps it back.
   */
  advance(position: Position): void {
    if (position.kind !== 'since') {
      this.#position = position;
      return;
    }
    const nowEpochMs = this.#deps.nowEpochMs();
    const at = { receivedMs: nowEpochMs, behind: this.#receipts.behind };
    const ms = this.#recentTimes.lowest(Math.min(Number(position.value), nowEpochMs), at);
    if (ms === undefined || (this.#position?.kind === 'since' && ms <= Number(this.#position.value))) return;
    this.#position = { kind: 'since', value: String(ms) };
  }

  /** Returns a platform's time as a position; undefined where it is not believed. */
  believed(position: Position | undefined): Position | undefined {
    if (position?.kind !== 'since') return position;
    const ageMs = this.#deps.nowEpochMs() - Number(position.value);
    return ageMs > BELIEVED_PAST_MS || ageMs < -BELIEVED_FUTURE_MS ? undefined : position;
  }

  /**
   * Returns whether a repetition proves that the platform replays from our position. An event stamped ahead of it
   * proves nothing about the events between.
   */
  provedBy(view: EventView): boolean {
    const position = view.position();
    if (position?.kind !== 'since' || this.#position?.kind !== 'since') return true;
    return Number(position.value) <= Number(this.#position.value);
  }

  /** Notes the first event. A position that cannot be named stays empty; the next start then announces the time. */
  noteFirst(sequence: Sequence, position: Position | undefined): void {
    if (this.#plan.profile.streamClass === 'A')
      this.#beforeFirst = sequence > 0 ? `sequence:${String(pred(sequence))}` : '';
    else if (position?.kind === 'since') {
      // Others that are stamped a little earlier may still be on their way.
      const firstMs = Math.min(Number(position.value), this.#deps.nowEpochMs());
      this.#beforeFirst = `since:${String(firstMs - SINCE_OVERLAP_MS)}`;
      this.#position ??= positionOf(this.#beforeFirst);
    }
  }
}
