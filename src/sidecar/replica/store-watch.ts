import type { StoreCondition } from '../../coordination/redis/redis-store.ts';
import type { Environment } from '../runtime/environment.ts';

/** How often the server is asked how it is. */
const LOOK_EVERY_MS = 30_000;

export interface WatchedStore {
  /** @returns whether the store answered within the time. */
  ready(limitMs: number): Promise<boolean>;
  condition(): Promise<StoreCondition>;
}

/**
 * Warns of what is unsafe about the shared store: logs each warning once when it begins, and shows all of them in the
 * status for as long as they last.
 */
export class StoreWatch {
  readonly #store: WatchedStore;
  readonly #log: Environment['log'];
  readonly #told: (condition: StoreCondition) => void;
  readonly #timer: NodeJS.Timeout;
  #known: ReadonlySet<string> = new Set();

  constructor(store: WatchedStore, log: Environment['log'], told: (condition: StoreCondition) => void) {
    this.#store = store;
    this.#log = log;
    this.#told = told;
    this.#timer = setInterval(() => {
      void this.look();
    }, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Looks for the first time; a store that is not there yet is looked at again later. */
  async begin(limitMs: number): Promise<void> {
    if (await this.#store.ready(limitMs)) return this.look();
    this.#log.warn('Redis does not answer yet; waiting for it in the background');
  }

  async look(): Promise<void> {
    let condition: StoreCondition;
    try {
      condition = await this.#store.condition();
    } catch (error) {
      this.#log.debug({ err: error }, 'the server does not say how it is set');
      condition = { warnings: ['the server does not say how it is set; not verified'], fill: undefined };
    }
    const fresh = condition.warnings.filter((one) => !this.#known.has(kindOf(one)));
    for (const warning of fresh) this.#log.warn({ condition: 'StoreUnsafe' }, warning);
    this.#known = new Set(condition.warnings.map(kindOf));
    this.#told(condition);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Returns the kind of a warning: one whose figure moves is still the same warning. */
function kindOf(warning: string): string {
  return warning.replace(/\d+/g, '#');
}
