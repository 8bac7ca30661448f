/**
 * One lease as this replica sees it. Only the election writes it, with every state that it commits and before it
 * performs the effects of that state.
 */
export interface HeldLease {
  /** Epoch of the lease while this replica leads; 0: it does not. */
  readonly epoch: number;
  /** Monotonic ms before which this replica may act in the lease's name; -Infinity: it may not. */
  readonly openUntilMs: number;
  /** The replica that has the lease, as far as was seen; empty: none. */
  readonly holder: string;
}

/** Takes doubts about a lease: the store refused a call that only the leader may make. The election implements it. */
export interface LeaseDoubts {
  doubt(lease: string): void;
}

/**
 * Grants one term the right to act in its lease's name, asked at each use; no timer decides it. It closes by itself
 * when the lease is in doubt, is lost, or has another epoch.
 */
export class LeaseGrant {
  readonly epoch: number;
  readonly #lease: string;
  readonly #held: HeldLease;
  readonly #doubts: LeaseDoubts;
  #warming: boolean;
  #over = false;

  /** @param term.warming the term connects before the lease is its own, as an heir does. */
  constructor(
    lease: string,
    held: HeldLease,
    doubts: LeaseDoubts,
    term: { readonly epoch: number; readonly warming: boolean },
  ) {
    this.#lease = lease;
    this.#held = held;
    this.#doubts = doubts;
    this.epoch = term.epoch;
    this.#warming = term.warming;
  }

  /** Returns whether the term may act in the lease's name at this instant. */
  isOpen(nowMs: number): boolean {
    return !this.#over && this.#held.epoch === this.epoch && nowMs < this.#held.openUntilMs;
  }

  /** Returns whether the term may connect at this instant: also before the lease is its own, while it warms up. */
  mayDial(nowMs: number): boolean {
    return this.#warming || this.isOpen(nowMs);
  }

  /** Ends the warm-up: the lease has come. */
  warmedUp(): void {
    this.#warming = false;
  }

  /** Closes the grant for good: the term is over. */
  end(): void {
    this.#over = true;
    this.#warming = false;
  }

  /** Has the store asked whose the lease is. Until it has answered, nothing is done in the lease's name. */
  doubt(): void {
    this.#doubts.doubt(this.#lease);
  }
}
