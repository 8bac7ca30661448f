import type { AckProblem, PullConsumer, PullDelivery } from './pull-delivery.ts';

/**
 * Keeps the place of one stream's pull consumer, for as long as the process lives. A consumer may connect before this
 * replica leads, and stays connected while leadership comes and goes: it is idle then, and gets events as soon as there
 * are any. Its acknowledgements of an earlier term's events are refused as `older_epoch`.
 */
export class PullEndpoint {
  #consumer: PullConsumer | undefined;
  #delivery: PullDelivery | undefined;

  get occupied(): boolean {
    return this.#consumer !== undefined;
  }

  /** Takes events from this term's delivery from now on. */
  bind(delivery: PullDelivery): void {
    this.#delivery = delivery;
    if (this.#consumer !== undefined) delivery.attach(this.#consumer);
  }

  unbind(delivery: PullDelivery): void {
    if (this.#delivery === delivery) this.#delivery = undefined;
  }

  /** Connects a consumer and dismisses an earlier one. `seen`: cursor of its last event, if that is of this term. */
  attach(consumer: PullConsumer, seen?: string): void {
    const previous = this.#consumer;
    this.#consumer = consumer;
    if (previous !== undefined) {
      previous.dismiss('takeover');
      this.#delivery?.detach(previous, 'left');
    }
    this.#delivery?.attach(consumer, seen);
  }

  detach(consumer: PullConsumer, how: 'left' | 'lost'): void {
    if (this.#consumer !== consumer) return;
    this.#consumer = undefined;
    this.#delivery?.detach(consumer, how);
  }

  /** Dismisses the consumer: the process stops. */
  dismiss(): void {
    this.#consumer?.dismiss('shutdown');
    this.#consumer = undefined;
  }

  pump(): void {
    this.#delivery?.roused();
  }

  ack(ids: readonly string[]): readonly AckProblem[] {
    return this.#delivery?.ack(ids) ?? standby(ids);
  }

  ackUpTo(id: string): readonly AckProblem[] {
    return this.#delivery?.ackUpTo(id) ?? standby([id]);
  }

  nack(ids: readonly string[], delayMs: number): readonly AckProblem[] {
    return this.#delivery?.nack(ids, delayMs) ?? standby(ids);
  }

  progress(ids: readonly string[]): readonly AckProblem[] {
    return this.#delivery?.progress(ids) ?? standby(ids);
  }

  term(ids: readonly string[], reason: string): readonly AckProblem[] {
    return this.#delivery?.term(ids, reason) ?? standby(ids);
  }
}

function standby(ids: readonly string[]): readonly AckProblem[] {
  return ids.map((id) => ({ id: id.slice(0, 64), reason: 'older_epoch' as const }));
}
