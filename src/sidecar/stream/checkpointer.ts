import type { StreamPlan } from '../../config/plan.ts';
import type { Checkpoint } from '../../coordination/store.ts';
import {
  checkpointAnswered,
  checkpointDeadline,
  checkpointDue,
  checkpointWriting,
  freshCheckpoint,
  type CheckpointSchedule,
} from '../../core/events/checkpoint-schedule.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { Outbox } from '../../core/events/outbox.ts';
import { earliest } from '../../core/units.ts';
import type { Parcel } from '../../delivery/envelope.ts';
import type { Deps } from '../runtime/environment.ts';
import { wordsOf } from '../runtime/store-trouble.ts';

/** A checkpoint, and the part of the outbox that it covers. */
export interface Covering {
  readonly record: Checkpoint;
  /** Number of the entry at which the settled prefix ends. */
  readonly ord: number;
  /** Number of entries settled ahead of it that the record names. */
  readonly ahead: number;
}

/** The store refused the record: another epoch has the lease, or the store has forgotten ours. `final`: it stays so. */
export interface Fenced {
  readonly kind: 'fenced';
  readonly final: boolean;
}

type Answer =
  | { readonly kind: 'saved'; readonly covering: Covering; readonly answer: 'stored' | 'fenced' | 'regressed' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'baseline-failed'; readonly record: Checkpoint; readonly error: unknown };

/** A store that refuses this often although it calls us the leader will not change its mind. */
const MAX_REFUSALS = 3;
/** From this many members on the list of what is settled ahead makes a record large (about 2 KiB). */
const LARGE_AHEAD = 512;

/**
 * Writes what is settled of one stream, after the acknowledgement, never before. One write is in flight at a time. The
 * stream's turn asks it and hands it the record.
 */
export class Checkpointer {
  readonly #plan: StreamPlan;
  readonly #epoch: number;
  readonly #deps: Deps;
  readonly #outbox: Outbox<Parcel>;
  readonly #wake: () => void;
  #state: CheckpointSchedule = freshCheckpoint;
  #answers: Answer[] = [];
  #notes: Fenced[] = [];
  /** The last record written; written again to a store that lost it. */
  #last: Checkpoint | undefined;
  /** A first record that could not be stored, and when it is tried again. */
  #again: { readonly record: Checkpoint; readonly atMs: number } | undefined;
  #stopped = false;
  /** The store has said where the stream stands. Before that a first record would hide what the last term left. */
  #begun = false;
  /** A first record of an heir that has not begun. */
  #first: Checkpoint | undefined;
  /** Number of refusals since the last stored record. */
  #refusals = 0;

  constructor(plan: StreamPlan, epoch: number, deps: Deps, stage: { outbox: Outbox<Parcel>; wake: () => void }) {
    this.#plan = plan;
    this.#epoch = epoch;
    this.#deps = deps;
    this.#outbox = stage.outbox;
    this.#wake = stage.wake;
  }

  /** The newest record of this stream that this replica knows of. */
  get last(): Checkpoint | undefined {
    return this.#last;
  }

  get fenced(): boolean {
    return this.#state.fenced;
  }

  /** True while everything settled that a record can name is stored. */
  get flushed(): boolean {
    return this.#waiting <= 0;
  }

  deadline(): number | undefined {
    return earliest(checkpointDeadline(this.#state, this.#waiting), this.#again?.atMs);
  }

  takeNotes(): readonly Fenced[] {
    return this.#notes.length === 0 ? this.#notes : this.#notes.splice(0);
  }

  /** Takes in the store's answers, which open the window. */
  collect(nowMs: number): void {
    if (this.#answers.length === 0) return;
    for (const answer of this.#answers.splice(0)) this.#answered(answer, nowMs);
  }

  /** Returns whether a record is to be written now. @param urgent whatever can be written must be. */
  look(nowMs: number, urgent: boolean): boolean {
    if (this.#again !== undefined && nowMs >= this.#again.atMs) this.baseline(this.#again.record);
    if (this.#stopped) return false;
    return checkpointDue(this.#plan.checkpoint, this.#state, this.#waiting, {
      nowMs,
      urgent: urgent || this.#outbox.starved,
    });
  }

  /** Writes the record. Until the store has answered, nothing else is written. */
  write(covering: Covering, nowMs: number): void {
    const { record } = covering;
    const large = (record.ahead?.length ?? 0) >= LARGE_AHEAD;
    this.#state = checkpointWriting(this.#plan.checkpoint, this.#state, { nowMs, large });
    this.#last = record;
    this.#again = undefined;
    this.#save(
      record,
      (answer) => ({ kind: 'saved', covering, answer }),
      (error) => ({ kind: 'failed', error }),
    );
  }

  /** Notes that there is nothing yet that a record could name; it looks again after the usual time. */
  nothing(nowMs: number): void {
    this.#state = { ...this.#state, notBeforeMs: nowMs + this.#plan.checkpoint.everyMs };
  }

  /** Stores the record of a stream that has settled nothing yet; tries again until a checkpoint makes it needless. */
  baseline(record: Checkpoint): void {
    if (!this.#begun) {
      this.#first = record;
      return;
    }
    this.#again = undefined;
    // Only the record of a bare subscription gives way to another one.
    const newer =
      this.#last !== undefined && this.#last !== record && (this.#last.index > 0 || this.#last.position !== '');
    if (this.#state.fenced || this.#stopped || newer) return;
    this.#last = record;
    this.#save(
      record,
      () => undefined,
      (error) => ({ kind: 'baseline-failed', record, error }),
    );
  }

  /** Takes over the checkpoint that the previous term ended with; it is written again if the store loses it. */
  restored(record: Checkpoint): void {
    this.#last = record;
    this.#begun = true;
  }

  /** No term has written anything down: a first record that waited is written now. */
  fresh(): void {
    this.#begun = true;
    if (this.#first !== undefined) this.baseline(this.#first);
  }

  /**
   * Goes on after the lease was in doubt and is still ours. A store that lost data gets its last record again, whether
   * or not anything new was settled.
   */
  reopened(storeLostData: boolean): void {
    this.#state = { ...this.#state, fenced: false };
    if (storeLostData && this.#last !== undefined) this.baseline(this.#last);
  }

  /**
   * Writes the last record of a term that delivered every event: an heir that goes on without a break has missed
   * nothing.
   */
  async seal(): Promise<void> {
    if (this.#last === undefined || this.#state.fenced) return;
    await this.#deps.store
      .save(this.#plan.lease, this.#epoch, { [this.#plan.name]: { ...this.#last, drained: true } })
      .catch(() => undefined); // then a gap is announced
  }

  stop(): void {
    this.#stopped = true;
    this.#deps.storeTrouble.over(this.#use);
  }

  /** Settled entries that a record would cover and the stored one does not. */
  get #waiting(): number {
    return this.#outbox.coverable - this.#outbox.covered;
  }

  get #use(): `checkpoint ${string}` {
    return `checkpoint ${this.#plan.name}`;
  }

  #save(
    record: Checkpoint,
    then: (answer: 'stored' | 'fenced' | 'regressed') => Answer | undefined,
    failed: (error: unknown) => Answer,
  ): void {
    this.#deps.store
      .save(this.#plan.lease, this.#epoch, { [this.#plan.name]: record })
      .then(then, failed)
      .then((answer) => {
        if (answer === undefined) return;
        this.#answers.push(answer);
        this.#wake();
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'checkpoint failed');
      });
  }

  #answered(answer: Answer, nowMs: number): void {
    if (answer.kind === 'saved') return this.#saved(answer.covering, answer.answer, nowMs);
    if (answer.kind === 'failed') return this.#failed(answer.error, nowMs);
    this.#deps.log.warn(
      { err: answer.error, stream: this.#plan.name },
      'the first record of the stream could not be stored; it is tried again',
    );
    this.#again = { record: answer.record, atMs: nowMs + this.#plan.checkpoint.backoff.maxMs };
  }

  #saved(covering: Covering, answer: 'stored' | 'fenced' | 'regressed', nowMs: number): void {
    const outcome = answer === 'stored' ? 'stored' : 'fenced';
    this.#deps.storeTrouble.over(this.#use);
    this.#step(outcome, nowMs);
    this.#deps.metrics.checkpoints.inc({ client: this.#plan.client, stream: this.#plan.name, result: answer });
    if (answer === 'stored') {
      this.#refusals = 0;
      return this.#outbox.checkpointed(covering.ord, covering.ahead);
    }
    // Another process has this client's epoch now, or wrote further than we are: this one must stop delivering.
    this.#deps.audit.write('checkpoint.refused', this.#plan.client, {
      stream: this.#plan.name,
      epoch: String(this.#epoch),
      answer,
    });
    this.#refusals += 1;
    this.#notes.push({ kind: 'fenced', final: answer === 'regressed' || this.#refusals > MAX_REFUSALS });
  }

  #failed(error: unknown, nowMs: number): void {
    if (!this.#stopped) this.#deps.storeTrouble.note(this.#use, error);
    this.#step('failed', nowMs);
    this.#deps.metrics.checkpoints.inc({ client: this.#plan.client, stream: this.#plan.name, result: 'failed' });
    const code = error instanceof HoldfastError ? error.code : 'unknown';
    if (this.#state.failures === 1)
      this.#deps.log.warn(
        { err: error, code, trouble: wordsOf(error), stream: this.#plan.name },
        'the checkpoint could not be stored; it is tried again',
      );
  }

  #step(outcome: 'stored' | 'fenced' | 'failed', nowMs: number): void {
    const at = { nowMs, unit: this.#deps.random() };
    this.#state = checkpointAnswered(this.#plan.checkpoint, this.#state, outcome, at);
  }
}
