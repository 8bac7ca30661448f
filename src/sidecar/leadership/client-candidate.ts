import type { ClientPlan, StreamPlan } from '../../config/plan.ts';
import { newerOf, type Checkpoint } from '../../coordination/store.ts';
import type { Heartbeat } from '../../coordination/redis/connection-registry.ts';
import { backoffDelay } from '../../core/dialing/backoff.ts';
import { aliveUntil } from '../../core/events/continuity.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { LeasePolicy } from '../../core/lease/lease.ts';
import { PullDelivery } from '../../delivery/pull-delivery.ts';
import { PullEndpoint } from '../../delivery/pull-endpoint.ts';
import { reachable } from '../../upstream/http-client.ts';
import { OauthClient } from '../client/oauth-client.ts';
import { CredentialTrial } from '../client/credential-trial.ts';
import type { Deps } from '../runtime/environment.ts';
import { LeaseGrant, type HeldLease, type LeaseDoubts } from '../runtime/lease-grant.ts';
import type { Candidate } from './candidate.ts';
import { Fitness, type Unfit } from './fitness.ts';
import { StreamDriver } from '../stream/stream-driver.ts';

/** Spaces a new leader's tries to begin while the store does not answer; they end with its lease. */
const STORE_BACKOFF = { baseMs: 50, multiplier: 2, maxMs: 5000, jitterLow: 0.5, jitterHigh: 1.5 };
/** An heir to whom the platform opens no connection within this time cannot take over. */
const REACH_LIMIT_MS = 1000;
/** An heir's stream that is not open by then does not count as warm. */
const EARLY_LIMIT_MS = 1500;
/** How long they stay open if the lease does not come after all. */
const EARLY_LIFE_MS = 10_000;

/** The services that a candidate gets from the election. */
export interface CandidateElection extends LeaseDoubts {
  /** Returns the record of this lease that the election keeps up to date. */
  held(lease: string): HeldLease;
}

/** One lease's term: while it lasts, the client and its streams are driven; afterwards nothing of them is left. */
interface Term {
  readonly grant: LeaseGrant;
  readonly client: OauthClient;
  readonly streams: Map<string, StreamDriver>;
  /** Set when the term is over: streams that are still being started stop. */
  over: boolean;
  /** Set when the term's lease is being given away: nothing more is begun. */
  draining: boolean;
  /** Streams were connected before the lease was ours. */
  readonly early: boolean;
}

/**
 * Stands for this replica in the election for one OAuth client. While it leads it owns a `Term`: one client driver and
 * one driver per stream.
 */
export class ClientCandidate implements Candidate {
  readonly plan: ClientPlan;
  readonly #deps: Deps;
  readonly #election: CandidateElection;
  readonly #held: HeldLease;
  readonly #fitness: Fitness;
  readonly #trial: CredentialTrial;
  /** Pull endpoints by stream. Consumers that pull stay connected whichever replica leads. */
  readonly pulls: ReadonlyMap<string, PullEndpoint>;
  /** Our last copy of each stream's checkpoint: the second one, should the store lose the first. */
  readonly #copies = new Map<string, Checkpoint>();
  /** When the store first answered that it has no record of a stream: later the same answer may mean that it forgot. */
  readonly #noneAtEpochMs = new Map<string, number>();
  readonly #startedEpochMs: number;
  /** When another replica was seen to have the lease; 0: never. */
  #seenEpochMs = 0;
  /** Until when the last leader was there; 0: not known. */
  #aliveEpochMs = 0;
  #copying = false;
  #copier: NodeJS.Timeout | undefined;
  #term: Term | undefined;
  #warm: Term | undefined;
  /** Streams that cannot be held until an operator intervenes, and why. */
  readonly broken = new Map<string, string>();

  constructor(plan: ClientPlan, deps: Deps, election: CandidateElection) {
    this.plan = plan;
    this.#deps = deps;
    this.#election = election;
    this.#held = election.held(plan.lease);
    this.#startedEpochMs = deps.nowEpochMs();
    this.#trial = new CredentialTrial(plan, deps);
    this.pulls = new Map(
      plan.streams
        .filter((stream) => stream.delivery.push === undefined)
        .map((stream) => [stream.name, new PullEndpoint()]),
    );
    const pulled = plan.streams.filter((stream) => !stream.suspend);
    this.#fitness = new Fitness(plan, deps, () => pulled.every(({ name }) => this.pulls.get(name)?.occupied !== false));
  }

  start(): void {
    this.#fitness.start();
    void this.#copy();
    this.#copier = setInterval(() => {
      if (this.#term === undefined && this.#held.holder !== '') this.#seenEpochMs = this.#deps.nowEpochMs();
      void this.#copy();
      this.#trial.lookForChange().catch((error: unknown) => {
        this.#deps.log.debug({ err: error }, 'credential files cannot be looked at');
      });
    }, this.plan.leasePolicy.renewEveryMs).unref();
  }

  /** Stops looking at the store and the consumers. */
  stop(): void {
    this.#fitness.stop();
    clearInterval(this.#copier);
  }

  /** Reads, as a standby, the checkpoints that it would begin from. */
  async #copy(): Promise<void> {
    if (this.#term !== undefined || this.#copying || this.#deps.registry === undefined) return;
    this.#copying = true;
    // Where one cannot be read its copy stays as it is; the others are read all the same.
    for (const { name } of this.plan.streams)
      await this.#copyOne(name).catch((error: unknown) => {
        this.#deps.log.debug({ err: error, stream: name }, 'the checkpoint could not be copied');
      });
    this.#copying = false;
  }

  async #copyOne(name: string): Promise<void> {
    const askedEpochMs = this.#deps.nowEpochMs();
    const stored = await this.#deps.store.load(this.plan.lease, name);
    const copy = this.#copies.get(name);
    // The store forgot a record of which we have a copy: the next leader must find it.
    if (stored === undefined && copy !== undefined) await this.#deps.store.seed(this.plan.lease, name, copy);
    this.#keep(name, stored);
    if (!this.#copies.has(name) && !this.#noneAtEpochMs.has(name)) this.#noneAtEpochMs.set(name, askedEpochMs);
  }

  #keep(name: string, record: Checkpoint | undefined): void {
    const kept = newerOf(record, this.#copies.get(name));
    if (kept !== undefined) this.#copies.set(name, kept);
  }

  /**
   * Covers a record that we never saw and the store may have lost: makes a record of the instant at which there was
   * none for sure, so that all the time since then is announced.
   */
  #fill(name: string, epoch: number): void {
    if (this.#copies.has(name)) return;
    this.#copies.set(name, {
      schema: 1,
      epoch,
      index: 0,
      position: '',
      era: 0,
      tail: [],
      distinct: 0,
      missing: 0,
      settledAtEpochMs: this.#byStore(this.#noneAtEpochMs.get(name) ?? this.#startedEpochMs),
    });
  }

  /** Converts an instant of our wall clock to the store's clock, by which streams count; 0 stays unknown. */
  #byStore(epochMs: number): number {
    return epochMs === 0 ? 0 : Math.round(epochMs + this.#deps.leases.storeAheadMs);
  }

  get lease(): string {
    return this.plan.lease;
  }

  get client(): string {
    return this.plan.name;
  }

  get policy(): LeasePolicy {
    return this.plan.leasePolicy;
  }

  get fit(): boolean {
    return this.#term === undefined ? this.#fitness.consumerThere : this.unfit() === undefined;
  }

  unfit(): Unfit | undefined {
    const term = this.#term;
    return term === undefined ? undefined : this.#fitness.judge(term.streams, term.client.refusedForMs);
  }

  get refused(): boolean {
    return this.#term === undefined ? this.#trial.refused : this.#term.client.refusedForMs !== undefined;
  }

  get driver(): OauthClient | undefined {
    return this.#term?.client;
  }

  get streams(): ReadonlyMap<string, StreamDriver> {
    return this.#term?.streams ?? NONE;
  }

  /** True while it leads, and every stream was started or is known to be broken. */
  get complete(): boolean {
    return this.#term !== undefined && this.#term.streams.size + this.broken.size >= this.plan.streams.length;
  }

  lead(epoch: number, { how, forgot }: { readonly how: 'acquired' | 'transferred'; readonly forgot: boolean }): void {
    this.#aliveEpochMs = aliveUntil(how, {
      nowEpochMs: this.#deps.nowEpochMs(),
      seenEpochMs: this.#seenEpochMs,
      ttlMs: this.plan.leasePolicy.ttlMs,
    });
    const warm = this.#warm;
    this.#warm = undefined;
    if (warm !== undefined && warm.grant.epoch !== epoch) end(warm);
    const term = warm?.grant.epoch === epoch ? warm : this.#newTerm(epoch, false);
    this.#term = term;
    term.grant.warmedUp();
    this.#fitness.reset();
    // It began without the lease, when nothing could be stored in its name.
    if (term.early) term.client.reopen();
    if (forgot) for (const one of this.plan.streams) this.#fill(one.name, epoch);
    this.#begin(term)
      .then(() => {
        this.#deps.log.info({ client: this.plan.name, epoch, how, streams: term.streams.size }, 'leading');
      })
      .catch((error: unknown) => {
        this.#deps.log.fatal({ err: error, client: this.plan.name }, 'the client could not be started');
      });
  }

  shut(why: string): void {
    this.#deps.log.warn({ client: this.plan.name, why }, 'nothing is delivered until the lease is renewed');
  }

  reopen(storeLostData: boolean): void {
    for (const stream of this.streams.values()) stream.reopen(storeLostData);
    this.#term?.client.reopen();
  }

  closeSockets(): void {
    for (const stream of this.streams.values()) stream.shut();
  }

  lost(why: string): void {
    this.#deps.log.warn({ client: this.plan.name, why }, 'no longer leading');
    for (const [name, stream] of this.streams)
      if (stream.delivery instanceof PullDelivery) this.pulls.get(name)?.unbind(stream.delivery);
    for (const [name, stream] of this.streams) this.#keep(name, stream.lastCheckpoint);
    if (this.refused)
      this.#trial.noteRefusal().catch((error: unknown) => {
        this.#deps.log.debug({ err: error }, 'credential files cannot be looked at');
      });
    if (this.#term !== undefined) {
      this.#seenEpochMs = this.#deps.nowEpochMs();
      end(this.#term, why !== 'stopped');
    }
    this.#term = undefined;
    if (why === 'stopped') this.#dropWarm();
    this.#fitness.reset();
    this.broken.clear();
  }

  /** Returns the open connections, for the registry. */
  heartbeats(): readonly Heartbeat[] {
    const platform = this.plan.platform === 'GenesysCloud' ? 'genesys' : 'cxone';
    const { namespace, pod } = this.#deps.identity;
    return [...this.streams.values()].flatMap((stream) =>
      stream.connection.sockets.heartbeats(stream.connection.state).map((one) => ({
        ...one,
        platform,
        tenantId: this.plan.tenantId,
        client: this.plan.name,
        stream: stream.plan.name,
        pod: `${namespace}/${pod}`,
        epoch: stream.epoch,
      })),
    );
  }

  /** Ends this connection now, if it is one of ours. */
  tearDown(connectionId: string): void {
    for (const stream of this.streams.values()) stream.connection.sockets.terminate(connectionId);
  }

  async drain(limitMs: number): Promise<void> {
    if (this.#term !== undefined) this.#term.draining = true;
    await Promise.all([...this.streams.values()].map((stream) => stream.stop(limitMs)));
  }

  async warm(epoch: number, prove: boolean): Promise<boolean> {
    this.#dropWarm();
    if (!(await reachable(this.plan.hosts.streaming, REACH_LIMIT_MS, this.plan))) return false;
    if (prove && !(await this.#trial.run(epoch))) return false;
    const early = this.plan.streams.filter((stream) => stream.profile.streamClass === 'C');
    if (early.length === 0 || this.#term !== undefined) return this.#term === undefined;
    // A stream that cannot be replayed must be connected before the old leader lets go.
    const term = this.#newTerm(epoch, true);
    // Another offer may have warmed one up while this one's credentials were tried: only one may connect.
    this.#dropWarm();
    this.#warm = term;
    setTimeout(() => {
      if (this.#warm === term) this.#dropWarm();
    }, EARLY_LIFE_MS).unref();
    await term.client.start(this.#trial.proven);
    if (this.#warm !== term) return false;
    for (const one of early) {
      const stream = new StreamDriver(one, term.client, this.#deps);
      term.client.add(stream);
      term.streams.set(one.name, stream);
    }
    const open = await Promise.all([...term.streams.values()].map((stream) => stream.startEarly(EARLY_LIMIT_MS)));
    // Without it the change still comes about, and the gap is announced.
    if (this.#warm === term && !open.every(Boolean)) {
      this.#deps.log.warn(
        { client: this.plan.name, states: [...term.streams.values()].map((stream) => stream.status()['state']) },
        'not connected before the change of leader; a gap will be announced',
      );
      this.#dropWarm();
    }
    return true;
  }

  #dropWarm(): void {
    if (this.#warm !== undefined) end(this.#warm);
    this.#warm = undefined;
  }

  #newTerm(epoch: number, early: boolean): Term {
    const grant = new LeaseGrant(this.plan.lease, this.#held, this.#election, { epoch, warming: early });
    return {
      grant,
      client: new OauthClient(this.plan, this.#deps, grant),
      streams: new Map(),
      over: false,
      draining: false,
      early,
    };
  }

  async #begin(term: Term): Promise<void> {
    const proven = this.#trial.take();
    if (!term.early) await term.client.start(proven);
    await Promise.all(this.plan.streams.map((one) => this.#beginStream(term, one)));
  }

  /** Begins one stream. A stream that cannot start leaves the others alone. */
  async #beginStream(term: Term, one: StreamPlan): Promise<void> {
    const early = term.streams.get(one.name);
    const stream = early ?? new StreamDriver(one, term.client, this.#deps);
    if (early === undefined) term.client.add(stream);
    try {
      const started = await this.#patiently(term, () =>
        stream.start(early !== undefined, this.#copies.get(one.name), this.#byStore(this.#aliveEpochMs)),
      );
      if (!started || term.over || term.draining) return stream.abandon();
      term.streams.set(one.name, stream);
      if (stream.delivery instanceof PullDelivery) this.pulls.get(one.name)?.bind(stream.delivery);
    } catch (error) {
      stream.abandon();
      term.streams.delete(one.name);
      this.broken.set(one.name, error instanceof HoldfastError ? error.code : 'internal');
      this.#deps.log.fatal({ err: error, stream: one.name }, 'the stream could not be started');
    }
  }

  /** Tries until the store answers or the term is over. Does not wait for a store whose content cannot be used. */
  async #patiently(term: Term, work: () => Promise<void>): Promise<boolean> {
    for (let attempt = 0; !term.over && !term.draining; attempt += 1) {
      try {
        await work();
        this.#deps.storeTrouble.over('streams');
        return true;
      } catch (error) {
        if (!(error instanceof HoldfastError) || error.disposition !== 'retry') throw error;
        this.#deps.storeTrouble.note('streams', error);
        if (attempt === 0)
          this.#deps.log.warn({ err: error, client: this.plan.name }, 'the store does not answer; waiting for it');
        await new Promise((resolve) => setTimeout(resolve, backoffDelay(STORE_BACKOFF, attempt, this.#deps.random())));
      }
    }
    this.#deps.storeTrouble.over('streams');
    return false;
  }
}

const NONE: ReadonlyMap<string, StreamDriver> = new Map();

/** @param keep another replica goes on with the streams. */
function end(term: Term, keep = true): void {
  term.over = true;
  term.grant.end();
  for (const stream of term.streams.values()) stream.abandon();
  term.client.stop(keep);
}
