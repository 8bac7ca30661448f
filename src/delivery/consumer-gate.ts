import {
  consumerAllows,
  consumerDeadline,
  consumerFound,
  consumerProbed,
  readyConsumer,
  redeliveryDelay,
  stepConsumer,
  type Answer,
  type ConsumerEffect,
  type ConsumerPolicy,
  type ConsumerHealth,
  type HoldReason,
} from '../core/events/consumer-health.ts';
import type { DeliveryPorts } from './delivery-ports.ts';

/** Keeps the consumer's standing, shared by push and pull: hold, probe, storm guard; reports each change. */
export class ConsumerGate {
  readonly #policy: ConsumerPolicy;
  readonly #ports: Pick<DeliveryPorts, 'telemetry' | 'clock'>;
  #state: ConsumerHealth = readyConsumer;

  constructor(policy: ConsumerPolicy, ports: Pick<DeliveryPorts, 'telemetry' | 'clock'>) {
    this.#policy = policy;
    this.#ports = ports;
  }

  get hold(): ConsumerHealth['hold'] {
    return this.#state.hold;
  }

  get reason(): HoldReason | undefined {
    return this.#state.hold?.reason;
  }

  /**
   * Returns the end of a hold that is not over yet. A hold that is over is no deadline: the next event is the probe.
   */
  deadline(nowMs: number): number | undefined {
    return consumerDeadline(this.#state, nowMs);
  }

  allows(nowMs: number): 'all' | 'one' | 'none' | 'probe' {
    return consumerAllows(this.#state, nowMs);
  }

  /** Notes that a probe for the consumer is under way. */
  probed(): void {
    this.#state = consumerProbed(this.#state);
  }

  /** Takes in the probe's result. */
  found(there: boolean, nowMs: number): void {
    this.#state = consumerFound(this.#state, there, nowMs);
  }

  /** Takes note of the outcome of one event. */
  note(answer: Answer, event: number, nowMs: number): void {
    this.#step(answer, event, nowMs);
  }

  /** Takes note as `note` does. Returns whether this event is spared: it must not come nearer to the dead letters. */
  spares(answer: Answer, event: number, nowMs: number): boolean {
    return this.#step(answer, event, nowMs).some((effect) => effect.kind === 'spare');
  }

  delayMs(faults: number, retryAfterMs?: number): number {
    return redeliveryDelay(this.#policy, faults, retryAfterMs, this.#ports.clock.unit());
  }

  #step(answer: Answer, event: number, nowMs: number): readonly ConsumerEffect[] {
    const at = { nowMs, unit: this.#ports.clock.unit(), event };
    const step = stepConsumer(this.#policy, this.#state, answer, at);
    this.#state = step.state;
    for (const effect of step.effects) {
      if (effect.kind === 'held') this.#ports.telemetry.held(effect.reason);
      else if (effect.kind === 'released') this.#ports.telemetry.released();
    }
    return step.effects;
  }
}
