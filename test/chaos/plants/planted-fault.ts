import type { Edit } from '../../support/edits.ts';

/** A fault planted in the running program: the judge must name the rule it breaks. */
export interface PlantedFault {
  readonly id: string;
  readonly say: string;
  readonly edits: readonly Edit[];
  /** The row that brings it to light, and the rules any of which must be broken. */
  readonly row: string;
  readonly rules: readonly string[];
}

/** Says once that the wrong code ran. */
export const MARK = '(globalThis as unknown as { holdfastPlanted: () => void }).holdfastPlanted()';
