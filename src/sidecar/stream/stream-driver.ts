import type { StreamPlan } from '../../config/plan.ts';
import { newerOf, type Checkpoint } from '../../coordination/store.ts';
import { downForMs } from '../../core/events/continuity.ts';
import type { Failure, Reason } from '../../core/session/classify-failure.ts';
import { Outbox, type DispatchMode } from '../../core/events/outbox.ts';
import { sessionDeadline } from '../../core/session/session.ts';
import type { SessionEffect, TokenRef } from '../../core/session/session-model.ts';
import { salted } from '../../core/dialing/backoff.ts';
import { earliest } from '../../core/units.ts';
import { withoutBytes, type Parcel } from '../../delivery/envelope.ts';
import type { Delivery, DeliveryPorts } from '../../delivery/delivery-ports.ts';
import { PullDelivery } from '../../delivery/pull-delivery.ts';
import { PushDelivery } from '../../delivery/push-delivery.ts';
import { dialTarget, type DialTarget } from '../../platforms/dial-target.ts';
import { refreshFrame } from '../../platforms/client-frames.ts';
import { Backpressure, mayUnpark, type Fill } from './backpressure.ts';
import { LeaseDoubt } from './lease-doubt.ts';
import { Checkpointer } from './checkpointer.ts';
import type { ClientPort } from '../client/client-port.ts';
import type { Deps } from '../runtime/environment.ts';
import { gapSnapshot } from './gap-snapshot.ts';
import { helloText } from './hello-text.ts';
import { Intake } from './intake.ts';
import type { IntakeNote } from './intake-note.ts';
import { DeadLetterBox } from './dead-letter-box.ts';
import { StreamTelemetry } from './stream-telemetry.ts';
import { oldestOffered } from './positions.ts';
import { SessionLoop } from './session-loop.ts';
import { StreamGrant } from './stream-grant.ts';
import { StreamSockets } from './stream-sockets.ts';
import { DeadlineTimer } from '../runtime/deadline-timer.ts';
import { Waits } from '../runtime/waits.ts';

/** After the loss of the lease a peer that does not answer our close is cut off. */
const ABANDON_CLOSE_MS = 250;

/**
 * Drives one stream: feeds its session machine, performs its effects in order, and keeps intake, delivery and
 * checkpoint going. One timer; never re-enters.
 */
export class StreamDriver {
  readonly plan: StreamPlan;
  readonly epoch: number;
  readonly outbox: Outbox<Parcel>;
  readonly delivery: Delivery;
  readonly intake: Intake;
  readonly letters: DeadLetterBox;
  readonly #deps: Deps;
  readonly client: ClientPort;
  readonly #checkpointer: Checkpointer;
  readonly #report: StreamTelemetry;
  readonly #timer: DeadlineTimer;
  readonly sockets: StreamSockets;
  readonly #backpressure: Backpressure;
  readonly #waits = new Waits();
  readonly session: SessionLoop;
  /**
   * Lowered while the lease is in doubt: no socket stays open, except for a while where the platform itself evicts the
   * older one.
   */
  readonly leaseDoubt: LeaseDoubt;
  #turnDue = false;
  #heard = 0;
  #heardFrame = false;
  /** Links that an overlap has replaced, until they end. */
  readonly #retired = new Set<number>();
  #oldest: string | undefined;
  /** The last dial named a position. */
  #asked = false;
  #stopping = false;
  readonly #grant: StreamGrant;
  /** When delivery was pumped last: what has become due since is a deadline. */
  #turnMs = 0;
  #parkedForLease = false;
  /** While stopping a link ended without the platform's answer to our close: what it had sent before may be lost. */
  #endedUnheard = false;
  /** Links of which something was left unread: nothing more is taken from them. */
  readonly #deaf = new Set<number>();
  #ended = false;
  #fencedForGood = false;

  constructor(plan: StreamPlan, client: ClientPort, world: Deps) {
    this.plan = plan;
    this.epoch = client.lease.epoch;
    this.client = client;
    this.#grant = new StreamGrant(client.lease);
    // What one leader writes down another one reads: instants of a stream are by the store's clock, which all share.
    const deps = { ...world, nowEpochMs: () => Math.round(world.nowEpochMs() + world.leases.storeAheadMs) };
    this.#deps = deps;
    const wake = (): void => {
      this.#soon();
    };
    this.outbox = new Outbox<Parcel>(plan.outbox, handOverOf(plan), withoutBytes);
    this.session = new SessionLoop(plan.session, deps.nowMs, {
      perform: (effect) => {
        this.#perform(effect);
      },
      after: () => {
        this.#arm();
      },
    });
    this.sockets = new StreamSockets(plan, deps);
    this.leaseDoubt = new LeaseDoubt(plan.profile.streamClass);
    this.#backpressure = new Backpressure(plan.session.liveness);
    this.#report = new StreamTelemetry(plan, deps);
    this.intake = new Intake(plan, deps, { outbox: this.outbox, epoch: this.epoch, wake });
    this.letters = new DeadLetterBox(plan, deps, this.outbox, (attributes, data, eventId) =>
      this.intake.redrive(attributes, data, eventId),
    );
    this.#checkpointer = new Checkpointer(plan, this.epoch, deps, { outbox: this.outbox, wake });
    this.delivery = this.#newDelivery(wake);
    this.#timer = new DeadlineTimer(deps.schedule, () => {
      this.#tick();
    });
  }

  #newDelivery(wake: () => void): Delivery {
    const { plan } = this;
    const { push } = plan.delivery;
    const ports: DeliveryPorts = {
      epoch: this.epoch,
      telemetry: this.#report,
      letters: this.letters,
      lease: this.#grant,
      clock: { nowMs: this.#deps.nowMs, unit: () => this.#unit() },
      wake,
    };
    if (push === undefined) return new PullDelivery(plan, this.outbox, ports);
    return new PushDelivery(plan, this.outbox, ports, { push, transport: this.#deps.transports.push(plan, push) });
  }

  /** A uniform sample in [0, 1), shifted by this replica's salt. */
  #unit(): number {
    return salted(this.#deps.random(), this.#deps.identity.salt);
  }

  /**
   * Loads the checkpoint (or takes our copy, if the store lost it) and begins.
   * @param connected the socket is open already. @param aliveEpochMs until when another leader was there, as far as is
   * known. @throws HoldfastError of the store
   */
  async start(connected: boolean, copy: Checkpoint | undefined, aliveEpochMs: number): Promise<void> {
    const stored = await this.#deps.store.load(this.plan.lease, this.plan.name);
    const checkpoint = newerOf(stored, copy);
    if (checkpoint !== undefined) {
      this.intake.restore(checkpoint);
      const { drained: _, ...record } = checkpoint;
      this.#checkpointer.restored({ ...record, epoch: this.epoch });
      if (
        !(connected && checkpoint.drained === true) &&
        (this.plan.profile.streamClass === 'C' || checkpoint.position === '') &&
        checkpoint.settledAtEpochMs > 0
      )
        this.intake.holeSince(checkpoint.settledAtEpochMs);
      if (checkpoint.epoch !== this.epoch && this.plan.delivery.control === 'all') {
        this.intake.pushControl('leader.changed', {
          stream: this.plan.name,
          from: String(checkpoint.epoch),
          to: String(this.epoch),
        });
      }
      const downMs = downForMs(this.#deps.nowEpochMs(), checkpoint.settledAtEpochMs, aliveEpochMs);
      if (!connected) this.intake.interrupted('restart', true, downMs);
    }
    this.#grant.begun = true;
    // Nothing is drained any more once somebody connects again.
    if (checkpoint === undefined || checkpoint !== stored || checkpoint.drained === true)
      this.#checkpointer.reopened(true);
    if (!this.plan.suspend && !this.#stopping) this.session.dispatch({ kind: 'start' });
    if (this.session.state.main?.phase === 'open') this.intake.announceHole('no_replay');
    this.#soon();
  }

  /**
   * Connects before the lease is ours, where nothing can be replayed. What comes waits for it. @returns whether the
   * stream is open.
   */
  startEarly(limitMs: number): Promise<boolean> {
    if (!this.plan.suspend) this.session.dispatch({ kind: 'start' });
    if (this.plan.suspend) return Promise.resolve(true);
    const open = this.#waits.until(() => this.session.state.main?.phase === 'open', this.#deps.nowMs() + limitMs);
    this.#soon();
    return open;
  }

  /** A more important stream needs the place: the checkpoint is kept, and it queues again. */
  preempted(): void {
    if (this.#stopping || this.session.state.goal !== 'run') return;
    this.#deps.audit.write('stream.preempted', this.plan.client, { stream: this.plan.name });
    this.session.dispatch({ kind: 'park' });
    this.session.dispatch({ kind: 'start' });
  }

  /**
   * Stops dialing and closes politely; what was handed over may still be acknowledged; the last checkpoint is written.
   */
  async stop(limitMs: number): Promise<void> {
    const endsAt = this.#deps.nowMs() + limitMs;
    const left = (): number => Math.max(100, endsAt - this.#deps.nowMs());
    this.#stopping = true;
    // Only who was connected to the end can say that nothing was missed until then, and knows what the last term left.
    const whole = this.#grant.begun && this.session.state.main?.phase === 'open' && !this.intake.holed;
    if (whole) this.intake.unsubscribed();
    this.session.dispatch({ kind: 'stop', reason: 'shutdown' });
    const classC = this.plan.profile.streamClass === 'C';
    // What the platform sent before it saw our close is still on its way: an heir may have connected just after it was
    // sent.
    const closed = classC && (await this.#until(() => this.sockets.count === 0, left() / 3));
    // What cannot be replayed and is here already is delivered before the end.
    const finished = closed && !this.#endedUnheard && (await this.#finish(left() / 2));
    this.delivery.drain();
    await this.#until(() => this.delivery.idle, left() - 100);
    await this.#until(() => this.#checkpointer.flushed || this.#checkpointer.fenced, left());
    // What came after that, an heir that was connected before has as well.
    if (finished && whole) await this.#checkpointer.seal();
    await this.#until(() => this.sockets.count === 0, left());
    this.sockets.terminateAll();
    this.#end();
  }

  /** Goes on until everything accepted so far is settled; a pull stream without a consumer does not wait for one. */
  async #finish(limitMs: number): Promise<boolean> {
    const here = this.outbox.lastOrd;
    const settled = (): boolean => this.outbox.floor >= here;
    if (this.delivery.kind === 'pull' && !this.delivery.ready) return settled();
    await this.#until(() => settled() || !this.#leaseOpen, limitMs);
    return settled();
  }

  #until(done: () => boolean, limitMs: number): Promise<boolean> {
    const wait = this.#waits.until(done, this.#deps.nowMs() + limitMs);
    this.#soon();
    return wait;
  }

  /**
   * Another replica leads: no further word to the consumer, sockets closed. What was not acknowledged comes again from
   * there.
   */
  abandon(): void {
    this.#stopping = true;
    this.session.dispatch({ kind: 'stop', reason: 'lease_lost' });
    this.#end();
    this.#deps.schedule.after(ABANDON_CLOSE_MS, () => {
      this.sockets.terminateAll();
    });
  }

  /**
   * The lease is ours as before: go on where we were. @param storeLostData the store must be told again where we are.
   */
  reopen(storeLostData: boolean): void {
    this.leaseDoubt.lift();
    this.#checkpointer.reopened(storeLostData);
    if (this.#parkedForLease && this.session.state.goal === 'park' && !this.#stopping)
      this.session.dispatch({ kind: 'start' });
    this.#parkedForLease = false;
    this.#soon();
  }

  /** The lease is in doubt: no socket stays open, except for a while where the platform itself evicts the older one. */
  shut(): void {
    this.leaseDoubt.lower(this.#deps.nowMs());
    this.#soon();
  }

  get lastCheckpoint(): Checkpoint | undefined {
    return this.#checkpointer.last;
  }
  #parkForLease(): void {
    if (this.session.state.goal !== 'run') return;
    this.#parkedForLease = true;
    this.session.dispatch({ kind: 'park' });
  }

  /**
   * Nothing more is handed over until the lease was asked about; if it is ours and the store refuses all the same, for
   * ever.
   */
  #onFenced(final: boolean): void {
    if (!final) return this.client.lease.doubt();
    this.#fencedForGood = true;
    this.delivery.drain();
    this.session.dispatch({ kind: 'stop', reason: 'fenced' });
  }

  /** The store refuses its checkpoints for the rest of this term: only another leader goes on with it. */
  get fencedForGood(): boolean {
    return this.#fencedForGood;
  }

  #end(): void {
    this.#ended = true;
    this.#report.over();
    this.leaseDoubt.lift();
    this.#waits.end();
    this.#timer.clear();
    this.#checkpointer.stop();
    this.letters.close();
    this.delivery.close();
  }

  admitted(token: TokenRef): void {
    this.session.dispatch({
      kind: 'admitted',
      token,
      resuming: this.intake.position !== undefined && this.plan.profile.resume.via !== 'none',
    });
  }

  tokenStaged(token: TokenRef): void {
    this.session.dispatch({ kind: 'token-staged', token });
  }
  get tokenInUse(): string | undefined {
    return this.session.state.main?.phase === 'open' ? this.session.state.main.token.id : undefined;
  }

  /**
   * A parked stream connects again once its buffer has room, whatever made it park; not while the lease is in doubt.
   */
  #unpark(): void {
    if (this.session.state.goal !== 'park' || this.leaseDoubt.down || this.#stopping || !mayUnpark(this.#fill)) return;
    this.#deps.audit.write('stream.unparked', this.plan.client, { stream: this.plan.name });
    this.session.dispatch({ kind: 'start' });
  }

  get #leaseOpen(): boolean {
    return this.client.lease.isOpen(this.#deps.nowMs());
  }

  get #fill(): Fill {
    return { bufferedBytes: this.outbox.bufferedBytes, maxBytes: this.plan.outbox.maxBufferedBytes };
  }

  status(): Record<string, unknown> {
    return this.#report.status({
      session: this.session.state,
      intake: this.intake,
      outbox: this.outbox,
      delivery: this.delivery,
      checkpointedOrd: this.outbox.storedOrd,
      open: this.#leaseOpen,
      connectionId: this.session.state.main === undefined ? undefined : this.sockets.idOf(this.session.state.main.gen),
    });
  }

  // --- the driver ---

  #perform(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'ask':
        return this.client.ask(this.plan);
      case 'cancel-ask':
        return this.client.cancel(this.plan);
      case 'dial':
        return this.#dial(effect);
      case 'hello':
        return this.#hello(effect);
      case 'refresh':
        return this.#refresh(effect.gen, effect.token);
      case 'ping':
        return this.sockets.of(effect.gen)?.ping(effect.payload);
      case 'close':
        return this.sockets
          .of(effect.gen)
          ?.close(effect.code, effect.reason === 'shutdown' ? 'Graceful shutdown' : effect.reason);
      case 'terminate':
        this.#report.terminated(effect.gen, effect.reason);
        return this.sockets.of(effect.gen)?.terminate();
      case 'report':
        return this.client.report(effect.outcome);
      case 'hold':
        return this.client.hold(effect.forMs);
      case 'trip-breaker':
        return this.client.tripBreaker();
      case 'token-rejected':
        return this.client.tokenRejected(effect.id);
      case 'token-suspect':
        return this.client.tokenSuspect(effect.id);
      case 'token-adopted':
        return this.client.tokenAdopted(effect.id);
      case 'interrupted':
        return this.#onInterrupted(effect.reason);
      case 'ready':
        return this.#onReady(effect);
      default:
        if (effect.kind === 'promoted' && effect.retired !== undefined) this.#retired.add(effect.retired);
        if (effect.kind === 'halted' || effect.kind === 'fatal') this.client.leave(this.plan);
        return this.#report.effect(effect, {
          session: this.session.state,
          continuityRate: this.intake.continuityRate,
          bufferedBytes: this.outbox.bufferedBytes,
          connectionId: 'gen' in effect ? this.sockets.idOf(effect.gen) : '',
        });
    }
  }

  #dial(effect: Extract<SessionEffect, { kind: 'dial' }>): void {
    const token = this.client.tokenText(effect.token.id);
    const connectionId = this.#deps.randomId();
    const overlap = effect.purpose === 'rotate' || effect.purpose === 'maintenance';
    const position = effect.oldest
      ? oldestOffered(this.plan.profile.resume.kind, this.#oldest)
      : this.intake.resumePosition(overlap);
    this.#asked = position !== undefined;
    this.#report.dial(effect, connectionId);
    // A token can be retired between the grant and the dial; an empty one is refused by the platform like any other bad
    // token.
    const target = (): DialTarget =>
      dialTarget(this.plan.profile, {
        hosts: this.plan.hosts,
        path: this.plan.path,
        topics: this.plan.topics,
        token: token ?? '',
        position,
        reconnect: effect.reconnect,
      });
    const { gen } = effect;
    this.sockets.dial(gen, connectionId, target, {
      opened: () => {
        this.session.dispatch({ kind: 'opened', gen });
        // A pause that began without a link, or with another one, holds this one as well, or ends.
        if (this.#backpressure.paused) this.sockets.pause(false);
        this.#backpressure.reset();
        this.#regulate();
      },
      message: (data, isBinary) => {
        this.#onMessage(gen, data, isBinary);
      },
      serverPing: () => {
        this.session.dispatch({ kind: 'heard', gen, what: 'server-ping' });
      },
      pong: (payload) => {
        this.session.dispatch({ kind: 'pong', gen, payload });
        this.#report.pong(this.session.state);
      },
      ended: (failure, detail) => {
        this.#onEnded(gen, failure, detail);
      },
    });
  }

  #hello({ gen, attempt, reconnect }: Extract<SessionEffect, { kind: 'hello' }>): void {
    const position = this.session.state.positionExpired
      ? oldestOffered(this.plan.profile.resume.kind, this.#oldest)
      : this.intake.resumePosition(true);
    const text = helloText(this.plan, this.#deps, {
      attempt,
      reconnect,
      position,
      connectionId: this.sockets.idOf(gen),
    });
    if (text !== undefined) this.sockets.of(gen)?.send(text);
  }

  #refresh(gen: number, token: TokenRef): void {
    const text = this.client.tokenText(token.id);
    const frame = text === undefined ? undefined : refreshFrame(this.plan.profile, text);
    if (frame !== undefined) this.sockets.of(gen)?.send(frame);
  }

  #onMessage(gen: number, data: Buffer, isBinary: boolean): void {
    if (this.#retired.has(gen)) return this.#onLateMessage(gen, data, isBinary);
    const { main, next } = this.session.state;
    const link = main?.gen === gen ? main : next?.gen === gen ? next : undefined;
    // An abandoned socket, or one that is being parked: what it still says is asked for again later, or announced.
    if (this.#ended || link === undefined) return;
    if (link.phase === 'closing' && this.session.state.goal === 'park') this.#deaf.add(gen);
    // A link that is closed for good is not held back by a pause: what has no place is asked for again by the next
    // leader, or announced.
    if (this.#stopping && this.outbox.full) {
      this.#deaf.add(gen);
      this.#endedUnheard = true;
    }
    // Once something of it was left unread, what follows must not move the position past that.
    if (this.#deaf.has(gen)) return;
    this.#heard = gen;
    const before = this.intake.received;
    this.intake.read(data, isBinary);
    this.#noteAll();
    this.#heardFrame = true;
    if (this.intake.received > before && (!link.sawEvent || link.emptyBatches > 0))
      this.session.dispatch({ kind: 'event', gen });
    this.#soon();
  }

  /**
   * What a retired link still delivers counts, but not as a sign of life: since when nothing came is a question to the
   * main link.
   */
  #onLateMessage(gen: number, data: Buffer, isBinary: boolean): void {
    if (this.session.state.goal === 'park') this.#deaf.add(gen);
    if (this.#ended || this.#deaf.has(gen)) return;
    const [heard, receivedEpochMs] = [this.#heard, this.intake.lastReceivedEpochMs];
    this.#heard = gen;
    this.intake.read(data, isBinary);
    this.#noteAll();
    this.#heard = heard;
    this.intake.lastReceivedEpochMs = receivedEpochMs;
    this.#soon();
  }

  #onEnded(
    gen: number,
    failure: Failure,
    detail: { readonly text: string; readonly oldest: string | undefined },
  ): void {
    this.#report.ended(this.sockets.idOf(gen), failure, detail.text, this.outbox.bufferedBytes);
    this.sockets.forget(gen);
    if (this.#stopping && failure.closeCode !== 1000 && failure.closeCode !== 1001) this.#endedUnheard = true;
    this.#deaf.delete(gen);
    this.#retired.delete(gen);
    if (this.sockets.count === 0) this.#backpressure.reset();
    // Refused although it was the oldest on offer: the next dial asks for nothing.
    this.#oldest = this.session.state.positionExpired ? undefined : (detail.oldest ?? this.#oldest);
    this.session.dispatch({ kind: 'ended', gen, failure, unit: this.#unit() });
    this.#soon();
  }

  #onInterrupted(reason: Reason): void {
    this.#report.connected(false);
    // Where nothing can be asked for again, all that is known is since when nothing came.
    if (this.plan.profile.streamClass === 'C' || this.intake.position === undefined)
      this.intake.holeSince(this.intake.silentSinceEpochMs);
    this.intake.interrupted(reason, true);
    if (this.plan.delivery.control === 'all')
      this.intake.pushControl('stream.interrupted', {
        stream: this.plan.name,
        reason,
        at: new Date(this.#deps.nowEpochMs()).toISOString(),
      });
  }

  #onReady(effect: Extract<SessionEffect, { kind: 'ready' }>): void {
    this.#report.ready(effect, this.session.state, this.sockets.idOf(effect.gen), this.intake.continuityRate);
    this.intake.linkOpened(this.session.state.positionExpired, this.#asked);
    this.#oldest = undefined;
    this.intake.subscribed();
    this.#soon();
    if (this.#grant.begun) this.intake.announceHole('no_replay');
  }

  /** Once per turn of the event loop, however many frames came. */
  #soon(): void {
    if (this.#turnDue || this.#ended) return;
    this.#turnDue = true;
    this.#deps.schedule.soon(() => {
      this.#turnDue = false;
      if (!this.#ended) this.#turn();
    });
  }

  #turn(): void {
    const nowMs = this.#deps.nowMs();
    this.#turnMs = nowMs;
    if (this.#heardFrame) this.session.dispatch({ kind: 'heard', gen: this.#heard, what: 'frame' });
    this.#heardFrame = false;
    this.#noteAll();
    this.#checkpointer.collect(nowMs);
    for (const { final } of this.#checkpointer.takeNotes()) this.#onFenced(final);
    this.delivery.pump(nowMs);
    this.letters.sweep();
    if (this.leaseDoubt.closes(nowMs)) this.#parkForLease();
    this.#regulate();
    this.#unpark();
    this.#checkpoint(nowMs);
    this.#report.turn(this.intake, this.outbox);
    this.#waits.look(nowMs);
    this.#arm();
  }

  /** Acts on what the intake has to say. */
  #noteAll(): void {
    for (const note of this.intake.takeNotes()) this.#note(note);
  }

  #note(note: IntakeNote): void {
    switch (note.kind) {
      case 'control':
        if (note.control === 'unknown') this.#report.unknownControl(note.type);
        this.#report.control(note.control, this.session.state);
        return this.session.dispatch({ kind: 'control', gen: this.#heard, control: note.control, unit: this.#unit() });
      case 'empty-batch':
        this.#report.emptyBatch();
        return this.session.dispatch({ kind: 'empty-batch', gen: this.#heard });
      case 'ask-again':
        return this.session.dispatch({ kind: 'redial', purpose: 'gap' });
      case 'gap':
        this.#report.gap(note.data);
        return gapSnapshot(this.plan, note.data, {
          deps: this.#deps,
          rest: (path) => this.client.rest(path),
          intake: this.intake,
        });
      case 'baseline':
        return this.#checkpointer.baseline(note.record);
      case 'suspect':
        return this.delivery.suspect(note.ord, note.losses);
    }
  }

  #checkpoint(nowMs: number): void {
    if (!this.#grant.begun) return;
    if (!this.#checkpointer.look(nowMs, this.#stopping)) return;
    const snapshot = this.outbox.snapshot();
    const covering = this.intake.checkpointAt(snapshot);
    if (covering === undefined) return this.#checkpointer.nothing(nowMs);
    const suspects = this.delivery.suspects().flatMap(({ ord, losses }): [string, number][] => {
      const item = this.outbox.entry(ord)?.item;
      return item === undefined ? [] : [[item.idText, losses]];
    });
    const record = suspects.length === 0 ? covering.record : { ...covering.record, suspects };
    this.#report.checkpointed(snapshot.item, nowMs);
    this.#checkpointer.write({ ...covering, record }, nowMs);
  }

  #regulate(): void {
    const verdict =
      this.session.state.goal === 'run' ? this.#backpressure.look(this.#fill, this.#deps.nowMs()) : 'nothing';
    if (verdict === 'nothing') return;
    this.sockets.pause(verdict === 'pause');
    this.intake.paused(verdict === 'pause');
    if (verdict !== 'park') return;
    this.#report.parked(this.outbox.bufferedBytes);
    this.session.dispatch({ kind: 'park' });
  }

  #tick(): void {
    this.session.dispatch({ kind: 'tick', unit: this.#unit() });
    this.intake.tick();
    if (!this.#ended) this.#turn();
  }

  #arm(): void {
    if (this.#ended) return;
    this.#timer.set(
      earliest(
        sessionDeadline(this.plan.session, this.session.state),
        this.intake.deadline(),
        this.#leaseOpen ? this.delivery.deadline(this.#turnMs) : undefined,
        this.#grant.begun ? this.#checkpointer.deadline() : undefined,
        this.#waits.deadline(),
        this.leaseDoubt.deadline(),
        this.#backpressure.deadline(),
      ),
    );
  }
}

/** How events leave, by mode. */
function handOverOf({ delivery }: StreamPlan): DispatchMode {
  if (delivery.mode === 'Pull') return 'stream';
  return delivery.order === 'stream' ? 'run' : 'key';
}
