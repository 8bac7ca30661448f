/** Milliseconds, a duration or an instant of the caller's monotonic clock. Fractions are allowed. */
export type Millis = number;
/** Milliseconds since 1970 by the wall clock of some machine. Only written down, never compared across machines. */
export type EpochMillis = number;

/** The longest delay Node's timers take; above it they fire at once (a hot loop). Unit: ms. */
export const MAX_TIMER_MS: Millis = 2 ** 31 - 1;

/** Returns the earliest of optional deadlines; a later one is never needed. */
export function earliest(...deadlines: readonly (Millis | undefined)[]): Millis | undefined {
  let first: Millis | undefined;
  for (const at of deadlines) if (at !== undefined && (first === undefined || at < first)) first = at;
  return first;
}
