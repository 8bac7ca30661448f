import type { Checkpoint } from '../../coordination/store.ts';
import type { Outbox } from '../../core/events/outbox.ts';
import type { Control } from '../../core/session/session-model.ts';
import type { GapCause } from '../../core/vocabulary.ts';
import type { Parcel } from '../../delivery/envelope.ts';

/** Note of the intake besides the events that it accepts; read by the stream's turn. An ordinary event leaves none. */
export type IntakeNote =
  | { readonly kind: 'control'; readonly control: Control; readonly type: string }
  | { readonly kind: 'empty-batch' }
  /** The platform must be asked again from the last good position. */
  | { readonly kind: 'ask-again' }
  | { readonly kind: 'gap'; readonly data: GapData }
  /**
   * Where the stream began; stored at once, so that a crash before the first acknowledgement loses nothing silently.
   */
  | { readonly kind: 'baseline'; readonly record: Checkpoint }
  /** An earlier term saw this entry end the consumer. */
  | { readonly kind: 'suspect'; readonly ord: number; readonly losses: number };

/** The parts that an intake works with. */
export interface IntakeStage {
  readonly outbox: Outbox<Parcel>;
  readonly epoch: number;
  /** Makes the stream's turn run soon. */
  readonly wake: () => void;
}

export interface GapData {
  readonly from: string;
  readonly to: string;
  readonly cause: GapCause;
  readonly count: number | undefined;
  readonly fromTime?: string;
  readonly toTime?: string;
}
