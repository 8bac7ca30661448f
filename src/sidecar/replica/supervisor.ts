/**
 * The top floor of the sidecar: one replica, which is one process. This file starts and stops it; beside it are the
 * admin endpoints, the reports for operators and the controller, and the connections' heartbeats. It never acts on a
 * stream itself, and nothing that it reports is needed to deliver: candidacy is leadership's, streams, clients and
 * waiting are the floors below.
 */

import type { ClientPlan } from '../../config/plan.ts';
import type { StoreCondition } from '../../coordination/redis/redis-store.ts';
import { DeadLetterRoutes } from '../../delivery/dead-letter-routes.ts';
import type { ServedStream } from '../../delivery/delivery-server.ts';
import { DeadHints } from './dead-hints.ts';
import type { Deps, Environment } from '../runtime/environment.ts';
import { Election } from '../leadership/election.ts';
import { ConnectionHeartbeats } from './connection-heartbeats.ts';
import { cursorKnown } from '../stream/positions.ts';
import { StoreRefusals } from '../runtime/store-refusals.ts';
import { ClientCandidate } from '../leadership/client-candidate.ts';
import { createInitialSeries } from './initial-series.ts';
import { StoreTrouble } from '../runtime/store-trouble.ts';
import type { StreamDriver } from '../stream/stream-driver.ts';

/**
 * Runs one replica: a candidate for each OAuth client's lease, and the clients that it leads. Starts, stops in order,
 * reports the state.
 */
export class Supervisor {
  readonly #deps: Deps;
  readonly #candidates: readonly ClientCandidate[];
  readonly election: Election;
  readonly #startedEpochMs: number;
  readonly #storeTrouble = new StoreTrouble();
  /** Warnings about the store, and how full it is. */
  storeCondition: StoreCondition = { warnings: [], fill: undefined };
  readonly #heartbeats: ConnectionHeartbeats;
  #stopping = false;

  constructor(plans: readonly ClientPlan[], deps: Environment) {
    this.#deps = {
      ...deps,
      storeTrouble: this.#storeTrouble,
      refusals: new StoreRefusals(deps.log),
    };
    this.#startedEpochMs = deps.nowEpochMs();
    createInitialSeries(deps.metrics, plans);
    this.election = new Election(this.#deps);
    const candidates = plans.map((plan) => new ClientCandidate(plan, this.#deps, this.election));
    for (const candidate of candidates) this.election.enter(candidate);
    this.#candidates = candidates;
    this.#heartbeats = new ConnectionHeartbeats(
      this.#deps,
      () => candidates.flatMap((candidate) => candidate.heartbeats()),
      deps.registryEveryMs,
    );
    const hints = new DeadHints(
      () => candidates.flatMap((candidate) => candidate.heartbeats()),
      (connection) => {
        for (const candidate of candidates) candidate.tearDown(connection);
      },
      deps.nowMs,
    );
    deps.leases.onNotice((notice) => {
      if (notice.kind === 'dead') hints.heard(notice.connection);
    });
  }

  /** Begins in the background; waits for a store that does not answer, and never exits for it. */
  start(): void {
    for (const candidate of this.#candidates) candidate.start();
    this.election.start();
  }

  /**
   * Gives every lease away: no new delivery, acknowledgements are awaited, checkpoints written, sockets closed with
   * 1000.
   */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true;
    for (const candidate of this.#candidates) candidate.stop();
    await this.election.stop(limitMs);
    for (const candidate of this.#candidates) {
      candidate.lost('stopped');
      for (const pull of candidate.pulls.values()) pull.dismiss();
    }
    await this.#heartbeats.stop();
  }

  /**
   * Gives every lease away and stays up, retired, as preStop demands. @returns false when some lease could not be given
   * away.
   */
  async drain(limitMs: number): Promise<boolean> {
    this.#stopping = true;
    for (const candidate of this.#candidates) candidate.stop();
    return this.election.stop(limitMs);
  }

  /** True while this replica leads some client. */
  get leads(): boolean {
    return this.#candidates.some((candidate) => this.election.facts(candidate.lease).role === 'leader');
  }

  /** Hands one client over as planned. @returns false when it is unknown here or not led by this replica. */
  async handOver(client: string): Promise<boolean> {
    const candidate = this.#candidates.find((one) => one.plan.name === client);
    if (candidate === undefined || this.election.facts(candidate.lease).role !== 'leader') return false;
    await this.election.handOver(candidate.lease);
    return this.election.facts(candidate.lease).role !== 'leader';
  }

  /** Returns the streams as the delivery server sees them. */
  served(): ReadonlyMap<string, ServedStream> {
    const out = new Map<string, ServedStream>();
    for (const candidate of this.#candidates) {
      const { epoch } = this.election.facts(candidate.lease);
      for (const { name, delivery } of candidate.plan.streams) {
        const stream = candidate.streams.get(name);
        out.set(name, {
          name,
          epoch: stream?.epoch ?? epoch,
          pull: candidate.pulls.get(name),
          letters: stream === undefined ? undefined : new DeadLetterRoutes(stream.letters),
          maxInFlight: delivery.maxInFlight,
          cursorKnown: (cursor) => stream !== undefined && cursorKnown(cursor, stream.epoch, stream.outbox.lastOrd),
        });
      }
    }
    return out;
  }

  /**
   * True while the process does its work, or will as soon as others let it. A platform outage does not take the pod out
   * of service.
   */
  get ready(): boolean {
    return (
      !this.#stopping &&
      this.#storeTrouble.text === undefined &&
      this.#candidates.every((candidate) => {
        const facts = this.election.facts(candidate.lease);
        return facts.role === 'leader' ? candidate.complete : facts.observed;
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
      broken: Object.fromEntries(this.#candidates.flatMap((candidate) => [...candidate.broken])),
      clients: this.#candidates.map((candidate) => this.#clientStatus(candidate)),
      streams: this.#streams().map(([, stream]) => stream.status()),
    };
  }

  #clientStatus(candidate: ClientCandidate): Record<string, unknown> {
    const facts = this.election.facts(candidate.lease);
    const client = candidate.plan.name;
    this.#deps.metrics.leader.set({ client }, facts.role === 'leader' ? 1 : 0);
    this.#deps.metrics.leaseOpen.set({ client }, facts.open ? 1 : 0);
    this.#deps.metrics.epoch.set({ client }, facts.epoch);
    this.#deps.metrics.leaseRemaining.set({ client }, (facts.remainingMs ?? 0) / 1000);
    const driver = candidate.driver?.status() ?? {
      name: client,
      platform: candidate.plan.platform,
      region: candidate.plan.region,
      token: { state: 'absent' },
      credentials: 'ok',
      breaker: 'closed',
      waiting: [],
    };
    return { ...driver, ...facts, lease: candidate.lease };
  }

  #streams(): readonly (readonly [string, StreamDriver])[] {
    return this.#candidates.flatMap((candidate) => [...candidate.streams]);
  }
}
