interface Suspicion {
  /** Connections lost while this event alone was with the consumer. */
  losses: number;
  /** True when, since the last of them, the consumer took another event, or proved to be well. */
  proved: boolean;
}

/** Suspects remembered at most; of more that were lost together the oldest are taken. */
export const SUSPECTS_LIMIT = 256;

/**
 * Finds the event that ends the consumer whenever it is handed over. Every event of a request whose connection was lost
 * is a suspect; suspects go alone, and only a loss under a lone suspect counts, and only while the consumer takes other
 * events in between: a consumer that is merely down convicts no event.
 */
export class CrashSuspects {
  readonly #limit: number;
  readonly #all = new Map<number, Suspicion>();

  /** @param limit losses that convict, >= 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#all.size;
  }

  has(ord: number): boolean {
    return this.#all.has(ord);
  }

  /**
   * Notes that the event was with the consumer when its connection was lost. Returns false when no more can be
   * remembered. @param losses known from an earlier term.
   */
  accuse(ord: number, losses = 0): boolean {
    if (this.#all.has(ord)) return true;
    if (this.#all.size >= SUSPECTS_LIMIT) return false;
    this.#all.set(ord, { losses, proved: losses > 0 });
    return true;
  }

  /** Drops the suspicion: the consumer answered for the event, or it is settled. */
  clear(ord: number): void {
    this.#all.delete(ord);
  }

  /** Notes that the connection was lost while this suspect was alone. Returns whether that convicts it. */
  lostAlone(ord: number): boolean {
    const suspicion = this.#all.get(ord);
    if (suspicion === undefined) return false;
    if (suspicion.losses === 0 || suspicion.proved) suspicion.losses += 1;
    suspicion.proved = false;
    return suspicion.losses >= this.#limit;
  }

  /** Notes that the consumer acknowledged the event `by`, or (undefined) is known to be well. */
  proved(by: number | undefined): void {
    if (this.#all.size === 0) return;
    for (const [ord, suspicion] of this.#all) if (ord !== by) suspicion.proved = true;
  }

  /**
   * Returns the suspects in the order of their turns: those with the fewest losses first, of these the oldest. @param
   * inOrder the oldest first, always.
   */
  turns(inOrder: boolean): readonly { readonly ord: number; readonly losses: number; readonly proved: boolean }[] {
    return [...this.#all]
      .map(([ord, suspicion]) => ({ ord, ...suspicion }))
      .sort((a, b) => (inOrder ? 0 : a.losses - b.losses) || a.ord - b.ord);
  }

  /** True while some suspect may not go again before the consumer has proved to be well. */
  get unproved(): boolean {
    for (const { losses, proved } of this.#all.values()) if (losses > 0 && !proved) return true;
    return false;
  }

  all(): readonly number[] {
    return [...this.#all.keys()];
  }

  /** Returns the suspects with losses, the most first, at most `max`. */
  convicting(max: number): readonly { readonly ord: number; readonly losses: number }[] {
    return [...this.#all]
      .flatMap(([ord, { losses }]) => (losses > 0 ? [{ ord, losses }] : []))
      .sort((a, b) => b.losses - a.losses)
      .slice(0, max);
  }
}
