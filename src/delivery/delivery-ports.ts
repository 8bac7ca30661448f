import type { Answer, HoldReason } from '../core/events/consumer-health.ts';
import type { OutboxEntry } from '../core/events/outbox.ts';
import type { Parcel } from './envelope.ts';

/** What delivery says about itself; it decides nothing by the answers. The stream's telemetry implements it. */
export interface DeliveryTelemetry {
  /** Deliveries of these entries begin (also again). */
  handed(entries: readonly OutboxEntry<Parcel>[]): void;
  deadLettered(reason: string): void;
  held(reason: HoldReason): void;
  released(): void;
  /** The consumer answers 2xx with a `status` that is no known word: said once. */
  unknownWord(word: string): void;
  /** A value that must never appear in any output. */
  secret(value: string): void;
  /** Something failed that an operator may want to see; never a payload. */
  note(what: string, fields: Readonly<Record<string, unknown>>): void;
}

/** Where an event goes that the consumer will never take. */
export interface DeadLetterSink {
  /** Keeps the event durably, then it may be settled. `full`: there is no room for it. */
  add(entry: OutboxEntry<Parcel>, reason: string): Promise<'stored' | 'full'>;
}

/** What delivery needs besides its plan and its outbox. */
export interface DeliveryPorts {
  readonly epoch: number;
  readonly telemetry: DeliveryTelemetry;
  readonly letters: DeadLetterSink;
  /** Says whether something may be handed over at this instant: not while the lease is in doubt. Asked each time. */
  readonly lease: { isOpen(nowMs: number): boolean };
  /** Monotonic milliseconds, and a uniform sample in [0, 1). */
  readonly clock: { nowMs(): number; unit(): number };
  /** The stream's turn must run soon: something was settled, or can go now. */
  readonly wake: () => void;
}

/** One way of handing over. */
export interface Delivery {
  readonly kind: 'push' | 'pull';
  /** Hands over what can go now; it may be called at any time. */
  pump(nowMs: number): void;
  /** When `pump` must be called again without an outside reason. */
  deadline(nowMs: number): number | undefined;
  /** A consumer is there and takes events. */
  readonly ready: boolean;
  /** What holds the stream, if anything. */
  readonly hold: HoldReason | undefined;
  /** Nothing is handed over and unanswered. */
  readonly idle: boolean;
  /** Events that may have ended the consumer, and how often, for the checkpoint. */
  suspects(): readonly { readonly ord: number; readonly losses: number }[];
  /** An earlier term knew this event as one that may have ended the consumer. */
  suspect(ord: number, losses: number): void;
  /** Begins nothing new. */
  drain(): void;
  close(): void;
}

/** Why an event is dead-lettered that ended the consumer each time. */
export const CRASH = 'consumer_crash';

/** Suspects that travel in a checkpoint, at most. */
export const SUSPECTS_KEPT = 16;

export type { Answer };
