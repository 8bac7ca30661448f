import type { Scenario } from './row.ts';
import { CONSUMER_ROWS } from './rows/consumer-rows.ts';
import { CRASH_ROWS } from './rows/crash-rows.ts';
import { MACHINE_ROWS } from './rows/machine-rows.ts';
import { BOTH_WAYS_ROW, NETWORK_ROWS } from './rows/network-rows.ts';
import { PLATFORM_ROWS } from './rows/platform-rows.ts';
import { PROCESS_ROWS } from './rows/process-rows.ts';
import { STORE_OUTAGE_ROWS } from './rows/store-outage-rows.ts';
import { STORE_STATE_ROWS } from './rows/store-state-rows.ts';
import { TOKEN_ROWS } from './rows/token-rows.ts';

export type { Scenario } from './row.ts';

/** The rows of the fault matrix; docs/chaos.md says which are tested elsewhere or not at all. */
export const SCENARIOS: readonly Scenario[] = [
  ...PROCESS_ROWS,
  ...MACHINE_ROWS,
  ...CRASH_ROWS,
  ...CONSUMER_ROWS,
  ...NETWORK_ROWS,
  ...PLATFORM_ROWS,
  ...TOKEN_ROWS,
  ...STORE_OUTAGE_ROWS,
  ...STORE_STATE_ROWS,
  BOTH_WAYS_ROW,
];
