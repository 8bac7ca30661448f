import type { ClientPlan } from '../../config/plan.ts';

/**
 * Returns how long dialing must still wait because of a maintenance window; 0 outside of all. Wall clock: windows are
 * dates.
 */
export function maintenanceCooldownMs(windows: ClientPlan['maintenance'], nowEpochMs: number): number {
  let longest = 0;
  for (const window of windows) {
    const left =
      'from' in window
        ? leftOf(Date.parse(window.from), Date.parse(window.to), nowEpochMs)
        : dailyLeft(window.dailyAt, window.for, nowEpochMs);
    longest = Math.max(longest, left);
  }
  return longest;
}

function leftOf(fromMs: number, toMs: number, nowMs: number): number {
  return nowMs >= fromMs && nowMs < toMs ? toMs - nowMs : 0;
}

const DAY_MS = 86_400_000;

function dailyLeft(at: string, forMs: number, nowMs: number): number {
  const [hours = 0, minutes = 0] = at.split(':').map(Number);
  const today = Math.floor(nowMs / DAY_MS) * DAY_MS + (hours * 60 + minutes) * 60_000;
  return Math.max(leftOf(today, today + forMs, nowMs), leftOf(today - DAY_MS, today - DAY_MS + forMs, nowMs));
}
