import type { LeaseGrant } from '../runtime/lease-grant.ts';

/** Grants the right to hand over one stream's events: its lease is open, and the point to go on from is known. */
export class StreamGrant {
  readonly #lease: LeaseGrant;
  /** True once it is known where the stream stands: events may be handed over and checkpoints written. */
  begun = false;

  constructor(lease: LeaseGrant) {
    this.#lease = lease;
  }

  /** Returns whether an event may be handed over at this instant. */
  isOpen(nowMs: number): boolean {
    return this.begun && this.#lease.isOpen(nowMs);
  }
}
