import type { HistoryLine } from './history.ts';

/** What a suite must have met somewhere, or its success proves nothing. */
export const SOMETIMES = [
  'leader changed under load',
  'redelivery',
  'gap',
  'bad frame',
  'parked',
  'Retry-After',
  'token refused',
  'frozen process',
  'guard',
  'store lost data',
  'store refused',
  'class A',
  'class B',
  'class C',
] as const;

export type Seen = (typeof SOMETIMES)[number];

/** Which of them a history shows. */
export function seenIn(lines: readonly HistoryLine[], streamClass: 'A' | 'B' | 'C'): ReadonlySet<Seen> {
  const out = new Set<Seen>([`class ${streamClass}`]);
  const epochs = new Set<unknown>();
  let blocked = false;
  let slow = false;
  for (const line of lines) {
    const found = MARKS[line.k]?.(line);
    if (found !== undefined) out.add(found);
    if (line.k === 'c.rx') epochs.add(line['epoch']);
    if (line.k === 'n.on' && line['kind'] === 'block') blocked = true;
    if (line.k === 'n.on' && line['kind'] === 'slow') slow = true;
    // A lease that is lost parks its streams too.
    if (line.k === 'conn.end' && slow && line['reason'] === 'parked') out.add('parked');
    if (line.k === 'p.down' && blocked && line['sig'] === 'SIGKILL') out.add('guard');
  }
  if (epochs.size > 1) out.add('leader changed under load');
  return out;
}

const MARKS: Readonly<Record<string, (line: HistoryLine) => Seen | undefined>> = {
  'c.rx': (line) => (line['redeliv'] === true ? 'redelivery' : undefined),
  'c.gap': () => 'gap',
  'c.poison': () => 'bad frame',
  'conn.rej': (line) =>
    line['retryAfter'] !== undefined ? 'Retry-After' : line['status'] === 401 ? 'token refused' : undefined,
  'n.on': (line) =>
    line['kind'] === 'freeze'
      ? 'frozen process'
      : line['storeLoss'] === true
        ? 'store lost data'
        : line['failing'] === true
          ? 'store refused'
          : undefined,
};
