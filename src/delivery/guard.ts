import {
  consumerAllows,
  readyConsumer,
  redeliveryDelay,
  stepConsumer,
  type Answer,
  type ConsumerEffect,
  type ConsumerPolicy,
  type ConsumerState,
  type HoldReason,
} from '../core/consumer.ts';
import type { DeliveryHost } from './port.ts';

/** The consumer's standing, shared by push and pull: held or not, storm guard, and who is told. */
export class ConsumerGuard {
  readonly #policy: ConsumerPolicy;
  readonly #host: DeliveryHost;
  #state: ConsumerState = readyConsumer;

  constructor(policy: ConsumerPolicy, host: DeliveryHost) {
    this.#policy = policy;
    this.#host = host;
  }

  get hold(): ConsumerState['hold'] {
    return this.#state.hold;
  }

  get reason(): HoldReason | undefined {
    return this.#state.hold?.reason;
  }

  /** The end of a hold that is not over yet. One that is over is no deadline: the next event is the probe. */
  get holdEndsAtMs(): number | undefined {
    const { hold } = this.#state;
    return hold !== undefined && hold.untilMs > this.#host.nowMs() ? hold.untilMs : undefined;
  }

  allows(): 'all' | 'one' | 'none' {
    return consumerAllows(this.#state, this.#host.nowMs());
  }

  /** Takes note of one outcome. @returns the effects; `spare` means: do not dead-letter this one. */
  note(answer: Answer): readonly ConsumerEffect[] {
    const step = stepConsumer(this.#policy, this.#state, answer, {
      nowMs: this.#host.nowMs(),
      unit: this.#host.unit(),
    });
    this.#state = step.state;
    for (const effect of step.effects) {
      if (effect.kind === 'held') this.#host.held(effect.reason);
      else if (effect.kind === 'released') this.#host.released();
    }
    return step.effects;
  }

  delayMs(faults: number, retryAfterMs?: number): number {
    return redeliveryDelay(this.#policy, faults, retryAfterMs, this.#host.unit());
  }
}

/** Somebody waits until nothing is in flight, but not for ever. */
export class IdleWaiters {
  #waiting: (() => void)[] = [];

  async wait(limitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  release(): void {
    for (const done of this.#waiting.splice(0)) done();
  }
}

/** How often an orderly end looks whether all is settled. */
const LOOK_EVERY_MS = 10;

/** Resolves when everything accepted is settled, or after `limitMs`. */
export async function settledWithin(host: DeliveryHost, limitMs: number): Promise<boolean> {
  const endsAtMs = host.nowMs() + limitMs;
  const here = host.outbox.lastOrd;
  while (host.outbox.floor < here && host.open() && host.nowMs() < endsAtMs)
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  return host.outbox.floor >= here;
}
