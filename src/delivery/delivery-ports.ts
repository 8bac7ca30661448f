/**
 * Toward the consumer: events encoded as CloudEvents, push by HTTP, pull by WebSocket and SSE, acknowledgements, the
 * dead-letter API (docs/consumer-protocol.md). delivery never talks to a platform and writes neither checkpoints nor
 * letters: the outbox of core decides which event may go, an answer's meaning is core's consumer health, letters and
 * telemetry go through the ports in this file, which src/sidecar/stream implements.
 */

import type { Answer, HoldReason } from '../core/events/consumer-health.ts';
import type { OutboxEntry } from '../core/events/outbox.ts';
import type { Parcel } from './envelope.ts';

/** Reports of delivery; it decides nothing by the answers. The stream's telemetry implements it. */
export interface DeliveryTelemetry {
  /** Reports that deliveries of these entries begin (also again). */
  handed(entries: readonly OutboxEntry<Parcel>[]): void;
  deadLettered(reason: string): void;
  held(reason: HoldReason): void;
  released(): void;
  /** Reports, once per word, that the consumer answers 2xx with an unknown `status`. */
  unknownWord(word: string): void;
  /** Registers a value that must never appear in any output. */
  secret(value: string): void;
  /** Reports a failure that an operator may want to see; never a payload. */
  note(what: string, fields: Readonly<Record<string, unknown>>): void;
}

/** Takes the events that the consumer will never take. */
export interface DeadLetterSink {
  /** Keeps the event durably; then it may be settled. `full`: there is no room for it. */
  add(entry: OutboxEntry<Parcel>, reason: string): Promise<'stored' | 'full'>;
}

/** The ports of delivery, besides its plan and its outbox. */
export interface DeliveryPorts {
  readonly epoch: number;
  readonly telemetry: DeliveryTelemetry;
  readonly letters: DeadLetterSink;
  /** The right to hand something over at this instant: none while the lease is in doubt. Asked each time. */
  readonly lease: { isOpen(nowMs: number): boolean };
  /** Monotonic milliseconds, and a uniform sample in [0, 1). */
  readonly clock: { nowMs(): number; unit(): number };
  /** Makes the stream's turn run soon: an entry was settled, or can go now. */
  readonly wake: () => void;
}

/** One way of handing over: push or pull. */
export interface Delivery {
  readonly kind: 'push' | 'pull';
  /** Hands over the entries that can go now; it may be called at any time. */
  pump(nowMs: number): void;
  /** Returns when `pump` must be called again without an outside reason. */
  deadline(nowMs: number): number | undefined;
  /** True while a consumer is there and takes events. */
  readonly ready: boolean;
  /** Why delivery is held; undefined: it is not. */
  readonly hold: HoldReason | undefined;
  /** True while no entry is handed over and unanswered. */
  readonly idle: boolean;
  /** Returns the events that may have ended the consumer, and how often, for the checkpoint. */
  suspects(): readonly { readonly ord: number; readonly losses: number }[];
  /** Takes over the suspicion of an earlier term that this event may have ended the consumer. */
  suspect(ord: number, losses: number): void;
  /** Begins no new delivery from now on. */
  drain(): void;
  close(): void;
}

/** Why an event is dead-lettered that ended the consumer each time. */
export const CRASH = 'consumer_crash';

/** Suspects that travel in a checkpoint, at most. */
export const SUSPECTS_KEPT = 16;

export type { Answer };
