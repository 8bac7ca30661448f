import type { Scenario } from './row.ts';
import { CRASH_ROWS } from './rows/crash.ts';
import { LINK_ROWS } from './rows/links.ts';
import { PROCESS_ROWS } from './rows/process.ts';
import { STORE_ROWS } from './rows/store.ts';

export type { Scenario } from './row.ts';

/** The rows of the fault matrix; docs/chaos.md says which are tested elsewhere or not at all. */
export const SCENARIOS: readonly Scenario[] = [...PROCESS_ROWS, ...CRASH_ROWS, ...LINK_ROWS, ...STORE_ROWS];
