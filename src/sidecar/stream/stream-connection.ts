import type { StreamPlan } from '../../config/plan.ts';
import { salted } from '../../core/dialing/backoff.ts';
import type { Outbox } from '../../core/events/outbox.ts';
import type { Failure, Reason } from '../../core/session/classify-failure.ts';
import { sessionDeadline } from '../../core/session/session.ts';
import type { SessionEffect, SessionState, TokenRef } from '../../core/session/session-model.ts';
import { earliest } from '../../core/units.ts';
import type { Parcel } from '../../delivery/envelope.ts';
import type { SocketHandlers } from '../../upstream/stream-socket.ts';
import type { ClientPort } from '../client/client-port.ts';
import type { Deps } from '../runtime/environment.ts';
import { Backpressure, mayUnpark, type Fill } from './backpressure.ts';
import type { Intake } from './intake.ts';
import type { IntakeNote } from './intake-note.ts';
import { SessionLoop, type SessionPerformer } from './session-loop.ts';
import { StreamDialer } from './stream-dialer.ts';
import { StreamSockets } from './stream-sockets.ts';
import type { StreamTelemetry } from './stream-telemetry.ts';

type Effect<K extends SessionEffect['kind']> = Extract<SessionEffect, { kind: K }>;
type SessionNote = Extract<IntakeNote, { kind: 'control' | 'empty-batch' | 'ask-again' }>;
/** Note about a stream that is not for its session. */
export type StreamNote = Exclude<IntakeNote, SessionNote>;

interface ConnectionStage {
  readonly client: ClientPort;
  readonly intake: Intake;
  readonly outbox: Outbox<Parcel>;
  readonly telemetry: StreamTelemetry;
  readonly wake: () => void;
}

/**
 * Handles the platform's side of one stream: performs what the session machine decides on its sockets, feeds their
 * frames to the intake, and slows the platform down while the buffer is full. It hands nothing to the consumer.
 */
export class StreamConnection implements SessionPerformer {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #client: ClientPort;
  readonly #intake: Intake;
  readonly #outbox: Outbox<Parcel>;
  readonly #telemetry: StreamTelemetry;
  readonly #wake: () => void;
  readonly #session: SessionLoop;
  readonly sockets: StreamSockets;
  readonly #dialer: StreamDialer;
  readonly #backpressure: Backpressure;
  #notes: StreamNote[] = [];
  /** Generation of the link that was heard last. */
  #heard = 0;
  #heardFrame = false;
  /** Links that an overlap has replaced, until they end. */
  readonly #retired = new Set<number>();
  /** True once it is known where the stream stands: what was missed before may be announced. */
  #begun = false;
  #stopping = false;
  #ended = false;
  /**
   * True when, while stopping, a link ended without the platform's answer to our close: frames sent before may be lost.
   */
  endedUnheard = false;
  /** Links of which something was left unread: no more frames are taken from them. */
  readonly #deaf = new Set<number>();

  constructor(plan: StreamPlan, deps: Deps, stage: ConnectionStage) {
    this.#plan = plan;
    this.#deps = deps;
    this.#client = stage.client;
    this.#intake = stage.intake;
    this.#outbox = stage.outbox;
    this.#telemetry = stage.telemetry;
    this.#wake = stage.wake;
    this.#session = new SessionLoop(plan.session, deps.nowMs, this, stage.wake);
    this.sockets = new StreamSockets(plan, deps);
    this.#dialer = new StreamDialer(plan, deps, { ...stage, sockets: this.sockets });
    this.#backpressure = new Backpressure(plan.session.liveness);
  }

  get state(): SessionState {
    return this.#session.state;
  }

  get open(): boolean {
    return this.state.main?.phase === 'open';
  }

  /** Returns our id of the main link; undefined while there is none. */
  get id(): string | undefined {
    const { main } = this.state;
    return main === undefined ? undefined : this.sockets.idOf(main.gen);
  }

  get #fill(): Fill {
    return { bufferedBytes: this.#outbox.bufferedBytes, maxBytes: this.#plan.outbox.maxBufferedBytes };
  }

  /** Returns a uniform sample in [0, 1), shifted by this replica's salt. */
  #unit(): number {
    return salted(this.#deps.random(), this.#deps.identity.salt);
  }

  start(): void {
    this.#session.dispatch({ kind: 'start' });
  }

  /** Notes that it is known where the stream stands, and announces what was missed before this link opened. */
  begin(): void {
    this.#begun = true;
    if (this.open) this.#intake.announceHole('no_replay');
  }

  /** Closes politely and dials no more. */
  stop(reason: 'shutdown' | 'fenced' | 'lease_lost'): void {
    this.#session.dispatch({ kind: 'stop', reason });
  }

  /** Begins to stop the stream: frames that have no place in the buffer are not waited for. */
  stopping(): void {
    this.#stopping = true;
  }

  park(): void {
    this.#session.dispatch({ kind: 'park' });
  }

  admitted(token: TokenRef): void {
    const resuming = this.#intake.resume.current !== undefined && this.#plan.profile.resume.via !== 'none';
    this.#session.dispatch({ kind: 'admitted', token, resuming });
  }

  tokenStaged(token: TokenRef): void {
    this.#session.dispatch({ kind: 'token-staged', token });
  }

  /** Ends the term: reads no more frames. */
  end(): void {
    this.#ended = true;
  }

  // --- the turn ---

  /** Lets the session look at the clock. */
  tick(): void {
    this.#session.feed({ kind: 'tick', unit: this.#unit() });
  }

  /** Tells the session what was heard since the last turn. */
  look(): void {
    if (this.#heardFrame) this.#session.feed({ kind: 'heard', gen: this.#heard, what: 'frame' });
    this.#heardFrame = false;
  }

  /** Returns the intake's notes for the other parts; none for an ordinary event. */
  takeNotes(): readonly StreamNote[] {
    this.#noteAll();
    return this.#notes.length === 0 ? this.#notes : this.#notes.splice(0);
  }

  deadline(): number | undefined {
    return earliest(sessionDeadline(this.#plan.session, this.state), this.#backpressure.deadline());
  }

  /** Pauses reading while the buffer is full; a pause that lasts parks the stream. */
  regulate(): void {
    const verdict = this.state.goal === 'run' ? this.#backpressure.look(this.#fill, this.#deps.nowMs()) : 'nothing';
    if (verdict === 'nothing') return;
    this.sockets.pause(verdict === 'pause');
    this.#intake.receipts.paused(verdict === 'pause');
    if (verdict !== 'park') return;
    this.#telemetry.parked(this.#outbox.bufferedBytes);
    this.park();
  }

  /** Connects a parked stream again once its buffer has room, whatever made it park. */
  unpark(): void {
    if (this.state.goal !== 'park' || this.#stopping || !mayUnpark(this.#fill)) return;
    this.#deps.audit.write('stream.unparked', this.#plan.client, { stream: this.#plan.name });
    this.start();
  }

  // --- what the session decides ---

  perform(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'ask':
        return this.#client.ask(this.#plan);
      case 'cancel-ask':
        return this.#client.cancel(this.#plan);
      case 'dial':
        return this.#dial(effect);
      case 'hello':
        return this.#dialer.hello(effect, this.state.positionExpired);
      case 'refresh':
        return this.#dialer.refresh(effect.gen, effect.token);
      case 'ping':
        return this.sockets.of(effect.gen)?.ping(effect.payload);
      case 'close':
        return this.sockets.of(effect.gen)?.close(effect.code, closeText(effect.reason));
      case 'terminate':
        this.#telemetry.terminated(effect.gen, effect.reason);
        return this.sockets.of(effect.gen)?.terminate();
      case 'interrupted':
        return this.#onInterrupted(effect.reason);
      case 'ready':
        return this.#onReady(effect);
      case 'report':
        return this.#client.report(effect.outcome);
      case 'hold':
        return this.#client.hold(effect.forMs);
      case 'trip-breaker':
        return this.#client.tripBreaker();
      case 'token-rejected':
        return this.#client.tokenRejected(effect.id);
      case 'token-suspect':
        return this.#client.tokenSuspect(effect.id);
      case 'token-adopted':
        return this.#client.tokenAdopted(effect.id);
      default:
        return this.#tell(effect);
    }
  }

  /** Performs the effects that inform other parts and change nothing on the wire. */
  #tell(effect: Effect<'promoted' | 'attempt-failed' | 'health' | 'halted' | 'fatal'>): void {
    if (effect.kind === 'promoted' && effect.retired !== undefined) this.#retired.add(effect.retired);
    if (effect.kind === 'halted' || effect.kind === 'fatal') this.#client.leave(this.#plan);
    this.#telemetry.effect(effect, {
      session: this.state,
      continuityRate: this.#intake.continuityRate,
      bufferedBytes: this.#outbox.bufferedBytes,
      connectionId: 'gen' in effect ? this.sockets.idOf(effect.gen) : '',
    });
  }

  #dial(effect: Effect<'dial'>): void {
    const connectionId = this.#deps.randomId();
    this.#telemetry.dial(effect, connectionId);
    this.#dialer.dial(effect, connectionId, this.#handlersOf(effect.gen));
  }

  #handlersOf(gen: number): SocketHandlers {
    return {
      opened: () => {
        this.#onOpened(gen);
      },
      message: (data, isBinary) => {
        this.#onMessage(gen, data, isBinary);
      },
      serverPing: () => {
        this.#session.dispatch({ kind: 'heard', gen, what: 'server-ping' });
      },
      pong: (payload) => {
        this.#session.dispatch({ kind: 'pong', gen, payload });
        this.#telemetry.pong(this.state);
      },
      ended: (failure, detail) => {
        this.#onEnded(gen, failure, detail);
      },
    };
  }

  // --- what the sockets bring ---

  #onOpened(gen: number): void {
    this.#session.dispatch({ kind: 'opened', gen });
    // A pause that began without a link, or with another one, holds this one as well, or ends.
    if (this.#backpressure.paused) this.sockets.pause(false);
    this.#backpressure.reset();
    this.regulate();
  }

  #onMessage(gen: number, data: Buffer, isBinary: boolean): void {
    if (this.#retired.has(gen)) return this.#onLateMessage(gen, data, isBinary);
    const link = this.#linkOf(gen);
    // An abandoned socket, or one that is being parked: its further frames are asked for again later, or announced.
    if (this.#ended || link === undefined) return;
    this.#leaveUnread(gen, link.phase === 'closing');
    // Once something of it was left unread, what follows must not move the position past that.
    if (this.#deaf.has(gen)) return;
    this.#heard = gen;
    const before = this.#intake.received;
    this.#intake.read(data, isBinary);
    this.#noteAll();
    this.#heardFrame = true;
    const firstEvent = this.#intake.received > before && (!link.sawEvent || link.emptyBatches > 0);
    if (firstEvent) this.#session.dispatch({ kind: 'event', gen });
    this.#wake();
  }

  #linkOf(gen: number): SessionState['main'] {
    const { main, next } = this.state;
    if (main?.gen === gen) return main;
    return next?.gen === gen ? next : undefined;
  }

  #leaveUnread(gen: number, closing: boolean): void {
    if (closing && this.state.goal === 'park') this.#deaf.add(gen);
    // A link that is closed for good is not held back by a pause: what has no place is asked for again by the next
    // leader, or announced.
    if (this.#stopping && this.#outbox.full) {
      this.#deaf.add(gen);
      this.endedUnheard = true;
    }
  }

  /**
   * Takes in a frame of a retired link. It counts as data, not as a sign of life: the silence is measured on the main
   * link.
   */
  #onLateMessage(gen: number, data: Buffer, isBinary: boolean): void {
    if (this.state.goal === 'park') this.#deaf.add(gen);
    if (this.#ended || this.#deaf.has(gen)) return;
    const [heard, receivedEpochMs] = [this.#heard, this.#intake.receipts.lastReceivedEpochMs];
    this.#heard = gen;
    this.#intake.read(data, isBinary);
    this.#noteAll();
    this.#heard = heard;
    this.#intake.receipts.lastReceivedEpochMs = receivedEpochMs;
    this.#wake();
  }

  #onEnded(
    gen: number,
    failure: Failure,
    detail: { readonly text: string; readonly oldest: string | undefined },
  ): void {
    this.#telemetry.ended(this.sockets.idOf(gen), failure, detail.text, this.#outbox.bufferedBytes);
    this.sockets.forget(gen);
    if (this.#stopping && failure.closeCode !== 1000 && failure.closeCode !== 1001) this.endedUnheard = true;
    this.#deaf.delete(gen);
    this.#retired.delete(gen);
    if (this.sockets.count === 0) this.#backpressure.reset();
    this.#dialer.ended(this.state.positionExpired, detail.oldest);
    this.#session.dispatch({ kind: 'ended', gen, failure, unit: this.#unit() });
  }

  #onInterrupted(reason: Reason): void {
    this.#telemetry.connected(false);
    // Where nothing can be asked for again, only the beginning of the silence is known.
    if (this.#plan.profile.streamClass === 'C' || this.#intake.resume.current === undefined)
      this.#intake.holeSince(this.#intake.receipts.silentSinceEpochMs);
    this.#intake.interrupted(reason);
    if (this.#plan.delivery.control === 'all')
      this.#intake.pushControl('stream.interrupted', {
        stream: this.#plan.name,
        reason,
        at: new Date(this.#deps.nowEpochMs()).toISOString(),
      });
  }

  #onReady(effect: Effect<'ready'>): void {
    this.#telemetry.ready(effect, this.state, this.sockets.idOf(effect.gen), this.#intake.continuityRate);
    this.#intake.linkOpened(this.state.positionExpired, this.#dialer.asked);
    this.#dialer.opened();
    this.#intake.subscribed();
    if (this.#begun) this.#intake.announceHole('no_replay');
  }

  /** Acts on the intake's notes for the session; the others wait for the turn. */
  #noteAll(): void {
    for (const note of this.#intake.takeNotes())
      if (note.kind === 'control' || note.kind === 'empty-batch' || note.kind === 'ask-again') this.#onNote(note);
      else this.#notes.push(note);
  }

  #onNote(note: SessionNote): void {
    const gen = this.#heard;
    switch (note.kind) {
      case 'control':
        if (note.control === 'unknown') this.#telemetry.unknownControl(note.type);
        this.#telemetry.control(note.control, this.state);
        return this.#session.dispatch({ kind: 'control', gen, control: note.control, unit: this.#unit() });
      case 'empty-batch':
        this.#telemetry.emptyBatch();
        return this.#session.dispatch({ kind: 'empty-batch', gen });
      case 'ask-again':
        return this.#session.dispatch({ kind: 'redial', purpose: 'gap' });
    }
  }
}

function closeText(reason: Reason): string {
  return reason === 'shutdown' ? 'Graceful shutdown' : reason;
}
