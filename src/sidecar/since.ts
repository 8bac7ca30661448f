/**
 * The time a checkpoint may carry: that of the settled prefix, but never later than an unsettled event's own time; times do not always grow, and
 * resuming behind an event that was received and not settled would lose it.
 */
export function sinceFloor(settledMs: number, unsettledMs: readonly number[]): number {
  let floor = settledMs;
  for (const ms of unsettledMs) if (ms < floor) floor = ms;
  return floor;
}
