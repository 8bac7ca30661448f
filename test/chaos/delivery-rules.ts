import { ms } from './history.ts';
import { TIE_MS, type MadeEvent } from './made-events.ts';
import type { Trial } from './trial.ts';

/** Other replicas have a copy of what the store was told this much before. */
const COPIED_MS = 2000;

/** What reaches the consumer: order, duplicates, integrity, loss and gaps (C1 to C4, C10). */
export function judgeDelivery(trial: Trial): void {
  order(trial);
  poison(trial);
  loss(trial);
  gaps(trial);
}

/** C3 order, C4 duplicates, C10 integrity. */
function order(trial: Trial): void {
  const lastOfKey = new Map<string, number>();
  let again = 0;
  let epoch = 0;
  let markT = -Infinity;
  let worst = 0;
  for (const line of trial.lines) {
    if (line.k === 'p.down' || line.k === 'p.up') {
      again = 0;
      markT = ms(line);
    }
    if (line.k !== 'c.rx') continue;
    const made = trial.made.get(String(line['id']));
    if (made === undefined) {
      trial.say('C10', `the consumer got ${String(line['id'])}, which was never made`, line);
      continue;
    }
    if (Number(line['epoch']) > epoch) {
      epoch = Number(line['epoch']);
      again = 0;
      markT = ms(line);
    }
    if (made.hash !== String(line['h'])) trial.say('C10', `the content of ${made.id} changed`, line);
    if (made.received === undefined) {
      made.received = ms(line);
      made.epoch = Number(line['epoch']);
      if (made.seq <= (lastOfKey.get(made.key) ?? -1) && line['backfill'] !== true)
        trial.say(
          'C3',
          `event ${String(made.seq)} of key ${made.key} came after ${String(lastOfKey.get(made.key))}`,
          line,
        );
      lastOfKey.set(made.key, Math.max(made.seq, lastOfKey.get(made.key) ?? -1));
      continue;
    }
    again += 1;
    worst = Math.max(worst, again);
    if (again > trial.facts.maxAgain) trial.say('C4', `${String(again)} events came again after one disruption`, line);
    // What an older leader had in flight knows nothing of a newer one's delivery: C6 bounds it.
    if (Number(line['epoch']) < (made.epoch ?? 0)) continue;
    if (line['redeliv'] !== true) trial.say('C4', `a repetition of ${made.id} is not marked`, line);
    if (
      made.acked !== undefined &&
      made.acked > markT + TIE_MS &&
      made.acked < ms(line) - TIE_MS &&
      made.received > markT
    )
      trial.say('C4', `${made.id} was acknowledged after the last disruption and came again`, line);
  }
  trial.figures['repeats'] = worst;
}

/** C10 of what could not be read: every bad frame is announced by its hash, and nothing else is. */
function poison(trial: Trial): void {
  const bad = new Set(trial.lines.filter((line) => line.k === 'fr.bad').map((line) => line['h']));
  const told = new Set(trial.lines.filter((line) => line.k === 'c.poison').map((line) => line['h']));
  for (const h of bad)
    if (!told.has(h))
      trial.say(
        'C10',
        `the bad frame ${String(h)} was never announced`,
        trial.lines.find((line) => line.k === 'fr.bad' && line['h'] === h),
      );
  for (const h of told)
    if (!bad.has(h))
      trial.say(
        'C10',
        `a frame ${String(h)} was announced as bad that nobody sent`,
        trial.lines.find((line) => line.k === 'c.poison' && line['h'] === h),
      );
}

/** C1: what was offered is acknowledged or announced. */
function loss(trial: Trial): void {
  let lost = 0;
  for (const made of trial.made.all) {
    if (made.acked !== undefined || made.gapAt !== undefined || !trial.made.offered(made)) continue;
    lost += 1;
    trial.say('C1', `event ${String(made.seq)} (${made.id}) was neither acknowledged nor announced`, undefined);
  }
  trial.figures['lost'] = lost;
}

/** C2: a gap names nothing that was delivered, and comes before any later event. */
function gaps(trial: Trial): void {
  for (const line of trial.lines) {
    if (line.k !== 'c.gap') continue;
    trial.figures['gaps'] = (trial.figures['gaps'] ?? 0) + 1;
    // Where a position is known the platform is asked again: time says nothing there.
    if (trial.facts.streamClass === 'A' && typeof line['fromT'] === 'number') {
      const lostFrom = lossBefore(trial, ms(line)) - COPIED_MS;
      const known = trial.made.all.find(
        (made) => made.acked !== undefined && made.acked < Math.min(ms(line) - TIE_MS, lostFrom),
      );
      if (known !== undefined)
        trial.say(
          'C2',
          `a gap was announced by time although the position of event ${String(known.seq)} was known`,
          line,
        );
      continue;
    }
    for (const made of trial.made.covered(line)) {
      if (trial.facts.streamClass === 'A' && made.received !== undefined)
        trial.say('C2', `event ${String(made.seq)} is inside a gap and was delivered`, line);
      if (trial.facts.streamClass === 'A' && !unavailable(trial, made, ms(line)))
        trial.say('C2', `event ${String(made.seq)} was announced as a gap although it could be had`, line);
    }
    const later = trial.made
      .of(String(line['stream']))
      .find(
        (made) =>
          trial.facts.streamClass === 'A' &&
          made.seq > Number(line['to']) &&
          made.received !== undefined &&
          made.received < ms(line) - TIE_MS,
      );
    if (later !== undefined)
      trial.say('C2', `event ${String(later.seq)} was delivered before the gap in front of it was announced`, line);
  }
}

/** When the store last lost what it had, ms; Infinity: it never did. */
function lossBefore(trial: Trial, t: number): number {
  const losses = trial.lines.filter((line) => line.k === 'n.on' && line['storeLoss'] === true && ms(line) < t);
  return losses.length === 0 ? Infinity : ms(losses.at(-1));
}

/** Whether the platform had purged the event, or skipped its number, before the announcement. */
function unavailable(trial: Trial, made: MadeEvent, t: number): boolean {
  return trial.lines.some((line) => line.k === 'ev.purge' && ms(line) <= t && Number(line['upto']) >= made.seq);
}
