import type { Checkpoint } from '../../coordination/store.ts';
import type { Deps } from '../runtime/environment.ts';
import type { IntakeNote } from './intake-note.ts';

/**
 * Notes the first record of a stream that has settled no event yet: that it is subscribed, then where its first event
 * stands. The record is stored at once, so that a crash before the first acknowledgement loses nothing silently.
 */
export class StreamBaseline {
  readonly #deps: Deps;
  readonly #epoch: number;
  readonly #notes: IntakeNote[];
  #told: 'nothing' | 'subscribed' | 'position' = 'nothing';

  /** @param notes takes each record. */
  constructor(deps: Deps, epoch: number, notes: IntakeNote[]) {
    this.#deps = deps;
    this.#epoch = epoch;
    this.#notes = notes;
  }

  /** Gives up the first record: the store knows of the stream, or a notice keeps the gap in each record. */
  known(): void {
    this.#told = 'position';
  }

  /**
   * Notes that the stream is subscribed from now on: whatever the platform makes is ours to deliver or to announce,
   * also if the first event never reaches us.
   */
  subscribed(era: number): void {
    if (this.#told !== 'nothing') return;
    this.#told = 'subscribed';
    this.#note('', era);
  }

  /** Ends a term in which no event came: until now nothing was missed. */
  unsubscribed(era: number): void {
    if (this.#told === 'subscribed') this.#note('', era);
  }

  /**
   * Notes the first event. @param position just before it; empty where none can be named: then the next start announces
   * the time.
   */
  began(position: string, era: number): void {
    if (this.#told === 'position') return;
    this.#told = 'position';
    this.#note(position, era);
  }

  #note(position: string, era: number): void {
    const record: Checkpoint = {
      schema: 1,
      epoch: this.#epoch,
      index: 0,
      position,
      era,
      tail: [],
      distinct: 0,
      missing: 0,
      settledAtEpochMs: this.#deps.nowEpochMs(),
    };
    this.#notes.push({ kind: 'baseline', record });
  }
}
