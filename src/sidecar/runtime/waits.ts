import { earliest } from '../../core/units.ts';

interface Wait {
  readonly done: () => boolean;
  readonly endsAtMs: number;
  readonly resolve: (done: boolean) => void;
}

/** Keeps the conditions that an orderly start or end waits for; its owner looks at them in each of its turns. */
export class Waits {
  #all: Wait[] = [];

  /**
   * Resolves with true in the first turn in which the condition holds, or with false in the first one at or after
   * `endsAtMs`.
   */
  until(done: () => boolean, endsAtMs: number): Promise<boolean> {
    return new Promise((resolve) => this.#all.push({ done, endsAtMs, resolve }));
  }

  look(nowMs: number): void {
    if (this.#all.length === 0) return;
    this.#all = this.#all.filter(({ done, endsAtMs, resolve }) => {
      const holds = done();
      if (holds || nowMs >= endsAtMs) resolve(holds);
      return !holds && nowMs < endsAtMs;
    });
  }

  deadline(): number | undefined {
    return earliest(...this.#all.map(({ endsAtMs }) => endsAtMs));
  }

  /** Ends all waits, because the owner has ended. */
  end(): void {
    for (const { done, resolve } of this.#all.splice(0)) resolve(done());
  }
}
