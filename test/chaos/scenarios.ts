import type { Scenario } from './row.ts';
import { CRASH_ROWS } from './rows/crash.ts';
import { LINK_ROWS } from './rows/links.ts';
import { PROCESS_ROWS } from './rows/process.ts';
import { STORE_ROWS } from './rows/store.ts';

export type { Scenario } from './row.ts';

/** Every row of the fault matrix that needs no Kubernetes. */
export const SCENARIOS: readonly Scenario[] = [...PROCESS_ROWS, ...CRASH_ROWS, ...LINK_ROWS, ...STORE_ROWS];
