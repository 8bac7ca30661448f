import type { Edit } from '../support/edits.ts';
import type { RunOptions } from './stream-world.ts';

/** A fault planted in the real stages, and a run of the simulation that brings it to light. */
export interface StreamPlant {
  readonly id: string;
  readonly say: string;
  readonly edits: readonly Edit[];
  /** What the run is narrowed to. */
  readonly options: RunOptions;
  /** The first run of seed 1 that finds it. */
  readonly run: number;
}
