import { ms } from './history.ts';
import { TIE_MS } from './made-events.ts';
import type { Trial } from './trial.ts';

const WINDOWS_MS = [1000, 10_000, 60_000, 300_000];
/** A frozen process closes its socket within this of going on. */
const THAW_MS = 50;
/** What was made by then is acknowledged after this at the latest. */
const ACK_AFTER_MS = 5000;

/** A connection and how long it was open, ms. */
interface Interval {
  readonly conn: string;
  readonly pod: string;
  readonly from: number;
  to: number;
}

/** Connections to the platform: overlaps, attempts, and one that is open again in time (C7 to C9). */
export function judgeConnections(trial: Trial): void {
  overlap(trial);
  rate(trial);
  liveness(trial);
}

/** C7: two pods' connections never overlap for long, except while one of them was frozen. */
function overlap(trial: Trial): void {
  const connections = intervals(trial);
  const freezes = frozen(trial);
  let worst = 0;
  for (const [index, one] of connections.entries()) {
    for (const other of connections.slice(index + 1)) {
      if (other.from >= one.to) break;
      if (one.pod === other.pod) continue;
      const from = Math.max(one.from, other.from);
      const to = Math.min(one.to, other.to);
      const excused = freezes
        .filter(({ pod }) => pod === one.pod || pod === other.pod)
        .reduce((sum, cold) => sum + Math.max(0, Math.min(to, cold.to + THAW_MS) - Math.max(from, cold.from)), 0);
      const overlap = to - from - excused;
      worst = Math.max(worst, overlap);
      if (overlap > trial.facts.overlapMs)
        trial.say(
          'C7',
          `${one.pod} and ${other.pod} were connected together for ${overlap.toFixed(0)} ms`,
          trial.lines.find((line) => line.k === 'conn.open' && line['conn'] === other.conn),
        );
    }
  }
  trial.figures['overlapMs'] = Math.round(worst);
}

function intervals(trial: Trial): readonly Interval[] {
  const pods = new Map(
    trial.lines.filter((line) => line.k === 'conn.req').map((line) => [String(line['conn']), String(line['pod'])]),
  );
  const endT = ms(trial.lines.at(-1));
  const out = new Map<string, Interval>();
  for (const line of trial.lines) {
    const conn = String(line['conn']);
    if (line.k === 'conn.open') out.set(conn, { conn, pod: pods.get(conn) ?? '', from: ms(line), to: endT });
    const open = out.get(conn);
    if (line.k === 'conn.end' && open !== undefined) open.to = Math.min(open.to, ms(line));
  }
  // What the replica closed behind a cut link is over, whatever the platform still believes.
  const byPort = new Map(
    trial.lines.filter((line) => line.k === 'conn.req').map((line) => [line['port'], String(line['conn'])]),
  );
  for (const line of trial.lines) {
    const open = line.k === 'net.closed' ? out.get(byPort.get(line['port']) ?? '') : undefined;
    if (open !== undefined && ms(line) >= open.from) open.to = Math.min(open.to, ms(line));
  }
  return [...out.values()].sort((a, b) => a.from - b.from);
}

function frozen(trial: Trial): readonly { readonly pod: string; readonly from: number; readonly to: number }[] {
  return trial.lines
    .filter((line) => line.k === 'n.on' && line['kind'] === 'freeze')
    .map((line) => ({
      pod: String(line['target']),
      from: ms(line),
      to: ms(trial.lines.find((end) => end.k === 'n.off' && end['f'] === line['f'])),
    }));
}

/** C8: attempts within the gate in every window, and none while the platform said to wait. */
function rate(trial: Trial): void {
  const asked = trial.lines.filter((line) => line.k === 'conn.req');
  for (const windowMs of WINDOWS_MS) {
    const allowed = Math.min(
      trial.facts.capacity + windowMs / trial.facts.refillMs,
      trial.facts.attempts?.[windowMs] ?? Infinity,
    );
    let first = 0;
    for (const [index, line] of asked.entries()) {
      while (ms(asked[first]) < ms(line) - windowMs + TIE_MS) first += 1;
      if (index - first + 1 > allowed)
        trial.say('C8', `${String(index - first + 1)} attempts within ${String(windowMs)} ms`, line);
    }
  }
  for (const line of trial.lines) {
    if (line.k !== 'conn.rej' || typeof line['retryAfter'] !== 'number') continue;
    const early = asked.find(
      (request) =>
        ms(request) > ms(line) + TIE_MS && ms(request) < ms(line) + Number(line['retryAfter']) * 1000 - TIE_MS,
    );
    if (early !== undefined) trial.say('C8', 'an attempt before Retry-After had ended', early);
  }
  trial.figures['attempts'] = asked.length;
}

/** C9: after the last fault a connection is open in time, and what was made by then is acknowledged in time. */
function liveness(trial: Trial): void {
  const last = trial.lines.filter((line) => line.k === 'n.off' || line.k === 'n.do').at(-1);
  if (last === undefined) return;
  const byT = ms(last) + trial.facts.convergeMs;
  // After the end of the judged time the fleet is being stopped.
  const endT = ms(trial.lines.find((line) => line.k === 'n.end') ?? trial.lines.at(-1));
  if (endT < byT) return;
  if (!intervals(trial).some((one) => one.from <= byT && one.to > byT))
    trial.say('C9', `no connection is open ${String(trial.facts.convergeMs)} ms after the last fault`, last);
  const late = trial.made.all.find(
    (made) =>
      made.t < byT &&
      trial.made.offered(made) &&
      made.gapAt === undefined &&
      (made.acked ?? Infinity) > byT + ACK_AFTER_MS,
  );
  if (late !== undefined && late.acked !== undefined)
    trial.say('C9', `event ${String(late.seq)} was acknowledged too late`, last);
}
