import type { Mutant } from './mutant.ts';

/** The road of an event: outbox, the stages of the sidecar, delivery. */
export const STREAM: readonly Mutant[] = [];
