import type { StreamPlan } from '../config/resolve.ts';
import type { Checkpoint } from '../coordination/store.ts';
import { checkpointAnswered, checkpointDeadline, checkpointDue, checkpointWriting, freshCheckpoint, type CheckpointState } from '../core/checkpoint.ts';
import { HoldfastError } from '../core/failure.ts';
import type { Outbox } from '../core/outbox.ts';
import type { Parcel } from '../delivery/envelope.ts';
import type { Deps } from './deps.ts';

export interface CheckpointHost {
  readonly outbox: Outbox<Parcel>;
  record(ord: number, floor: Parcel): Checkpoint;
  stored(ord: number): void;
  fenced(): void;
  arm(): void;
}

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

  constructor(plan: StreamPlan, epoch: number, deps: Deps, host: CheckpointHost) {
    this.#plan = plan;
    this.#epoch = epoch;
    this.#deps = deps;
    this.#host = host;
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
    const ord = checkpointDue(this.#plan.checkpoint, this.#state, this.#host.outbox.floor, { nowMs, urgent: drain || this.#host.outbox.starved });
    const floor = this.#host.outbox.floorItem;
    if (ord === undefined || floor === undefined || this.#stopped) return;
    this.#state = checkpointWriting(this.#plan.checkpoint, this.#state, ord, nowMs);
    this.#deps.metrics.ackLatency.observe({ client: this.#plan.client, stream: this.#plan.name }, Math.max(0, nowMs - floor.receivedAtMs) / 1000);
    const record = this.#host.record(ord, floor);
    this.#last = record;
    this.#deps.store
      .save(this.#plan.lease, this.#epoch, { [this.#plan.name]: record })
      .then(
        (answer) => { this.#answered(ord, answer); },
        (error: unknown) => { this.#failed(error); },
      )
      .finally(() => { for (const done of this.#waiting.splice(0)) done(); })
      .catch((error: unknown) => { this.#deps.log.error({ err: error }, 'checkpoint failed'); });
  }

  /** Stores the record of a stream that has settled nothing yet; tried again until a checkpoint makes it needless. */
  baseline(record: Checkpoint): void {
    if (this.#state.fenced || this.#stopped || (this.#last !== undefined && this.#last !== record)) return;
    this.#last = record;
    this.#deps.store.save(this.#plan.lease, this.#epoch, { [this.#plan.name]: record }).catch((error: unknown) => {
      this.#deps.log.warn({ err: error, stream: this.#plan.name }, 'the first record of the stream could not be stored; it is tried again');
      setTimeout(() => { this.baseline(record); }, this.#plan.checkpoint.backoff.maxMs).unref();
    });
  }

  /** The store forgot: what it held last is written again, whether or not anything new was settled. */
  rewrite(): void {
    if (this.#last !== undefined) this.baseline(this.#last);
  }

  stop(): void {
    this.#stopped = true;
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

  #answered(ord: number, answer: 'stored' | 'fenced' | 'regressed'): void {
    const outcome = answer === 'stored' ? 'stored' : 'fenced';
    this.#state = checkpointAnswered(this.#plan.checkpoint, this.#state, outcome, { nowMs: this.#deps.nowMs(), unit: this.#deps.random() });
    this.#deps.metrics.checkpoints.inc({ client: this.#plan.client, stream: this.#plan.name, result: answer });
    if (answer === 'stored') {
      this.#host.outbox.checkpointed(ord);
      return this.#host.stored(ord);
    }
    // Another process holds this client now, or wrote further than we are: this one must stop delivering.
    this.#deps.audit.write('checkpoint.refused', this.#plan.client, { stream: this.#plan.name, epoch: String(this.#epoch), answer });
    this.#host.fenced();
  }

  #failed(error: unknown): void {
    this.#state = checkpointAnswered(this.#plan.checkpoint, this.#state, 'failed', { nowMs: this.#deps.nowMs(), unit: this.#deps.random() });
    this.#deps.metrics.checkpoints.inc({ client: this.#plan.client, stream: this.#plan.name, result: 'failed' });
    const code = error instanceof HoldfastError ? error.code : 'unknown';
    if (this.#state.failures === 1) this.#deps.log.warn({ err: error, code, stream: this.#plan.name }, 'the checkpoint could not be stored; it is tried again');
    this.#host.arm();
  }
}
