/** Content of one refresh of the demo. */
export interface DemoFrame {
  readonly elapsedS: number;
  readonly totalS: number;
  readonly leader: string;
  readonly state: string;
  readonly position: string;
  readonly rate: number;
  readonly sent: number;
  readonly delivered: number;
  readonly lag: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly reconnects: number;
  readonly gaps: number;
  readonly duplicates: number;
}

/** Returns one line for a terminal; columns stay in place so that the eye can follow them. */
export function demoLine(frame: DemoFrame): string {
  const cells = [
    `${String(Math.round(frame.elapsedS)).padStart(3)}/${String(frame.totalS)}s`,
    frame.leader.padEnd(9),
    frame.state.padEnd(10),
    `pos ${frame.position.padStart(7)}`,
    `${String(Math.round(frame.rate)).padStart(5)} ev/s`,
    `sent ${String(frame.sent).padStart(6)}`,
    `delivered ${String(frame.delivered).padStart(6)}`,
    `lag ${String(frame.lag).padStart(4)}`,
    `p50 ${frame.p50Ms.toFixed(0).padStart(3)} ms`,
    `p99 ${frame.p99Ms.toFixed(0).padStart(4)} ms`,
    `reconnects ${String(frame.reconnects)}`,
    `gaps ${String(frame.gaps)}`,
    `dup ${String(frame.duplicates)}`,
  ];
  return cells.join('  ');
}

/** Returns the value below which `share` of the numbers lie; 0 when there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
