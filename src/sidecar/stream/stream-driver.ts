/**
 * The third floor of the sidecar: one event stream from the platform's socket to the consumer's acknowledgement. This
 * file drives it. It never decides whether its replica leads, whether a dial may go, or whether a gap exists: it asks a
 * grant (runtime), its OAuth client (client) and the machines of core. Sockets are `StreamConnection`'s work, order and
 * gaps `Intake`'s, delivery is src/delivery's, records `Checkpointer`'s.
 */

import type { StreamPlan } from '../../config/plan.ts';
import { newerOf, type Checkpoint } from '../../coordination/store.ts';
import { salted } from '../../core/dialing/backoff.ts';
import { downForMs } from '../../core/events/continuity.ts';
import { Outbox, type DispatchMode } from '../../core/events/outbox.ts';
import type { TokenRef } from '../../core/session/session-model.ts';
import { earliest } from '../../core/units.ts';
import type { Delivery, DeliveryPorts } from '../../delivery/delivery-ports.ts';
import { withoutBytes, type Parcel } from '../../delivery/envelope.ts';
import { PullDelivery } from '../../delivery/pull-delivery.ts';
import { PushDelivery } from '../../delivery/push-delivery.ts';
import type { ClientPort, ClientStream } from '../client/client-port.ts';
import { DeadlineTimer } from '../runtime/deadline-timer.ts';
import type { Deps } from '../runtime/environment.ts';
import { Waits } from '../runtime/waits.ts';
import { Checkpointer } from './checkpointer.ts';
import { DeadLetterBox } from './dead-letter-box.ts';
import { gapSnapshot } from './gap-snapshot.ts';
import { Intake } from './intake.ts';
import { LeaseDoubt } from './lease-doubt.ts';
import { StreamConnection, type StreamNote } from './stream-connection.ts';
import { StreamGrant } from './stream-grant.ts';
import { StreamTelemetry } from './stream-telemetry.ts';

/** After the loss of the lease a peer that does not answer our close is cut off. */
const ABANDON_CLOSE_MS = 250;
/** Kept of the time to stop for the last checkpoint; no step of a stop gets less. */
const LAST_WAIT_MS = 100;

/**
 * Drives one stream: one turn asks each stage for its work, in one order, and sets one timer to the earliest of their
 * deadlines. Stages are handed data and `wake`, which makes the turn run soon.
 */
export class StreamDriver implements ClientStream {
  readonly plan: StreamPlan;
  readonly epoch: number;
  readonly outbox: Outbox<Parcel>;
  readonly delivery: Delivery;
  readonly intake: Intake;
  readonly letters: DeadLetterBox;
  readonly connection: StreamConnection;
  readonly client: ClientPort;
  readonly #deps: Deps;
  readonly #checkpointer: Checkpointer;
  readonly #telemetry: StreamTelemetry;
  readonly #timer: DeadlineTimer;
  readonly #waits = new Waits();
  readonly #grant: StreamGrant;
  /** Set while the lease is in doubt: sockets are closed, at once or after a while. */
  readonly leaseDoubt: LeaseDoubt;
  #turnDue = false;
  /** When delivery was pumped last: work that has become due since is a deadline. */
  #turnMs = 0;
  #stopping = false;
  #parkedForLease = false;
  #ended = false;
  #fencedForGood = false;

  constructor(plan: StreamPlan, client: ClientPort, world: Deps) {
    this.plan = plan;
    this.epoch = client.lease.epoch;
    this.client = client;
    this.#grant = new StreamGrant(client.lease);
    // One leader's times are read by another leader: instants of a stream are by the store's clock, which all share.
    const deps = { ...world, nowEpochMs: () => Math.round(world.nowEpochMs() + world.leases.storeAheadMs) };
    this.#deps = deps;
    const wake = (): void => {
      this.#soon();
    };
    this.outbox = new Outbox<Parcel>(plan.outbox, handOverOf(plan), withoutBytes);
    this.leaseDoubt = new LeaseDoubt(plan.profile.streamClass);
    this.#telemetry = new StreamTelemetry(plan, deps);
    this.intake = new Intake(plan, deps, { outbox: this.outbox, epoch: this.epoch, wake });
    this.letters = new DeadLetterBox(plan, deps, this.outbox, (attributes, data, eventId) =>
      this.intake.redrive(attributes, data, eventId),
    );
    this.connection = new StreamConnection(plan, deps, {
      client,
      intake: this.intake,
      outbox: this.outbox,
      telemetry: this.#telemetry,
      wake,
    });
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
      telemetry: this.#telemetry,
      letters: this.letters,
      lease: this.#grant,
      clock: { nowMs: this.#deps.nowMs, unit: () => salted(this.#deps.random(), this.#deps.identity.salt) },
      wake,
    };
    if (push === undefined) return new PullDelivery(plan, this.outbox, ports);
    return new PushDelivery(plan, this.outbox, ports, { push, transport: this.#deps.transports.push(plan, push) });
  }

  /**
   * Loads the checkpoint (or takes our copy, if the store lost it) and begins.
   * @param connected the socket is open already. @param aliveEpochMs until when another leader was there, as far as is
   * known. @throws HoldfastError of the store
   */
  async start(connected: boolean, copy: Checkpoint | undefined, aliveEpochMs: number): Promise<void> {
    const stored = await this.#deps.store.load(this.plan.lease, this.plan.name);
    const checkpoint = newerOf(stored, copy);
    for (const note of this.connection.takeNotes()) this.#note(note);
    if (checkpoint === undefined) this.#checkpointer.fresh();
    else this.#continue(checkpoint, connected, aliveEpochMs);
    this.#grant.begun = true;
    // The mark `drained` goes once a replica connects again.
    if (checkpoint === undefined || checkpoint !== stored || checkpoint.drained === true)
      this.#checkpointer.reopened(true);
    if (!this.plan.suspend && !this.#stopping) this.connection.start();
    this.connection.begin();
    this.#soon();
  }

  /** Goes on from where the last term ended, and notes what may have been missed since. */
  #continue(checkpoint: Checkpoint, connected: boolean, aliveEpochMs: number): void {
    const { drained, ...record } = checkpoint;
    this.intake.restore(checkpoint);
    this.#checkpointer.restored({ ...record, epoch: this.epoch });
    const unbroken = connected && drained === true;
    const byTimeOnly = this.plan.profile.streamClass === 'C' || checkpoint.position === '';
    if (!unbroken && byTimeOnly && checkpoint.settledAtEpochMs > 0) this.intake.holeSince(checkpoint.settledAtEpochMs);
    if (checkpoint.epoch !== this.epoch && this.plan.delivery.control === 'all')
      this.intake.pushControl('leader.changed', {
        stream: this.plan.name,
        from: String(checkpoint.epoch),
        to: String(this.epoch),
      });
    const downMs = downForMs(this.#deps.nowEpochMs(), checkpoint.settledAtEpochMs, aliveEpochMs);
    if (!connected) this.intake.interrupted('restart', downMs);
  }

  /**
   * Connects before the lease is ours, where nothing can be replayed. Events that come wait for the lease. @returns
   * whether the stream is open.
   */
  startEarly(limitMs: number): Promise<boolean> {
    if (this.plan.suspend) return Promise.resolve(true);
    this.connection.start();
    return this.#until(() => this.connection.open, limitMs);
  }

  /** Gives its place to a more important stream: the checkpoint is kept, and the stream queues again. */
  preempted(): void {
    if (this.#stopping || this.connection.state.goal !== 'run') return;
    this.#deps.audit.write('stream.preempted', this.plan.client, { stream: this.plan.name });
    this.connection.park();
    this.connection.start();
  }

  /** Stops dialing and closes politely; entries handed over may still be acknowledged; writes the last checkpoint. */
  async stop(limitMs: number): Promise<void> {
    const endsAt = this.#deps.nowMs() + limitMs;
    const left = (): number => Math.max(LAST_WAIT_MS, endsAt - this.#deps.nowMs());
    this.#stopping = true;
    this.connection.stopping();
    // Only a leader connected to the end can vouch that nothing was missed until then, and knows what the last term
    // left.
    const whole = this.#grant.begun && this.connection.open && !this.intake.holed;
    if (whole) this.intake.unsubscribed();
    this.connection.stop('shutdown');
    const classC = this.plan.profile.streamClass === 'C';
    // Frames sent before the platform saw our close are still on their way: an heir may have connected just after it
    // sent them.
    const closed = classC && (await this.#until(() => this.connection.sockets.count === 0, left() / 3));
    // Events that cannot be replayed and are here already are delivered before the end.
    const finished = closed && !this.connection.endedUnheard && (await this.#finish(left() / 2));
    this.delivery.drain();
    await this.#until(() => this.delivery.idle, left() - LAST_WAIT_MS);
    await this.#until(() => this.#checkpointer.flushed || this.#checkpointer.fenced, left());
    // Events that came after that reached the heir that was connected before, too.
    if (finished && whole) await this.#checkpointer.seal();
    await this.#until(() => this.connection.sockets.count === 0, left());
    this.connection.sockets.terminateAll();
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
   * Ends because another replica leads: nothing more goes to the consumer, sockets are closed. Events that were not
   * acknowledged come again from the new leader.
   */
  abandon(): void {
    this.#stopping = true;
    this.connection.stopping();
    this.connection.stop('lease_lost');
    this.#end();
    this.#deps.schedule.after(ABANDON_CLOSE_MS, () => {
      this.connection.sockets.terminateAll();
    });
  }

  /**
   * Goes on after the lease was in doubt and is still ours. @param storeLostData the store must get our last record
   * again.
   */
  reopen(storeLostData: boolean): void {
    this.leaseDoubt.lift();
    this.#checkpointer.reopened(storeLostData);
    if (this.#parkedForLease && this.connection.state.goal === 'park' && !this.#stopping) this.connection.start();
    this.#parkedForLease = false;
    this.#soon();
  }

  /**
   * Reacts to a lease in doubt: no socket stays open, except for a while where the platform itself evicts the older
   * one.
   */
  shut(): void {
    this.leaseDoubt.lower(this.#deps.nowMs());
    this.#soon();
  }

  get lastCheckpoint(): Checkpoint | undefined {
    return this.#checkpointer.last;
  }
  #parkForLease(): void {
    if (this.connection.state.goal !== 'run') return;
    this.#parkedForLease = true;
    this.connection.park();
  }

  /**
   * Hands nothing more over until the lease was asked about; for ever if it is ours and the store refuses all the same.
   */
  #onFenced(final: boolean): void {
    if (!final) return this.client.lease.doubt();
    this.#fencedForGood = true;
    this.delivery.drain();
    this.connection.stop('fenced');
  }

  /**
   * True when the store refuses its checkpoints for the rest of this term: only another leader goes on with the stream.
   */
  get fencedForGood(): boolean {
    return this.#fencedForGood;
  }

  #end(): void {
    this.#ended = true;
    this.connection.end();
    this.#telemetry.over();
    this.leaseDoubt.lift();
    this.#waits.end();
    this.#timer.clear();
    this.#checkpointer.stop();
    this.letters.close();
    this.delivery.close();
  }

  admitted(token: TokenRef): void {
    this.connection.admitted(token);
  }

  tokenStaged(token: TokenRef): void {
    this.connection.tokenStaged(token);
  }

  get tokenInUse(): string | undefined {
    const { main } = this.connection.state;
    return main?.phase === 'open' ? main.token.id : undefined;
  }

  get #leaseOpen(): boolean {
    return this.client.lease.isOpen(this.#deps.nowMs());
  }

  status(): Record<string, unknown> {
    return this.#telemetry.status({
      session: this.connection.state,
      intake: this.intake,
      outbox: this.outbox,
      delivery: this.delivery,
      checkpointedOrd: this.outbox.storedOrd,
      open: this.#leaseOpen,
      connectionId: this.connection.id,
    });
  }

  // --- the driver ---

  /** Runs the turn once per turn of the event loop, however many frames came. */
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
    this.connection.look();
    for (const note of this.connection.takeNotes()) this.#note(note);
    this.#checkpointer.collect(nowMs);
    for (const { final } of this.#checkpointer.takeNotes()) this.#onFenced(final);
    this.delivery.pump(nowMs);
    this.letters.sweep();
    if (this.leaseDoubt.closes(nowMs)) this.#parkForLease();
    this.connection.regulate();
    if (!this.leaseDoubt.down) this.connection.unpark();
    this.#checkpoint(nowMs);
    this.#telemetry.turn(this.intake, this.outbox);
    this.#waits.look(nowMs);
    this.#arm();
  }

  /** Acts on what the intake noted. */
  #note(note: StreamNote): void {
    switch (note.kind) {
      case 'gap':
        this.#telemetry.gap(note.data);
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
    this.#telemetry.checkpointed(snapshot.item, nowMs);
    this.#checkpointer.write({ ...covering, record }, nowMs);
  }

  #tick(): void {
    this.connection.tick();
    this.intake.tick();
    if (!this.#ended) this.#turn();
  }

  #arm(): void {
    if (this.#ended) return;
    this.#timer.set(
      earliest(
        this.connection.deadline(),
        this.intake.deadline(),
        this.#leaseOpen ? this.delivery.deadline(this.#turnMs) : undefined,
        this.#grant.begun ? this.#checkpointer.deadline() : undefined,
        this.#waits.deadline(),
        this.leaseDoubt.deadline(),
      ),
    );
  }
}

/** Returns how events leave, by mode. */
function handOverOf({ delivery }: StreamPlan): DispatchMode {
  if (delivery.mode === 'Pull') return 'stream';
  return delivery.order === 'stream' ? 'run' : 'key';
}
