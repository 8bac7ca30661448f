import type { Edit } from '../support/edits.ts';

/** One small wrong change of the program, and the tests that must notice it. */
export interface Mutant {
  readonly id: string;
  /** What is wrong then, in one line. */
  readonly say: string;
  /** At least one; each must fit its file exactly once. */
  readonly edits: readonly Edit[];
  /** Test files of which at least one test must fail. Green without the mutant; 3 s at most. */
  readonly tests: readonly string[];
  /** Only tests whose full title has these words. */
  readonly only?: string;
  /** HOLDFAST_SEED of a property that not every seed lets fail. */
  readonly seed?: number;
}
