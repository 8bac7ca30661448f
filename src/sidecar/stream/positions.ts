import { parseSequence } from '../../core/events/sequence.ts';
import type { SequencePrint } from '../../core/events/sequence-tracker.ts';
import { timeOf } from '../../platforms/frame-reader.ts';
import type { Position, PositionKind } from '../../platforms/profile.ts';

const KINDS: readonly string[] = ['sequence', 'since', 'cursor', 'lastEventId'] satisfies PositionKind[];

/** Reads a stored position, `kind:value`. */
export function positionOf(text: string): Position | undefined {
  const at = text.indexOf(':');
  const kind = text.slice(0, at);
  return at > 0 && KINDS.includes(kind) ? { kind: kind as PositionKind, value: text.slice(at + 1) } : undefined;
}

/** Reads one entry of a class A tail, `sequence:print`; returns none when the text is malformed. */
export function printOf(text: string): SequencePrint[] {
  const [digits = '', print = ''] = text.split(':');
  const sequence = parseSequence(digits);
  return sequence === undefined ? [] : [{ sequence, print: Number(print) }];
}

/** Converts epoch milliseconds, as digits, to ISO 8601. */
export function isoOf(epochMs: string): string {
  return new Date(Number(epochMs)).toISOString();
}

/** Largest instant a JavaScript date can hold, ms from 1970. */
const MAX_DATE_MS = 8.64e15;

/**
 * Returns the oldest position that a refusal named, as a position to ask for; undefined when it named none that can be
 * used.
 */
export function oldestOffered(kind: PositionKind | undefined, value: string | undefined): Position | undefined {
  if (kind === undefined || value === undefined) return undefined;
  if (kind !== 'since') return { kind, value };
  const ms = timeOf(value);
  return Math.abs(ms) <= MAX_DATE_MS ? { kind, value: String(ms) } : undefined;
}

/** Returns whether a consumer's cursor, `epoch.ordinal`, names an entry of this term. */
export function cursorKnown(cursor: string, epoch: number, lastOrd: number): boolean {
  const match = /^(\d+)\.(\d+)$/.exec(cursor);
  return match !== null && Number(match[1]) === epoch && Number(match[2]) <= lastOrd;
}
