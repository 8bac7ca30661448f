import type { OutboxEntry, Outbox } from '../core/events/outbox.ts';
import type { ConsumerGate } from './consumer-gate.ts';
import { CRASH, type DeliveryPorts } from './delivery-ports.ts';
import type { Parcel } from './envelope.ts';

/** The store's answer about one dead letter. `failed`: it gave none. */
export interface LetterAnswer {
  readonly kind: 'letter';
  readonly entry: OutboxEntry<Parcel>;
  readonly answer: 'stored' | 'full' | 'failed';
}

/** Decides which events of a stream become dead letters, for push and pull alike, and hands them to the store. */
export class DeadLettering {
  readonly #outbox: Outbox<Parcel>;
  readonly #ports: Pick<DeliveryPorts, 'telemetry' | 'letters'>;
  readonly #gate: ConsumerGate;
  readonly #maxAttempts: number;
  #unanswered = 0;

  /** @param maxAttempts counted faults of one event that make it a dead letter. */
  constructor(
    outbox: Outbox<Parcel>,
    ports: Pick<DeliveryPorts, 'telemetry' | 'letters'>,
    gate: ConsumerGate,
    maxAttempts: number,
  ) {
    this.#outbox = outbox;
    this.#ports = ports;
    this.#gate = gate;
    this.#maxAttempts = maxAttempts;
  }

  /** True while no letter waits for the store's answer. */
  get idle(): boolean {
    return this.#unanswered === 0;
  }

  /** Returns why an event with so many counted faults, the last one for `reason`, dies; undefined: it goes again. */
  exhausted(faults: number, reason: string): string | undefined {
    return faults >= this.#maxAttempts ? `attempts_exhausted:${reason}` : undefined;
  }

  /**
   * Dead-letters one event, once; where so many die that the consumer must be at fault (a bad deploy must not drain the
   * stream), the event goes again later instead. Returns the promise of the store's answer, for `ended`; undefined:
   * none.
   */
  begin(entry: OutboxEntry<Parcel>, reason: string, nowMs: number): Promise<LetterAnswer> | undefined {
    if (entry.state === 'dying' || entry.state === 'settled') return undefined;
    // A conviction proves nothing about the consumer that it has not proved already.
    const spared = reason !== CRASH && this.#gate.spares({ kind: 'dead-letter', reason }, entry.ord, nowMs);
    this.#outbox.bury(entry.ord); // neither handed over nor overdue until the store has it
    if (spared) {
      this.again(entry, nowMs);
      return undefined;
    }
    this.#unanswered += 1;
    this.#ports.telemetry.deadLettered(reason);
    return this.#ports.letters.add(entry, reason).then(
      (answer): LetterAnswer => ({ kind: 'letter', entry, answer }),
      (): LetterAnswer => ({ kind: 'letter', entry, answer: 'failed' }),
    );
  }

  /** Takes note that the store has answered. */
  ended(): void {
    this.#unanswered -= 1;
  }

  /** Lets an event that is no dead letter after all go again later. */
  again(entry: OutboxEntry<Parcel>, nowMs: number): void {
    this.#outbox.retry(entry.ord, this.#gate.delayMs(entry.faults), nowMs, false);
  }
}
