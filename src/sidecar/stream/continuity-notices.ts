import type { StreamPlan } from '../../config/plan.ts';
import { pred, type Sequence } from '../../core/events/sequence.ts';
import type { GapCause } from '../../core/vocabulary.ts';
import type { Position } from '../../platforms/profile.ts';
import type { Deps } from '../runtime/environment.ts';
import type { GapData, IntakeNote } from './intake-note.ts';
import type { ParcelWriter } from './parcel-writer.ts';
import { isoOf } from './positions.ts';

interface Interruption {
  readonly reason: string;
  readonly sinceMs: number;
}

/**
 * Announces to the consumer what a stream missed: gaps by number and by time, and whether a resume was lossless. A
 * notice stands in order with the events.
 */
export class ContinuityNotices {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #writer: ParcelWriter;
  readonly #notes: IntakeNote[];
  /** The disconnect since which no event has come. */
  #interruption: Interruption | undefined;
  /** True once the platform sent again what we had: it replays from our position. */
  #sawRepeat = false;
  #lostOnResume = false;
  /** True once the platform refused our position: the events behind it are lost. */
  #expired = false;
  /** When the link opened, if it offers only events made from then on; else 0. */
  #onlyNewEpochMs = 0;

  /** @param notes takes a note of each gap, too. */
  constructor(plan: StreamPlan, deps: Deps, writer: ParcelWriter, notes: IntakeNote[]) {
    this.#plan = plan;
    this.#deps = deps;
    this.#writer = writer;
    this.#notes = notes;
  }

  /**
   * Notes that a link opened. @param expired the position was refused. @param asked the link was asked for a position.
   */
  linkOpened(expired: boolean, asked: boolean): void {
    this.#onlyNewEpochMs = asked ? 0 : this.#deps.nowEpochMs();
    this.#expired ||= expired;
    this.#sawRepeat = false;
    this.#lostOnResume = false;
  }

  /** Notes a disconnect. @param downForMs how long there was no connection before this process knew of the stream. */
  interrupted(reason: string, downForMs: number): void {
    this.#interruption ??= { reason, sinceMs: this.#deps.nowMs() - downForMs };
  }

  positionRefused(): void {
    this.#expired = true;
  }

  /** Notes that an event came again. @param proof it proves that the platform replays from our position. */
  repeated(proof: boolean): void {
    this.#sawRepeat ||= proof;
  }

  /** Announces, before an accepted event, what was missed until it. @param position class B: the event's position. */
  accepted(position: Position | undefined, last: Position | undefined): void {
    if (this.#interruption !== undefined) this.#sayResumed(this.#interruption);
    if (this.#expired && this.#plan.profile.streamClass === 'B') this.#sayExpired(position, last);
    this.#expired = false;
  }

  /** Announces a gap of which only the times are known. */
  hole(fromEpochMs: number, cause: GapCause): void {
    const toEpochMs = this.#deps.nowEpochMs();
    const fromTime = new Date(Math.min(fromEpochMs, toEpochMs)).toISOString();
    const toTime = new Date(toEpochMs).toISOString();
    this.#sayGap({ from: fromTime, to: toTime, cause, count: undefined, fromTime, toTime });
    this.#lostOnResume = true;
  }

  /** Announces, for class A, numbers that will not come any more. */
  missing(from: Sequence, to: Sequence): void {
    this.#lostOnResume = true;
    const cause = this.#expired ? 'retention_exceeded' : 'sequence_gap';
    const count = Number(BigInt(to) - BigInt(from) + 1n);
    this.#sayGap({ from: String(from), to: String(to), cause, count }, { sequence: to });
  }

  /** Announces, for class A, that the platform numbers anew. */
  restarted(last: Sequence | undefined, first: Sequence): void {
    const from = last === undefined ? '' : String(last);
    const at = { sequence: first > 0 ? pred(first) : undefined };
    this.#sayGap({ from, to: String(first), cause: 'sequence_restarted', count: undefined }, at);
  }

  #sayResumed({ reason, sinceMs }: Interruption): void {
    this.#interruption = undefined;
    if (this.#plan.delivery.control === 'gaps') return;
    this.#writer.control('stream.resumed', {
      stream: this.#plan.name,
      mode: this.#plan.profile.resume.kind ?? 'none',
      lossless: this.#lossless(),
      reason,
      downMs: Math.round(this.#deps.nowMs() - sinceMs),
    });
  }

  /** Returns whether nothing was missed, as far as that is proved. */
  #lossless(): boolean | 'unknown' {
    const { streamClass } = this.#plan.profile;
    if (this.#lostOnResume || this.#expired || streamClass === 'C') return false;
    return streamClass === 'A' || this.#sawRepeat ? true : 'unknown';
  }

  #sayExpired(next: Position | undefined, before: Position | undefined): void {
    this.#expired = false;
    if (before === undefined) return;
    // The first event that comes may be stamped behind what was lost just before it.
    const nextMs =
      next?.kind === 'since' ? Math.max(Number(next.value), this.#onlyNewEpochMs) : this.#deps.nowEpochMs();
    const toMs = Math.max(nextMs, Number(before.value));
    const times = before.kind === 'since' ? { fromTime: isoOf(before.value), toTime: isoOf(String(toMs)) } : {};
    const to = next?.value ?? '';
    this.#sayGap({ from: before.value, to, cause: 'retention_exceeded', count: undefined, ...times });
  }

  #sayGap(data: GapData, at?: { readonly sequence: Sequence | undefined }): void {
    const { name, profile } = this.#plan;
    const body = { stream: name, class: profile.streamClass, ...data, count: undefined, lossless: false };
    this.#writer.control('gap.detected', body, at);
    this.#notes.push({ kind: 'gap', data });
  }
}
