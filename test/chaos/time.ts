import type { HistoryLine } from './history.ts';

const NS_PER_MS = 1_000_000;

/** When a line was written, in ms of the monotonic clock. */
export function ms(line: HistoryLine | undefined): number {
  return line === undefined ? 0 : Number(BigInt(line.t) / 1000n) / (NS_PER_MS / 1000);
}
