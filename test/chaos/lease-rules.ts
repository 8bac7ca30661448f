import { ms } from './history.ts';
import { TIE_MS } from './made-events.ts';
import type { Trial } from './trial.ts';

/** After a newer epoch spoke, the older one has this long to fall silent. */
const LATE_EPOCH_MS = 50;

/** What leaders store, and in whose epoch they speak (C5, C6). */
export function judgeLease(trial: Trial): void {
  floor(trial);
  fencing(trial);
}

/** C5: a stored position covers only what was acknowledged or announced before. */
function floor(trial: Trial): void {
  for (const line of trial.lines) {
    if (line.k !== 'r.ckpt') continue;
    for (const made of trial.made.of(String(line['stream']))) {
      if (made.seq > Number(line['seq']) || !trial.made.offered(made)) continue;
      const done = Math.min(made.acked ?? Infinity, made.gapAt ?? Infinity);
      if (done > ms(line) + TIE_MS)
        trial.say(
          'C5',
          `the checkpoint ${String(line['seq'])} passes event ${String(made.seq)}, not yet acknowledged`,
          line,
        );
    }
  }
}

/** C6: epochs grow; an older leader falls silent. */
function fencing(trial: Trial): void {
  const stored = new Map<string, number>();
  const losing = new Set<string>();
  const firstOf = new Map<number, number>();
  let late = 0;
  for (const line of trial.lines) {
    // While a store may lose what it has, its numbers may go back; never otherwise.
    if (line.k === 'n.on' && line['storeLoss'] === true) losing.add(String(line['f']));
    if (line.k === 'n.off' && losing.delete(String(line['f']))) stored.clear();
    if (line.k === 'r.lock' || line.k === 'r.ckpt') {
      const epoch = Number(line['epoch']);
      const before = stored.get(line.k) ?? 0;
      if (epoch < before && losing.size === 0)
        trial.say('C6', `the store shows epoch ${String(epoch)} after ${String(before)}`, line);
      stored.set(line.k, Math.max(before, epoch));
    }
    if (line.k !== 'c.rx') continue;
    const epoch = Number(line['epoch']);
    if (!firstOf.has(epoch)) firstOf.set(epoch, ms(line));
    const newer = [...firstOf].find(([other, t]) => other > epoch && ms(line) > t + LATE_EPOCH_MS);
    if (newer === undefined) continue;
    late += 1;
    if (late > trial.facts.maxInFlight)
      trial.say(
        'C6',
        `${String(late)} events of epoch ${String(epoch)} after epoch ${String(newer[0])} had begun`,
        line,
      );
  }
  trial.figures['epochs'] = firstOf.size;
  trial.figures['late'] = late;
}
