import type { ClientPlan } from '../../config/plan.ts';
import type { StoreCondition } from '../../coordination/redis/redis-store.ts';
import { DeadLetters } from '../../delivery/dead-letter-routes.ts';
import type { ServedStream } from '../../delivery/delivery-server.ts';
import { DeadHints } from './dead-hints.ts';
import type { Deps, World } from '../runtime/environment.ts';
import { Election } from '../leadership/election.ts';
import { Heartbeats } from './connection-heartbeats.ts';
import { cursorKnown } from '../stream/positions.ts';
import { Refusals } from '../runtime/store-refusals.ts';
import { Seat } from '../leadership/client-candidate.ts';
import { beginSeries } from './initial-series.ts';
import { StoreTrouble } from '../runtime/store-trouble.ts';
import type { StreamDriver } from '../stream/stream-driver.ts';

/** One replica: a candidate for each OAuth client's lease, and what it leads. Starts, stops in order, tells how things are. */
export class Supervisor {
  readonly #deps: Deps;
  readonly #seats: readonly Seat[];
  readonly election: Election;
  readonly #startedEpochMs: number;
  readonly #storeTrouble = new StoreTrouble();
  /** What about the store is unsafe for us, and how full it is. */
  storeCondition: StoreCondition = { warnings: [], fill: undefined };
  readonly #heartbeats: Heartbeats;
  #stopping = false;

  constructor(plans: readonly ClientPlan[], deps: World) {
    this.#deps = {
      ...deps,
      storeTrouble: this.#storeTrouble,
      refusals: new Refusals(deps.log),
    };
    this.#startedEpochMs = deps.nowEpochMs();
    beginSeries(deps.metrics, plans);
    const seats: Seat[] = plans.map(
      (plan) =>
        new Seat(plan, this.#deps, {
          open: () => this.election.open(plan.lease),
          holder: () => this.election.facts(plan.lease).holder,
          doubt: () => {
            this.election.doubt(plan.lease);
          },
        }),
    );
    this.#seats = seats;
    this.election = new Election(seats, this.#deps);
    this.#heartbeats = new Heartbeats(
      this.#deps,
      () => seats.flatMap((seat) => seat.heartbeats()),
      deps.registryEveryMs,
    );
    const hints = new DeadHints(
      () => seats.flatMap((seat) => seat.heartbeats()),
      (connection) => {
        for (const seat of seats) seat.tearDown(connection);
      },
      deps.nowMs,
    );
    deps.leases.onNotice((notice) => {
      if (notice.kind === 'dead') hints.heard(notice.connection);
    });
  }

  /** Begins in the background; a store that does not answer is waited for, never a reason to exit. */
  start(): void {
    for (const seat of this.#seats) seat.start();
    this.election.start();
  }

  /** Gives every lease away: no new delivery, acknowledgements are awaited, checkpoints written, sockets closed with 1000. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true;
    for (const seat of this.#seats) seat.stop();
    await this.election.stop(limitMs);
    for (const seat of this.#seats) {
      seat.lost('stopped');
      for (const pull of seat.pulls.values()) pull.dismiss();
    }
    await this.#heartbeats.stop();
  }

  /** Gives every lease away and stays up, retired: what preStop asks for. @returns false when something is still held. */
  async drain(limitMs: number): Promise<boolean> {
    this.#stopping = true;
    for (const seat of this.#seats) seat.stop();
    return this.election.stop(limitMs);
  }

  /** This replica leads some client. */
  get leads(): boolean {
    return this.#seats.some((seat) => this.election.facts(seat.lease).role === 'leader');
  }

  /** A planned hand-over of one client. @returns false when it is unknown here or not led by this replica. */
  async handOver(client: string): Promise<boolean> {
    const seat = this.#seats.find((one) => one.plan.name === client);
    if (seat === undefined || this.election.facts(seat.lease).role !== 'leader') return false;
    await this.election.handOver(seat.lease);
    return this.election.facts(seat.lease).role !== 'leader';
  }

  /** The streams as the delivery server sees them. */
  served(): ReadonlyMap<string, ServedStream> {
    const out = new Map<string, ServedStream>();
    for (const seat of this.#seats) {
      const { epoch } = this.election.facts(seat.lease);
      for (const { name, delivery } of seat.plan.streams) {
        const stream = seat.streams.get(name);
        out.set(name, {
          name,
          epoch: stream?.epoch ?? epoch,
          pull: seat.pulls.get(name),
          letters: stream === undefined ? undefined : new DeadLetters(stream.letters),
          maxInFlight: delivery.maxInFlight,
          cursorKnown: (cursor) => stream !== undefined && cursorKnown(cursor, stream.epoch, stream.outbox.lastOrd),
        });
      }
    }
    return out;
  }

  /** Ready: the process does what it is for, or will as soon as others let it. A platform outage does not take the pod out of service. */
  get ready(): boolean {
    return (
      !this.#stopping &&
      this.#storeTrouble.text === undefined &&
      this.#seats.every((seat) => {
        const facts = this.election.facts(seat.lease);
        return facts.role === 'leader' ? seat.complete : facts.observed;
      })
    );
  }

  status(): Record<string, unknown> {
    return {
      identity: {
        pod: this.#deps.identity.pod,
        namespace: this.#deps.identity.namespace,
        uid: this.#deps.identity.uid,
      },
      startedAt: new Date(this.#startedEpochMs).toISOString(),
      ready: this.ready,
      store: { kind: this.#deps.store.kind, trouble: this.#storeTrouble.text, ...this.storeCondition },
      broken: Object.fromEntries(this.#seats.flatMap((seat) => [...seat.broken])),
      clients: this.#seats.map((seat) => this.#clientStatus(seat)),
      streams: this.#streams().map(([, stream]) => stream.status()),
    };
  }

  #clientStatus(seat: Seat): Record<string, unknown> {
    const facts = this.election.facts(seat.lease);
    const client = seat.plan.name;
    this.#deps.metrics.leader.set({ client }, facts.role === 'leader' ? 1 : 0);
    this.#deps.metrics.leaseOpen.set({ client }, facts.open ? 1 : 0);
    this.#deps.metrics.epoch.set({ client }, facts.epoch);
    this.#deps.metrics.leaseRemaining.set({ client }, (facts.remainingMs ?? 0) / 1000);
    const driver = seat.driver?.status() ?? {
      name: client,
      platform: seat.plan.platform,
      region: seat.plan.region,
      token: { state: 'absent' },
      credentials: 'ok',
      breaker: 'closed',
      waiting: [],
    };
    return { ...driver, ...facts, lease: seat.lease };
  }

  #streams(): readonly (readonly [string, StreamDriver])[] {
    return this.#seats.flatMap((seat) => [...seat.streams]);
  }
}
