import { LEASE } from './lease.ts';
import { MACHINES } from './machines.ts';
import type { Mutant } from './mutant.ts';
import { PLATFORMS } from './platforms.ts';
import { STORE } from './store.ts';
import { STREAM } from './stream.ts';
import { TRACKER } from './tracker.ts';

/** Every mutant of `npm run mutants`. */
export const MUTANTS: readonly Mutant[] = [...TRACKER, ...MACHINES, ...PLATFORMS, ...STORE, ...LEASE, ...STREAM];
