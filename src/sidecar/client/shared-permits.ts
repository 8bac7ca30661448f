import type { Bucket, Permit } from '../../coordination/shared-limits.ts';
import type { ClientPlan } from '../../config/plan.ts';
import type { Deps } from '../runtime/environment.ts';

/** Attempts of all clients behind one egress address (reliability 3.1). Not asked for toward loopback. */
const EGRESS: Bucket = { capacity: 10, refillEveryMs: 1000 };
/** Token requests of one client, all replicas together: 6 a minute. */
const TOKENS: Bucket = { capacity: 6, refillEveryMs: 10_000 };
/** Refused by the store, or between two leases: asked again after this. */
export const NOT_OPEN_RETRY_MS = 500;
const GRANTED: Permit = { kind: 'granted' };
/** What is missing when the store refuses. */
const NO_GATE = 'the shared gate was not asked: the gate of this replica decides alone';
const NO_TOKEN_GATE = 'the shared gate for token requests was not asked: this replica decides alone';
const NO_HOLD = 'the hold is not shared: the next leader does not know of it';
const NO_BREAKER = 'the breaker is not shared: the next leader does not know of it';

/**
 * Asks for permits that all replicas share. Where the store does not answer, the client's own gate decides alone; the
 * lease bounds for how long.
 */
export class SharedPermits {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #epoch: number;

  constructor(plan: ClientPlan, deps: Deps, epoch: number) {
    this.#plan = plan;
    this.#deps = deps;
    this.#epoch = epoch;
  }

  async dial(): Promise<Permit> {
    const { gate } = this.#plan.dialing;
    return this.#shared(NO_GATE, async () => {
      const own = await this.#deps.limits.permit(this.#plan.lease, this.#epoch, 'dial', {
        capacity: gate.capacity,
        refillEveryMs: gate.refillEveryMs,
      });
      if (own.kind !== 'granted' || this.#plan.loopback) return own;
      return this.#deps.limits.egress(this.#deps.identity.egress, EGRESS);
    });
  }

  async token(): Promise<Permit> {
    if (this.#plan.loopback) return GRANTED;
    return this.#shared(NO_TOKEN_GATE, () => this.#deps.limits.permit(this.#plan.lease, this.#epoch, 'token', TOKENS));
  }

  /** Stores a pause for the next leader. */
  hold(ms: number): void {
    void this.#shared(NO_HOLD, () => this.#deps.limits.hold(this.#plan.lease, this.#epoch, ms).then(() => GRANTED));
  }

  breaker(ms: number): void {
    void this.#shared(NO_BREAKER, () =>
      this.#deps.limits.breaker(this.#plan.lease, this.#epoch, ms).then(() => GRANTED),
    );
  }

  async #shared(missing: string, ask: () => Promise<Permit>): Promise<Permit> {
    try {
      const permit = await ask();
      this.#deps.refusals.over(missing);
      return permit;
    } catch (error) {
      this.#deps.refusals.note(missing, error);
      return GRANTED;
    }
  }
}
