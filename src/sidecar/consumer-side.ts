import { PRIVATE_ADDRESS_REMEDY } from '../config/addresses.ts';
import type { StreamPlan } from '../config/resolve.ts';
import { salted } from '../core/backoff.ts';
import type { HoldReason } from '../core/consumer.ts';
import type { Entry, Outbox } from '../core/outbox.ts';
import type { Parcel } from '../delivery/envelope.ts';
import type { DeliveryHost } from '../delivery/port.ts';
import type { Deps } from './deps.ts';
import type { LetterBox } from './letters.ts';
import type { StreamReport } from './report.ts';

export interface ConsumerSideParts {
  readonly epoch: number;
  readonly outbox: Outbox<Parcel>;
  readonly report: StreamReport;
  readonly letters: LetterBox;
  /** The lease is open. */
  readonly open: () => boolean;
  readonly settled: () => void;
}

/** What delivery needs of its stream. */
export class ConsumerSide implements DeliveryHost {
  readonly outbox: Outbox<Parcel>;
  readonly epoch: number;
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #parts: ConsumerSideParts;

  constructor(plan: StreamPlan, deps: Deps, parts: ConsumerSideParts) {
    this.#plan = plan;
    this.#deps = deps;
    this.#parts = parts;
    this.outbox = parts.outbox;
    this.epoch = parts.epoch;
  }

  open(): boolean {
    return this.#parts.open();
  }

  nowMs(): number {
    return this.#deps.nowMs();
  }

  unit(): number {
    return salted(this.#deps.random(), this.#deps.identity.salt);
  }

  handed(entries: readonly Entry<Parcel>[]): void {
    this.#parts.report.handed(entries);
  }

  settled(): void {
    this.#parts.letters.sweep(this.outbox);
    this.#parts.settled();
  }

  deadLetter(entry: Entry<Parcel>, reason: string): Promise<'stored' | 'full'> {
    this.#parts.report.deadLettered(reason);
    return this.#parts.letters.add(entry, reason);
  }

  held(reason: HoldReason): void {
    this.#deps.audit.write('consumer.held', this.#plan.client, { stream: this.#plan.name, reason });
    const hint =
      reason === 'consumer_address_refused'
        ? { hint: `the host of delivery.push.url resolves to a private address: ${PRIVATE_ADDRESS_REMEDY}` }
        : {};
    this.#deps.log.warn({ stream: this.#plan.name, reason, ...hint }, 'delivery is held');
  }

  released(): void {
    this.#deps.audit.write('consumer.released', this.#plan.client, { stream: this.#plan.name });
    this.#deps.log.info({ stream: this.#plan.name }, 'delivery goes on');
  }

  secret(value: string): void {
    this.#deps.secrets.add(value);
  }

  note(what: string, fields: Readonly<Record<string, unknown>>): void {
    this.#deps.log.debug({ stream: this.#plan.name, ...fields }, what);
  }
}
