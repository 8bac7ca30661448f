import type { ClientPlan } from '../config/resolve.ts';
import type { Bucket, Permit } from '../coordination/restraint.ts';
import type { Deps } from './deps.ts';

/** Attempts of all clients behind one egress address (reliability 3.1). Not asked for toward loopback. */
const EGRESS: Bucket = { capacity: 10, refillEveryMs: 1000 };
/** Token requests of one client, all replicas together: 6 a minute. */
const TOKENS: Bucket = { capacity: 6, refillEveryMs: 10_000 };
const GRANTED: Permit = { kind: 'granted' };

/** Permits that all replicas share. Where the store does not answer the client's own gate decides alone; the lease bounds for how long. */
export class Permits {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #epoch: number;

  constructor(plan: ClientPlan, deps: Deps, epoch: number) {
    this.#plan = plan;
    this.#deps = deps;
    this.#epoch = epoch;
  }

  async dial(): Promise<Permit> {
    const { gate } = this.#plan.admission;
    try {
      const own = await this.#deps.restraint.permit(this.#plan.lease, this.#epoch, 'dial', { capacity: gate.capacity, refillEveryMs: gate.refillEveryMs });
      if (own.kind !== 'granted' || this.#plan.loopback) return own;
      return await this.#deps.restraint.egress(this.#deps.identity.egress, EGRESS);
    } catch (error) {
      return this.#alone(error);
    }
  }

  async token(): Promise<Permit> {
    if (this.#plan.loopback) return GRANTED;
    return this.#deps.restraint.permit(this.#plan.lease, this.#epoch, 'token', TOKENS).catch((error: unknown) => this.#alone(error));
  }

  /** Leaves a mark for the next leader. */
  hold(ms: number): void {
    this.#deps.restraint.hold(this.#plan.lease, this.#epoch, ms).catch((error: unknown) => { this.#deps.refusals.note('the hold is not shared: the next leader does not know of it', error); });
  }

  breaker(ms: number): void {
    this.#deps.restraint.breaker(this.#plan.lease, this.#epoch, ms).catch((error: unknown) => { this.#deps.refusals.note('the breaker is not shared: the next leader does not know of it', error); });
  }

  #alone(error: unknown): Permit {
    this.#deps.refusals.note('the shared gate was not asked: the gate of this replica decides alone', error);
    return GRANTED;
  }
}
