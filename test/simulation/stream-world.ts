import type { StreamPlan } from '../../src/config/plan.ts';
import { REDRIVE_LIMIT_BYTES } from '../../src/sidecar/stream/dead-letter-box.ts';
import { PlatformModel } from './platform.ts';
import { ConsumerModel } from './stream-consumer.ts';
import { disturb, FAULTS, OLD_LETTER_BYTES, isOfLeadership, type Fault } from './stream-faults.ts';
import { StreamJudge } from './stream-judge.ts';
import { StreamLeadership } from './stream-leadership.ts';
import { DIALECTS, MODES, pick, planOf, type Mode } from './stream-plans.ts';
import { EPOCH_MS, type Outside, type Wire } from './stream-pod.ts';
import { StoreModel } from './stream-store.ts';
import { VirtualTime } from './virtual-time.ts';

/**
 * Length of the part of a run in which things go wrong; then everything is well, and this long at most until all is
 * settled.
 */
const FAULTS_MS = 20_000;
const CALM_MS = 400_000;
/** What the platform sent has arrived after this. */
const STILL_MS = 700;
/** When all is well there is an event each so often. */
const TRICKLE_MS = 2500;
/** A pause of backpressure is over after a second. */
const UNREAD_LIMIT_MS = 3000;

export interface RunOptions {
  readonly dialect?: (typeof DIALECTS)[number];
  readonly mode?: Mode;
  readonly faults?: readonly Fault[];
  readonly limits?: Partial<StreamPlan['outbox']>;
  /** Before the first event is made. */
  readonly quietMs?: number;
  readonly latencyMs?: number;
}

/**
 * One run of a whole stream on virtual time: the real driver and stages, everything around them simulated, everything
 * drawn from one sequence.
 */
export class StreamWorld {
  readonly judge: StreamJudge;
  readonly #time = new VirtualTime();
  readonly #unit: () => number;
  readonly #plan: StreamPlan;
  readonly #mode: Mode;
  readonly #platform: PlatformModel;
  readonly #store: StoreModel;
  readonly #consumer: ConsumerModel;
  readonly #wire: Wire = { latencyMs: 10, downUntilMs: 0, silentUntilMs: 0 };
  readonly #keys: readonly string[];
  readonly #options: RunOptions;
  readonly #leadership: StreamLeadership;

  constructor(options: RunOptions, unit: () => number) {
    this.#unit = unit;
    this.#options = options;
    const dialect = options.dialect ?? this.#pick(DIALECTS);
    this.#mode = options.mode ?? this.#pick(MODES);
    this.#plan = this.#narrowed(planOf(dialect, this.#mode));
    const retentionMs = this.#unit() < 0.2 ? 3000 : 1e9;
    this.#platform = new PlatformModel({ dialect, retentionMs, batch: this.#pick([1, 1, 7, 50]) });
    this.#store = new StoreModel(this.#time, unit);
    const { outbox, profile } = this.#plan;
    this.judge = new StreamJudge({
      streamClass: profile.streamClass,
      kind:
        profile.resume.via === 'none'
          ? 'none'
          : (profile.resume.kind ?? 'none') === 'lastEventId'
            ? 'cursor'
            : ((profile.resume.kind ?? 'none') as 'sequence'),
      journal: this.#platform.journal,
      bound: outbox.maxInFlight + outbox.maxUncheckpointed,
      retryMs: this.#plan.consumer.backoff.baseMs * this.#plan.consumer.backoff.jitterLow,
      order: this.#mode === 'pull' ? 'pull' : this.#mode.startsWith('stream') ? 'stream' : 'key',
      letters: () => this.#buried,
      nowMs: () => this.#time.nowMs,
    });
    this.#consumer = new ConsumerModel(this.#time, unit, this.judge);
    this.#store.saved = (record) => {
      this.judge.saved(record);
    };
    this.#wire.latencyMs = options.latencyMs ?? this.#wire.latencyMs;
    this.#consumer.inOrder = this.#mode.startsWith('stream');
    this.#keys = this.#drawKeys();
    this.#leadership = new StreamLeadership(this.#outside());
    this.judge.note(`dialect ${dialect}`);
    this.judge.note(`mode ${this.#mode}`);
  }

  /** Numbers of the events that lie in the dead letters, or lay there. */
  readonly #buried = new Set<number>();

  /** Plays the run. Returns what was violated. */
  async run(): Promise<readonly string[]> {
    this.#leadership.lead(0);
    this.#traffic();
    const count = 2 + Math.floor(this.#unit() * 7);
    for (let n = 0; n < count; n += 1) {
      const fault = this.#pick(this.#options.faults ?? FAULTS);
      this.#time.in(500 + (FAULTS_MS - 1000) * this.#unit(), () => {
        this.judge.note(`fault ${fault}`);
        this.#fault(fault);
      });
    }
    const never = (): boolean => false;
    await this.#time.run(FAULTS_MS, never, () => {
      this.#check();
    });
    this.#calm();
    const settled = await this.#time.run(
      FAULTS_MS + CALM_MS,
      () => this.#settled || this.judge.violations.length > 0,
      () => {
        this.#check();
      },
    );
    if (!settled) this.judge.fault(`it stands still: ${JSON.stringify(this.#standing())}`);
    if (this.judge.violations.length === 0) this.judge.finish();
    return this.judge.violations;
  }

  // --- what happens ---

  #outside(): Outside {
    return {
      time: this.#time,
      unit: this.#unit,
      platform: this.#platform,
      wire: this.#wire,
      store: this.#store,
      consumer: this.#consumer,
      plan: this.#plan,
      mode: this.#mode.endsWith('batch') ? 'batch' : 'structured',
      opened: () => {
        this.judge.opened();
        this.judge.subscribedFrom ??= this.#platform.journal.length + 1;
      },
    };
  }

  #traffic(): void {
    const perSecond = this.#pick([5, 20, 60, 120]);
    const burst = this.#unit() < 0.3;
    if (this.#unit() < 0.3) this.#consumer.behaviour.poison = new Set([10 + Math.floor(this.#unit() * 60)]);
    if (this.#unit() < 0.25) this.#consumer.behaviour.deadly = new Set([10 + Math.floor(this.#unit() * 60)]);
    if (this.#unit() < 0.2) this.#consumer.behaviour.lossShare = 0.02;
    if (this.#unit() < 0.1) this.#consumer.behaviour.oddShare = 0.02;
    this.#consumer.behaviour.workMs = this.#pick([0.5, 2, 10, 40]);
    const next = (): void => {
      if (this.#time.nowMs >= FAULTS_MS) return;
      const count = burst && this.#unit() < 0.02 ? 60 : 1;
      for (let n = 0; n < count; n += 1) this.#make();
      this.#leadership.flow();
      this.#time.in((1000 / perSecond) * (0.2 + 1.6 * this.#unit()), next);
    };
    this.#time.in(this.#options.quietMs ?? 50, next);
  }

  #make(): void {
    // Uneven keys are the normal case: a few have most of the events.
    const draw = this.#unit() ** 3;
    this.#platform.make(
      EPOCH_MS + Math.floor(this.#time.nowMs),
      this.#keys[Math.floor(draw * this.#keys.length)] ?? 'k',
    );
  }

  #fault(fault: Fault): void {
    const lastsMs = 200 + 6000 * this.#unit() ** 2;
    if (isOfLeadership(fault)) return this.#leadership.disturb(fault, lastsMs);
    disturb(fault, lastsMs, {
      time: this.#time,
      unit: this.#unit,
      consumer: this.#consumer,
      wire: this.#wire,
      platform: this.#platform,
      store: this.#store,
      term: this.#leadership.leader,
      keys: this.#keys,
    });
  }

  /** From now on everything is well. */
  #calm(): void {
    const { behaviour } = this.#consumer;
    behaviour.statusUntilMs = 0;
    behaviour.stuckUntilMs = 0;
    behaviour.slowKey = undefined;
    behaviour.lossShare = 0;
    behaviour.oddShare = 0;
    behaviour.workMs = 1;
    behaviour.downUntilMs = Math.min(behaviour.downUntilMs, this.#time.nowMs);
    this.#wire.downUntilMs = 0;
    this.#wire.silentUntilMs = 0;
    this.#store.awayUntilMs = 0;
    this.#platform.skewMs = 0;
    // Now and then an event: a stream without events proves nothing about what was lost before.
    const next = (): void => {
      this.#make();
      this.#stillSinceMs = Infinity;
      this.#leadership.flow();
      // Something happens before the next one, so that it is looked at.
      this.#time.in(TRICKLE_MS - 1, () => undefined);
      this.#time.in(TRICKLE_MS, next);
    };
    this.#time.in(TRICKLE_MS, next);
  }

  // --- what must hold ---

  #check(): void {
    for (const letter of this.#store.newLetters.splice(0)) {
      this.#buried.add(Number(letter.eventId.replace(/^e-/, '')) || 0);
      this.judge.buried(letter);
    }
    const driver = this.#leadership.leader?.driver;
    if (driver === undefined) return;
    const { outbox } = driver;
    // A frame that arrives whole, and the early events whose turn comes at once.
    const slackBytes = 200 * 1024;
    if (outbox.bufferedBytes > this.#plan.outbox.maxBufferedBytes + slackBytes)
      this.judge.fault(`${String(outbox.bufferedBytes)} bytes wait, over the limit`);
    if (outbox.redrivenBytes > REDRIVE_LIMIT_BYTES + OLD_LETTER_BYTES)
      this.judge.fault(`${String(outbox.redrivenBytes)} bytes of redriven letters wait`);
    const unreadMs = this.#time.nowMs - (this.#leadership.leader?.unreadSinceMs ?? Infinity);
    if (unreadMs > UNREAD_LIMIT_MS) this.judge.fault(`nothing is read for ${String(Math.round(unreadMs))} ms`);
    if (driver.connection.state.goal === 'park') this.judge.note('parked');
    const { hold } = driver.delivery;
    if (hold !== undefined) this.judge.note(`held ${hold}`);
  }

  /**
   * All that the platform offered is settled and stored, and nothing is held, parked or paused, for so long that what
   * is under way has arrived.
   */
  get #settled(): boolean {
    if (!this.#still) {
      this.#stillSinceMs = Infinity;
      return false;
    }
    this.#stillSinceMs = Math.min(this.#stillSinceMs, this.#time.nowMs);
    return this.#time.nowMs - this.#stillSinceMs >= STILL_MS;
  }

  #stillSinceMs = Infinity;

  get #still(): boolean {
    const driver = this.#leadership.leader?.driver;
    if (driver === undefined || this.#leadership.changing || this.#time.nowMs < FAULTS_MS + 95_000) return false;
    const { outbox, delivery, connection } = driver;
    return (
      outbox.backlog === 0 &&
      outbox.covered >= outbox.lastOrd &&
      delivery.hold === undefined &&
      connection.state.goal === 'run' &&
      connection.state.main?.phase === 'open' &&
      !driver.intake.holed
    );
  }

  #standing(): Record<string, unknown> {
    const driver = this.#leadership.leader?.driver;
    if (driver === undefined) return { leader: 'none' };
    const { outbox, delivery, connection } = driver;
    return {
      backlog: outbox.backlog,
      covered: [outbox.covered, outbox.lastOrd],
      inFlight: outbox.inFlight,
      oldest: { ...outbox.oldest, item: undefined, next: undefined, lane: undefined },
      room: outbox.room(),
      hold: delivery.hold,
      ready: delivery.ready,
      goal: connection.state.goal,
      phase: connection.state.phase,
      main: connection.state.main?.phase,
      changing: this.#leadership.changing,
    };
  }

  // --- what is drawn ---

  #pick<T>(from: readonly T[]): T {
    return pick(from, this.#unit);
  }

  #drawKeys(): readonly string[] {
    const count = this.#pick([1, 3, 11, 40, 300]);
    return Array.from({ length: count }, (_, n) => `conv-${String(n)}`);
  }

  /** Small limits meet their edges in a short run. */
  #narrowed(plan: StreamPlan): StreamPlan {
    const maxInFlight = this.#pick([1, 2, 8, 32, 256]);
    const maxUncheckpointed = this.#pick([1, 2, 8, 32, 256]);
    const maxBufferedBytes = this.#pick([4000, 20_000, 100_000, 8 * 1024 * 1024]);
    const limits = { maxInFlight, maxUncheckpointed, maxBufferedBytes, ...this.#options.limits };
    return { ...plan, outbox: { ...plan.outbox, ...limits } };
  }
}
