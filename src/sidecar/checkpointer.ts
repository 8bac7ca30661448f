import type { StreamPlan } from '../config/resolve.ts';
import type { Checkpoint } from '../coordination/store.ts';
import {
  checkpointAnswered,
  checkpointDeadline,
  checkpointDue,
  checkpointWriting,
  freshCheckpoint,
  type CheckpointState,
} from '../core/checkpoint.ts';
import { HoldfastError } from '../core/failure.ts';
import type { Outbox } from '../core/outbox.ts';
import type { Parcel } from '../delivery/envelope.ts';
import type { Deps } from './deps.ts';
import { wordsOf } from './store-trouble.ts';

export interface CheckpointHost {
  readonly outbox: Outbox<Parcel>;
  record(ord: number, floor: Parcel): Checkpoint;
  stored(ord: number): void;
  /** The store refused: another epoch holds the client, or it has forgotten ours. `final`: it stays so. */
  fenced(final: boolean): void;
  /** Nothing is written before the stream knows where it stands. */
  begun(): boolean;
  arm(): void;
}

/** A store that refuses this often although it calls us the leader will not change its mind. */
const MAX_REFUSALS = 3;

/** Writes the settled prefix of one stream, after the acknowledgement, never before. One write in flight. */
export class Checkpointer {
  readonly #plan: StreamPlan;
  readonly #epoch: number;
  readonly #deps: Deps;
  readonly #host: CheckpointHost;
  #state: CheckpointState = freshCheckpoint;
  #waiting: (() => void)[] = [];
  /** The last record written, for a store that lost it. */
  #last: Checkpoint | undefined;
  #stopped = false;
  /** Refusals without a stored record between them. */
  #refusals = 0;

  constructor(plan: StreamPlan, epoch: number, deps: Deps, host: CheckpointHost) {
    this.#plan = plan;
    this.#epoch = epoch;
    this.#deps = deps;
    this.#host = host;
  }

  /** The newest record of this stream that we know of. */
  get last(): Checkpoint | undefined {
    return this.#last;
  }

  get storedOrd(): number {
    return this.#state.storedOrd;
  }

  deadline(): number | undefined {
    return checkpointDeadline(this.#state, this.#host.outbox.floor);
  }

  /** Writes if it is time. */
  look(drain: boolean): void {
    const nowMs = this.#deps.nowMs();
    const ord = checkpointDue(this.#plan.checkpoint, this.#state, this.#host.outbox.floor, {
      nowMs,
      urgent: drain || this.#host.outbox.starved,
    });
    const floor = this.#host.outbox.floorItem;
    if (ord === undefined || floor === undefined || this.#stopped || !this.#host.begun()) return;
    this.#state = checkpointWriting(this.#plan.checkpoint, this.#state, ord, nowMs);
    this.#deps.metrics.ackLatency.observe(
      { client: this.#plan.client, stream: this.#plan.name },
      Math.max(0, nowMs - floor.receivedAtMs) / 1000,
    );
    const record = this.#host.record(ord, floor);
    this.#last = record;
    this.#deps.store
      .save(this.#plan.lease, this.#epoch, { [this.#plan.name]: record })
      .then(
        (answer) => {
          this.#answered(ord, answer);
        },
        (error: unknown) => {
          this.#failed(error);
        },
      )
      .finally(() => {
        for (const done of this.#waiting.splice(0)) done();
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'checkpoint failed');
      });
  }

  /** Stores the record of a stream that has settled nothing yet; tried again until a checkpoint makes it needless. */
  baseline(record: Checkpoint): void {
    // Only the record of a bare subscription gives way to another one.
    const newer =
      this.#last !== undefined && this.#last !== record && (this.#last.index > 0 || this.#last.position !== '');
    if (this.#state.fenced || this.#stopped || newer) return;
    this.#last = record;
    this.#deps.store.save(this.#plan.lease, this.#epoch, { [this.#plan.name]: record }).catch((error: unknown) => {
      this.#deps.log.warn(
        { err: error, stream: this.#plan.name },
        'the first record of the stream could not be stored; it is tried again',
      );
      setTimeout(() => {
        this.baseline(record);
      }, this.#plan.checkpoint.backoff.maxMs).unref();
    });
  }

  /** Where the last term ended: what we write again if the store forgets it. */
  restored(record: Checkpoint): void {
    this.#last = record;
  }

  /** The lease is ours after all. A store that forgot is told again what it held last, whether or not anything new was settled. */
  reopened(storeLostData: boolean): void {
    this.#state = { ...this.#state, fenced: false };
    if (storeLostData && this.#last !== undefined) this.baseline(this.#last);
  }

  /** The last word of a term whose every event was delivered: who goes on without a break has missed nothing. */
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

  /** Writes what is settled now, at most for `limitMs`. */
  async flush(limitMs: number): Promise<void> {
    const endsAt = this.#deps.nowMs() + limitMs;
    while (this.#state.storedOrd < this.#host.outbox.floor && !this.#state.fenced && this.#deps.nowMs() < endsAt) {
      this.look(true);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  get #use(): `checkpoint ${string}` {
    return `checkpoint ${this.#plan.name}`;
  }

  #answered(ord: number, answer: 'stored' | 'fenced' | 'regressed'): void {
    const outcome = answer === 'stored' ? 'stored' : 'fenced';
    this.#deps.storeTrouble.over(this.#use);
    this.#state = checkpointAnswered(this.#plan.checkpoint, this.#state, outcome, {
      nowMs: this.#deps.nowMs(),
      unit: this.#deps.random(),
    });
    this.#deps.metrics.checkpoints.inc({ client: this.#plan.client, stream: this.#plan.name, result: answer });
    if (answer === 'stored') {
      this.#refusals = 0;
      this.#host.outbox.checkpointed(ord);
      return this.#host.stored(ord);
    }
    // Another process holds this client now, or wrote further than we are: this one must stop delivering.
    this.#deps.audit.write('checkpoint.refused', this.#plan.client, {
      stream: this.#plan.name,
      epoch: String(this.#epoch),
      answer,
    });
    this.#refusals += 1;
    this.#host.fenced(answer === 'regressed' || this.#refusals > MAX_REFUSALS);
  }

  #failed(error: unknown): void {
    if (!this.#stopped) this.#deps.storeTrouble.note(this.#use, error);
    this.#state = checkpointAnswered(this.#plan.checkpoint, this.#state, 'failed', {
      nowMs: this.#deps.nowMs(),
      unit: this.#deps.random(),
    });
    this.#deps.metrics.checkpoints.inc({ client: this.#plan.client, stream: this.#plan.name, result: 'failed' });
    const code = error instanceof HoldfastError ? error.code : 'unknown';
    if (this.#state.failures === 1)
      this.#deps.log.warn(
        { err: error, code, trouble: wordsOf(error), stream: this.#plan.name },
        'the checkpoint could not be stored; it is tried again',
      );
    this.#host.arm();
  }
}
