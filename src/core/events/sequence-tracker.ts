import { distance, normalise, pred, succ, type Sequence } from './sequence.ts';
import type { Millis } from '../units.ts';

export interface TrackerPolicy {
  /** How long an event that came too early waits for its predecessors before the platform is asked again. */
  readonly reorderMs: Millis;
  /** Early events kept at most; one more counts as time passed. */
  readonly reorderLimit: number;
  /** Bytes of early events kept at most; beyond them, too, the wait is over. */
  readonly reorderBytes: number;
  /** False where a filter makes missing numbers normal: only duplicates are then recognised. */
  readonly contiguous: boolean;
}

/**
 * next: deliver it now, then `released()`. duplicate / conflict: drop (conflict = same number, other content; the first
 * is kept). held: an early event, kept here. late: belongs to an announced gap, deliver it as a repair.
 */
export type Offered = 'next' | 'duplicate' | 'conflict' | 'held' | 'late';

export type Missing =
  | { readonly kind: 'nothing' }
  /** Ask the platform once more from `from`. */
  | { readonly kind: 'resume'; readonly from: Sequence }
  | { readonly kind: 'gap'; readonly from: Sequence; readonly to: Sequence }
  /** The platform began a new numbering; the old one ended after `last`. */
  | { readonly kind: 'restarted'; readonly last: Sequence | undefined; readonly first: Sequence };

export interface SequencePrint {
  readonly sequence: Sequence;
  readonly print: number;
}

/**
 * Fingerprints of the last this many accepted events are remembered, to tell a replay from a new numbering. Power of
 * two.
 */
const PRINTS = 4096;
/** Fingerprints that go into a checkpoint. */
const TAIL = 8;
/** Unexplained low numbers kept while it is undecided whether they are a replay or a new numbering. */
const SUSPECTS_MAX = 512;
/** A run of this many numbers whose content differs from what we have under the same number proves a new numbering. */
const CONFLICTS_PROVE = 3;
/** Announced gaps remembered for late arrivals. */
const OPEN_GAPS = 16;

interface Held<T> {
  readonly sequence: Sequence;
  readonly print: number;
  readonly item: T;
}

/**
 * Follows one contiguous sequence: order, duplicates, missing numbers, continuity. Deterministic, no clock; it owns its
 * storage because it stands in the path of every event (docs/decisions/0003).
 */
export class SequenceTracker<T> {
  readonly #policy: TrackerPolicy;
  readonly #sizeOf: (item: T) => number;
  readonly #prints = new Uint32Array(PRINTS);
  #base: Sequence = 0;
  #expected: Sequence | undefined;
  #lowestPrint: Sequence = 0;
  #held = new Map<string, Held<T>>();
  #heldSinceMs: Millis | undefined;
  #heldBytes = 0;
  #suspects: Held<T>[] = [];
  #suspectsSinceMs: Millis | undefined;
  #conflicts = 0;
  #resumeTriedFor: Sequence | undefined;
  #gaps: { from: Sequence; to: Sequence }[] = [];
  distinct = 0;
  missing = 0;

  /** @param sizeOf returns the bytes that an item keeps alive. */
  constructor(policy: TrackerPolicy, sizeOf: (item: T) => number) {
    this.#policy = policy;
    this.#sizeOf = sizeOf;
  }

  /** Continues after `last`. The checkpoint may bring its fingerprint and those before it. */
  restore(last: Sequence, tail: readonly SequencePrint[]): void {
    this.#expected = succ(last);
    this.#base = last;
    this.#lowestPrint = succ(last);
    for (const { sequence, print } of tail) {
      this.#prints[this.#slot(sequence)] = print;
      if (sequence < this.#lowestPrint) this.#lowestPrint = sequence;
    }
  }

  get last(): Sequence | undefined {
    return this.#expected === undefined ? undefined : pred(this.#expected);
  }

  get heldCount(): number {
    return this.#held.size + this.#suspects.length;
  }

  /** Rate distinct / (distinct + missing); 1 before anything came. */
  get continuityRate(): number {
    return this.distinct === 0 ? 1 : this.distinct / (this.distinct + this.missing);
  }

  /** Notes that a dial asks from our position: numbers missing at its start have then been asked for once. */
  resumeAsked(): void {
    this.#resumeTriedFor = this.#expected;
    this.dropHeld();
  }

  /** Forgets the early events that wait: the platform will send them again. */
  dropHeld(): void {
    this.#held.clear();
    this.#heldBytes = 0;
    this.#heldSinceMs = undefined;
    this.#clearSuspects();
  }

  /**
   * Offers one event.
   * @param print a 32-bit fingerprint of its identity; equal numbers with different prints are a conflict.
   * @param item is kept only when the answer is `held`: it must copy bytes that outlive the turn.
   */
  offer(sequence: Sequence, print: number, item: () => T, nowMs: Millis): Offered {
    if (this.#expected === undefined) {
      this.#base = sequence;
      this.#lowestPrint = sequence;
      this.#expected = sequence;
    }
    if (sequence === this.#expected || (typeof sequence === 'bigint' && sequence === BigInt(this.#expected))) {
      this.#accept(sequence, print);
      return 'next';
    }
    if (sequence > this.#expected) {
      if (!this.#policy.contiguous) {
        this.#accept(sequence, print);
        return 'next';
      }
      return this.#hold(sequence, print, item, nowMs);
    }
    return this.#below(sequence, print, item, nowMs);
  }

  /** Returns, after `next`, the early events that are now in order, each to be delivered. */
  released(): readonly T[] {
    if (this.#held.size === 0) return [];
    const out: T[] = [];
    for (
      let at = this.#held.get(String(this.#expected));
      at !== undefined;
      at = this.#held.get(String(this.#expected))
    ) {
      this.#held.delete(String(at.sequence));
      this.#heldBytes -= this.#sizeOf(at.item);
      this.#accept(at.sequence, at.print);
      out.push(at.item);
    }
    if (this.#held.size === 0) this.#heldSinceMs = undefined;
    return out;
  }

  deadline(): Millis | undefined {
    const since = this.#heldSinceMs ?? this.#suspectsSinceMs;
    return since === undefined ? undefined : since + this.#policy.reorderMs;
  }

  /** Looks at the clock. After `gap` or `restarted` call `released()`: the events behind the gap are then in order. */
  overdue(nowMs: Millis): Missing {
    if (this.#conflicts >= CONFLICTS_PROVE || this.#suspects.length >= SUSPECTS_MAX) return this.#restart();
    if (this.#suspectsSinceMs !== undefined && nowMs >= this.#suspectsSinceMs + this.#policy.reorderMs)
      return this.#judgeSuspects();
    if (this.#expected === undefined || !this.#waitIsOver(nowMs)) return { kind: 'nothing' };
    const from = this.#expected;
    if (this.#resumeTriedFor !== from) {
      this.#resumeTriedFor = from;
      this.dropHeld();
      return { kind: 'resume', from };
    }
    return this.#skipHole(from, nowMs);
  }

  /** Returns fingerprints of the last accepted numbers, for the checkpoint. */
  tail(upTo: Sequence): readonly SequencePrint[] {
    const out: SequencePrint[] = [];
    let at = upTo;
    for (
      let n = 0;
      n < TAIL && at >= this.#lowestPrint && this.#expected !== undefined && at < this.#expected;
      n += 1
    ) {
      out.push({ sequence: at, print: this.#prints[this.#slot(at)] ?? 0 });
      if (at === 0) break;
      at = pred(at);
    }
    return out;
  }

  #slot(sequence: Sequence): number {
    return ((distance(sequence, this.#base) % PRINTS) + PRINTS) % PRINTS;
  }

  #accept(sequence: Sequence, print: number): void {
    this.#prints[this.#slot(sequence)] = print;
    this.#expected = succ(sequence);
    this.distinct += 1;
    if (this.#suspects.length > 0 || this.#conflicts > 0) this.#clearSuspects();
    if (distance(this.#expected, this.#lowestPrint) > PRINTS)
      this.#lowestPrint = normalise(BigInt(this.#expected) - BigInt(PRINTS));
  }

  #hold(sequence: Sequence, print: number, item: () => T, nowMs: Millis): Offered {
    const key = String(sequence);
    const known = this.#held.get(key);
    if (known !== undefined) return known.print === print ? 'duplicate' : 'conflict';
    const kept = item();
    this.#held.set(key, { sequence, print, item: kept });
    this.#heldBytes += this.#sizeOf(kept);
    this.#heldSinceMs ??= nowMs;
    return 'held';
  }

  #below(sequence: Sequence, print: number, item: () => T, nowMs: Millis): Offered {
    const gap = this.#gaps.findIndex((one) => sequence >= one.from && sequence <= one.to);
    if (gap !== -1) return this.#late(gap, sequence, print);
    const known = sequence >= this.#lowestPrint;
    if (known && this.#prints[this.#slot(sequence)] === print) {
      this.#clearSuspects(); // the replay proved itself
      return 'duplicate';
    }
    const lastSuspect = this.#suspects.at(-1);
    if (lastSuspect !== undefined && sequence !== succ(lastSuspect.sequence)) this.#clearSuspects();
    this.#suspects.push({ sequence, print, item: item() });
    this.#suspectsSinceMs ??= nowMs;
    if (!known) return 'held';
    this.#conflicts += 1;
    return 'conflict';
  }

  #late(index: number, sequence: Sequence, print: number): Offered {
    const gap = this.#gaps[index];
    if (gap === undefined) return 'duplicate';
    const parts = [
      { from: gap.from, to: pred(sequence) },
      { from: succ(sequence), to: gap.to },
    ].filter((part) => part.from <= part.to && !(part.from === gap.from && sequence === gap.from));
    this.#gaps.splice(index, 1, ...parts);
    this.#prints[this.#slot(sequence)] = print;
    this.missing -= 1;
    this.distinct += 1;
    return 'late';
  }

  /** Returns whether the early events have waited long enough for their predecessors, or are too many to wait. */
  #waitIsOver(nowMs: Millis): boolean {
    return (
      this.#heldSinceMs !== undefined &&
      (nowMs >= this.#heldSinceMs + this.#policy.reorderMs ||
        this.#held.size > this.#policy.reorderLimit ||
        this.#heldBytes > this.#policy.reorderBytes)
    );
  }

  /**
   * Gives up missing numbers that the platform was asked for once more in vain: they are a gap from `from` on, and the
   * early events follow.
   */
  #skipHole(from: Sequence, nowMs: Millis): Missing {
    const first = this.#lowestHeld();
    if (first === undefined) return { kind: 'nothing' };
    const to = pred(first);
    this.#expected = first;
    this.missing += distance(first, from);
    this.#gaps = [...this.#gaps, { from, to }].slice(-OPEN_GAPS);
    this.#heldSinceMs = nowMs;
    return { kind: 'gap', from, to };
  }

  #lowestHeld(): Sequence | undefined {
    let lowest: Sequence | undefined;
    for (const { sequence } of this.#held.values()) if (lowest === undefined || sequence < lowest) lowest = sequence;
    return lowest;
  }

  /**
   * Judges, when their time is up, numbers out of order: those that start at 0 or 1 are a new numbering, any others an
   * old replay.
   */
  #judgeSuspects(): Missing {
    const first = this.#suspects[0];
    if (first !== undefined && first.sequence <= 1) return this.#restart();
    this.#clearSuspects();
    return { kind: 'nothing' };
  }

  #restart(): Missing {
    const first = this.#suspects[0];
    if (first === undefined) return { kind: 'nothing' };
    const last = this.last;
    const suspects = this.#suspects;
    this.dropHeld();
    this.#base = first.sequence;
    this.#lowestPrint = first.sequence;
    this.#expected = first.sequence;
    this.#gaps = [];
    for (const one of suspects) {
      this.#held.set(String(one.sequence), one);
      this.#heldBytes += this.#sizeOf(one.item);
    }
    return { kind: 'restarted', last, first: first.sequence };
  }

  #clearSuspects(): void {
    this.#suspects = [];
    this.#suspectsSinceMs = undefined;
    this.#conflicts = 0;
  }
}
