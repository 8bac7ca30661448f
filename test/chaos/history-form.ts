import type { HistoryLine } from './history.ts';
import type { Violation } from './trial.ts';

/** A history that is broken itself is no evidence for anything. */
export function formProblems(lines: readonly HistoryLine[]): readonly Violation[] {
  const out: Violation[] = [];
  const bad = (text: string, at: HistoryLine | undefined): void => void out.push({ rule: 'form', text, at });
  const writers = new Map<string, HistoryLine>();
  const ended = new Set<string>();
  const open = new Set<string>();
  const asked = new Set<string>();
  const made = new Set<string>();
  const faults = new Set<string>();
  for (const line of lines) {
    const last = writers.get(line.w);
    if (line.i !== (last?.i ?? -1) + 1)
      bad(`line ${String(line.i)} of ${line.w} follows ${String(last?.i ?? 'nothing')}`, line);
    if (last !== undefined && BigInt(line.t) < BigInt(last.t)) bad(`time of ${line.w} goes back`, line);
    writers.set(line.w, line);
    if (line.k === 'eof') ended.add(line.w);
    if (line.k === 'conn.req') asked.add(String(line['conn']));
    if (line.k === 'conn.open' && !asked.has(String(line['conn'])))
      bad('a connection opened that nobody asked for', line);
    if (line.k === 'conn.open') open.add(String(line['conn']));
    if (line.k === 'conn.end') open.delete(String(line['conn']));
    if (line.k === 'ev.gen') made.add(`${String(line['stream'])} ${String(line['id'])}`);
    if (line.k === 'ev.tx' && !open.has(String(line['conn']))) bad('an event was sent on no connection', line);
    if (line.k === 'ev.tx' && !made.has(`${String(line['stream'])} ${String(line['id'])}`))
      bad('an event was sent that was never made', line);
    if (line.k === 'n.on') faults.add(String(line['f']));
    if (line.k === 'n.off') faults.delete(String(line['f']));
  }
  for (const name of writers.keys()) if (!ended.has(name)) bad(`the file of ${name} has no end`, writers.get(name));
  for (const fault of faults) bad(`fault ${fault} was never ended`, undefined);
  return out;
}
