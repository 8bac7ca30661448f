import type { Heartbeat } from '../../coordination/redis/connection-registry.ts';

/** A connection of ours that was heard from within this time is not dead, whoever says so. */
const SILENT_MS = 10_000;
/** Hints that are followed: one in this time. */
const FOLLOW_EVERY_MS = 1000;

type Held = Pick<Heartbeat, 'connectionId' | 'silentMs'>;

/**
 * Takes hints that one of our connections is dead; any client of the store may publish one. A hint makes it look, never
 * obey: a connection is cut only when our own watch has not heard from it either. The watch's verdict alone ends it
 * anyway; the hint is for a watch that has stopped.
 */
export class DeadHints {
  readonly #held: () => readonly Held[];
  readonly #cut: (connectionId: string) => void;
  readonly #nowMs: () => number;
  #followedAtMs = -Infinity;

  constructor(held: () => readonly Held[], cut: (connectionId: string) => void, nowMs: () => number) {
    this.#held = held;
    this.#cut = cut;
    this.#nowMs = nowMs;
  }

  heard(connectionId: string): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#followedAtMs < FOLLOW_EVERY_MS) return;
    const silentMs = this.#held().find((one) => one.connectionId === connectionId)?.silentMs ?? 0;
    if (silentMs < SILENT_MS) return;
    this.#followedAtMs = nowMs;
    this.#cut(connectionId);
  }
}
