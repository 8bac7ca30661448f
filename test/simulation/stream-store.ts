import { newerOf, type Checkpoint, type DeadLetter, type Store } from '../../src/coordination/store.ts';
import { HoldfastError } from '../../src/core/errors.ts';
import type { VirtualTime } from './virtual-time.ts';

/**
 * The store as one stream sees it, on virtual time: fenced, ordered, slow, and away at times. A differential test
 * holds its answers against the real ones.
 */
export class StoreModel implements Store {
  readonly kind = 'redis';
  readonly #time: VirtualTime;
  readonly #unit: () => number;
  readonly letters = new Map<string, DeadLetter>();
  /** For the judge, who takes them out. */
  readonly newLetters: DeadLetter[] = [];
  #epoch = 0;
  record: Checkpoint | undefined;
  /** Calls fail until then. */
  awayUntilMs = 0;
  /** What was stored, for the judge. */
  saved: (record: Checkpoint) => void = () => undefined;

  constructor(time: VirtualTime, unit: () => number) {
    this.#time = time;
    this.#unit = unit;
  }

  #answer<T>(act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#time.in(0.2 + 5 * this.#unit(), () => {
        if (this.#time.nowMs < this.awayUntilMs)
          reject(new HoldfastError('HF_STORE_UNAVAILABLE', 'away', { cause: undefined }));
        else resolve(act());
      });
    });
  }

  /** The lease's part, which other simulations drive: another leader's number is known at once. */
  takeOver(): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  get next(): number {
    return this.#epoch + 1;
  }

  claim(): Promise<number> {
    return this.#answer(() => this.takeOver());
  }
  epoch(): Promise<number> {
    return this.#answer(() => this.#epoch);
  }
  load(): Promise<Checkpoint | undefined> {
    return this.#answer(() => this.record);
  }
  save(
    _client: string,
    epoch: number,
    checkpoints: Readonly<Record<string, Checkpoint>>,
  ): Promise<'stored' | 'fenced' | 'regressed'> {
    return this.#answer(() => {
      if (epoch !== this.#epoch) return 'fenced';
      for (const record of Object.values(checkpoints)) {
        if (this.record !== undefined && newerOf(record, this.record) !== record) return 'regressed';
        this.record = record;
        this.saved(record);
      }
      return 'stored';
    });
  }
  seed(): Promise<boolean> {
    return this.#answer(() => false);
  }
  saveSealed(): Promise<'stored' | 'fenced'> {
    return this.#answer(() => 'stored');
  }
  loadSealed(): Promise<string | undefined> {
    return this.#answer(() => undefined);
  }
  addDeadLetter(_client: string, letter: DeadLetter): Promise<'stored' | 'full'> {
    return this.#answer(() => {
      this.letters.set(letter.id, letter);
      this.newLetters.push(letter);
      return 'stored';
    });
  }
  listDeadLetters(): Promise<readonly DeadLetter[]> {
    return this.#answer(() => [...this.letters.values()]);
  }
  getDeadLetter(_client: string, _stream: string, id: string): Promise<DeadLetter | undefined> {
    return this.#answer(() => this.letters.get(id));
  }
  removeDeadLetter(_client: string, _stream: string, id: string): Promise<boolean> {
    return this.#answer(() => this.letters.delete(id));
  }
  purgeDeadLetters(): Promise<number> {
    return this.#answer(() => 0);
  }
  countDeadLetters(): Promise<number> {
    return this.#answer(() => this.letters.size);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
