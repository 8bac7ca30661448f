import type { Answer, HoldReason } from '../core/consumer.ts';
import type { Entry, Outbox } from '../core/outbox.ts';
import type { Parcel } from './envelope.ts';

/** What delivery needs of the stream it serves. The stream's driver implements it; delivery never reaches further. */
export interface DeliveryHost {
  readonly outbox: Outbox<Parcel>;
  readonly epoch: number;
  /** False while the lease is in doubt: nothing may be handed over at this instant. Asked before each hand-over. */
  open(): boolean;
  nowMs(): number;
  /** A uniform sample in [0, 1). */
  unit(): number;
  /** Deliveries of these entries begin (also again). */
  handed(entries: readonly Entry<Parcel>[]): void;
  /** Entries were settled: the checkpoint may move, the window has room. */
  settled(): void;
  /** Keeps the event durably, then it may be settled. `full`: there is no room for it. */
  deadLetter(entry: Entry<Parcel>, reason: string): Promise<'stored' | 'full'>;
  held(reason: HoldReason): void;
  released(): void;
  /** A value that must never appear in any output. */
  secret(value: string): void;
  /** Something failed that an operator may want to see; never a payload. */
  note(what: string, fields: Readonly<Record<string, unknown>>): void;
}

/** One way of handing over. `pump` looks whether anything can go now; it may be called at any time. */
export interface Delivery {
  readonly kind: 'push' | 'pull';
  pump(): void;
  /** When `pump` must be called again without an outside reason. */
  deadline(): number | undefined;
  /** A consumer is there and takes events. */
  readonly ready: boolean;
  /** What holds the stream, if anything. */
  readonly hold: HoldReason | undefined;
  /** Goes on until everything accepted is settled, or for `limitMs`. */
  finish(limitMs: number): Promise<boolean>;
  /** Begins nothing new; resolves when nothing is in flight, or after `limitMs`. */
  drain(limitMs: number): Promise<void>;
  close(): void;
}

export type { Answer };
