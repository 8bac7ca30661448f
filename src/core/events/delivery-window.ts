import type { EntryState } from './outbox-entry.ts';
import type { Millis } from '../units.ts';

/** The bounds of one stream's delivery. A disruption redelivers at most maxInFlight + maxUncheckpointed events. */
export interface OutboxPolicy {
  /** Entries handed over and not acknowledged. */
  readonly maxInFlight: number;
  /**
   * Entries settled, and not yet covered by a stored checkpoint. No entry is handed over for the first time beyond it.
   */
  readonly maxUncheckpointed: number;
  readonly maxBufferedBytes: number;
  readonly ackTimeoutMs: Millis;
  /**
   * Scope of a stored checkpoint: `ahead`, the settled prefix and entries settled ahead of it (class A); `prefix`, the
   * prefix only (class B); `nothing`: no event ever comes again from the platform, so that no entry waits for a
   * checkpoint (class C).
   */
  readonly cover: 'ahead' | 'prefix' | 'nothing';
}

/**
 * Entries settled ahead of the floor; at this many only the entry that holds the floor still goes for the first time.
 */
export const SETTLED_AHEAD_LIMIT = 65_536;

/**
 * Counts entries that are handed over and those that a crash would bring again, and tells how many may go for the first
 * time. An entry that goes finds at most maxUncheckpointed - 1 settled and not covered, and becomes at most the
 * maxInFlight-th handed over: a crash brings back at most the sum less one. The remaining place is for the entry at the
 * floor: else as many entries settled ahead of it would wait for a checkpoint that waits for them.
 */
export class DeliveryWindow {
  readonly #policy: OutboxPolicy;
  sent = 0;
  /** Entries handed over before, and queued again. */
  #waiting = 0;
  #dying = 0;
  settled = 0;
  storedFloor = 0;
  /** Settled entries that the stored checkpoint covers. */
  #covered = 0;

  constructor(policy: OutboxPolicy) {
    this.#policy = policy;
  }

  /** Entries handed over, now or before, and not settled. */
  get #handed(): number {
    return this.sent + this.#waiting + this.#dying;
  }

  /** Entries handed over or on their way into the dead letters. */
  get out(): number {
    return this.sent + this.#dying;
  }

  get covered(): number {
    return this.#covered;
  }

  /**
   * Returns how many entries may be handed over for the first time, the one at the floor aside. Redeliveries need only
   * a place in flight.
   */
  room(floor: number): number {
    const { maxInFlight, maxUncheckpointed, cover } = this.#policy;
    const flight = maxInFlight - this.#handed;
    if (this.settled - floor >= SETTLED_AHEAD_LIMIT) return 0;
    if (cover === 'nothing') return Math.max(0, flight);
    const uncovered = this.settled - this.#covered;
    return Math.max(0, Math.min(flight, maxUncheckpointed - uncovered));
  }

  /**
   * Returns whether the entry at the floor may go for the first time although there is no room: one per stored
   * checkpoint.
   */
  mayStartOldest(floor: number): boolean {
    const { maxInFlight, cover } = this.#policy;
    return (cover === 'nothing' || this.storedFloor === floor) && this.#handed < maxInFlight;
  }

  get mayRepeat(): boolean {
    return this.out < this.#policy.maxInFlight;
  }

  /** True while an entry could go if a checkpoint were stored. */
  get starved(): boolean {
    return this.#policy.cover !== 'nothing' && this.settled - this.#covered >= this.#policy.maxUncheckpointed;
  }

  /**
   * Notes that an entry goes from one state to another. @param again it was handed over before, where it is or becomes
   * queued.
   */
  moved(from: EntryState, to: EntryState, again: boolean): void {
    this.#count(from, again, -1);
    this.#count(to, again, 1);
  }

  /** Notes that the store has a checkpoint of the prefix up to `floor` and of `ahead` entries behind it. */
  stored(floor: number, ahead: number): void {
    this.storedFloor = Math.max(this.storedFloor, floor);
    this.#covered = Math.max(this.storedFloor, floor + ahead);
  }

  /** Counts an entry that was settled in an earlier term, and that the stored checkpoint covers. */
  inherited(): void {
    this.settled += 1;
    this.#covered += 1;
  }

  #count(state: EntryState, again: boolean, by: 1 | -1): void {
    if (state === 'sent') this.sent += by;
    else if (state === 'dying') this.#dying += by;
    else if (state === 'settled') this.settled += by;
    else if (again) this.#waiting += by;
  }
}
