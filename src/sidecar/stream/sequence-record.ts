import type { Checkpoint } from '../../coordination/store.ts';
import type { Outbox, Snapshot } from '../../core/events/outbox.ts';
import { parseSequence } from '../../core/events/sequence.ts';
import type { SequenceTracker } from '../../core/events/sequence-tracker.ts';
import type { Parcel } from '../../delivery/envelope.ts';
import type { Covering } from './checkpointer.ts';
import { encodeAhead, type Interval, type SettledBefore } from './settled-before.ts';

/**
 * Runs settled ahead whose first number's fingerprint goes into a checkpoint, so that another numbering is recognised.
 */
const AHEAD_PRINTS = 8;

/** The parts of a class A record besides the outbox's snapshot. */
export interface SequenceFacts {
  /** Where the stream stands while no event is settled, `sequence:N`; empty where that is not known. */
  readonly start: string;
  readonly tracker: SequenceTracker<Buffer>;
  /** Numbers that an earlier term had settled ahead. */
  readonly before: SettledBefore;
  readonly outbox: Outbox<Parcel>;
}

/**
 * Returns the class A record of what is settled, in the prefix and ahead of it; undefined while there is no number to
 * name it by.
 */
export function sequenceRecord(
  base: Omit<Checkpoint, 'position' | 'tail'>,
  { ord, item: floor, runs }: Snapshot<Parcel>,
  { start, tracker, before, outbox }: SequenceFacts,
): Covering | undefined {
  const last = floor?.sequence ?? parseSequence(start.replace(/^sequence:/, ''));
  if (last === undefined && floor === undefined) return undefined;
  if (last === undefined) return { record: { ...base, position: '', tail: [] }, ord, ahead: 0 };
  const named = namedRuns(outbox, base.era, runs);
  const inherited = before.remaining(tracker.last);
  const { ahead, taken } = encodeAhead(last, [...named.map(({ interval }) => interval), ...inherited]);
  const prints = named.slice(0, AHEAD_PRINTS).map(({ interval, print }) => ({ sequence: interval.first, print }));
  const tail = [...tracker.tail(last), ...prints].map(({ sequence, print }) => `${String(sequence)}:${String(print)}`);
  const record = { ...base, position: `sequence:${String(last)}`, tail };
  // The store takes no record that covers less of the same prefix. Intervals may become fewer (not believed, or no
  // room), this number never.
  const aheadCount = (ord === 0 ? before.count : 0) + outbox.settledAhead;
  if (ahead.length === 0 && aheadCount === 0) return { record, ord, ahead: 0 };
  const covered = eventsIn(named.slice(0, taken).map(({ interval }) => interval));
  return { record: { ...record, ahead, aheadCount }, ord, ahead: covered };
}

/** Returns the runs settled ahead, by number, as far as they belong to the floor's numbering. */
function namedRuns(
  outbox: Outbox<Parcel>,
  era: number,
  runs: Snapshot<Parcel>['runs'],
): readonly { readonly interval: Interval; readonly print: number }[] {
  return runs.flatMap(({ first, last }) => {
    const parcel = outbox.entry(first)?.item;
    if (parcel?.sequence === undefined || parcel.era !== era) return [];
    return [{ interval: { first: parcel.sequence, count: last - first + 1 }, print: parcel.print }];
  });
}

function eventsIn(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, { count }) => sum + count, 0);
}
