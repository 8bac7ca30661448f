import type { LeaseGrant } from '../runtime/lease-grant.ts';

/** The right to hand over one stream's events: its lease is open, and it has read from where it goes on. */
export class StreamGrant {
  readonly #lease: LeaseGrant;
  /** Where the stream stands is known: events may be handed over and checkpoints written. */
  begun = false;

  constructor(lease: LeaseGrant) {
    this.#lease = lease;
  }

  /** Returns whether an event may be handed over at this instant. */
  isOpen(nowMs: number): boolean {
    return this.begun && this.#lease.isOpen(nowMs);
  }
}
