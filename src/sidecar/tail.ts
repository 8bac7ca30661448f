import type { Parcel } from '../delivery/envelope.ts';
import type { Position } from '../platforms/profile.ts';
import { sinceFloor } from './since.ts';

/** Identities around the position that go into a checkpoint. */
const TAIL_LIMIT = 512;
const CURSOR_TAIL = 64;
const KEPT_LIMIT = 16_384;

interface Accepted {
  readonly ord: number;
  readonly identity: string;
  /** The event's own time; NaN where it has none that is believed. */
  readonly since: number;
}

/** Class B: which identities and which time a checkpoint needs, so that a replay after a restart is recognised and nothing unsettled is skipped. */
export class AcceptedTail {
  #accepted: Accepted[] = [];

  add(ord: number, identity: string, position: Position | undefined): void {
    this.#accepted.push({ ord, identity, since: position?.kind === 'since' ? Number(position.value) : Number.NaN });
  }

  /** Position and tail for the settled prefix that ends at `ord`. Forgets what no later checkpoint can need. */
  recordFor(ord: number, floor: Parcel): { readonly position: string; readonly tail: readonly string[] } {
    const settled = this.#accepted.filter((one) => one.ord <= ord);
    const { position } = floor;
    this.#accepted = this.#accepted
      .filter((one) => one.ord > ord || one.since >= Number(position?.value) - 1)
      .slice(-KEPT_LIMIT);
    const last = (count: number, from: readonly Accepted[]): string[] => from.slice(-count).map((one) => one.identity);
    if (position === undefined) return { position: '', tail: last(1, settled) };
    if (position.kind !== 'since')
      return { position: `${position.kind}:${position.value}`, tail: last(CURSOR_TAIL, settled) };
    const unsettled = this.#accepted.filter((one) => one.ord > ord).map((one) => one.since);
    const since = sinceFloor(Number(position.value), unsettled);
    return {
      position: `since:${String(since)}`,
      tail: last(
        TAIL_LIMIT,
        settled.filter((one) => !(one.since < since - 1)),
      ),
    };
  }
}
