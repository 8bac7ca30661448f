/**
 * The fourth floor of the sidecar: which replica acts for which OAuth client. This file drives the lease machines of
 * core; beside it are a client's candidacy with its terms, the judgement whether a replica can lead, hand-overs and the
 * watchdog. It never decides by a clock of its own (core/lease does) and never touches an event: streams and clients
 * run on the floors below, locks and members are the store's.
 */

import type { LeaseFacts, Leases, Notice, SelfReport, Sighting } from '../../coordination/leases.ts';
import { rankOf } from '../../core/lease/candidate-ranking.ts';
import { HoldfastError } from '../../core/errors.ts';
import { leaseDeadline, stepLease, type LeaseEffect, type LeaseInput } from '../../core/lease/lease.ts';
import { unreachable } from '../../core/step.ts';
import { earliest } from '../../core/units.ts';
import { DeadlineTimer } from '../runtime/deadline-timer.ts';
import type { Deps } from '../runtime/environment.ts';
import type { HeldLease } from '../runtime/lease-grant.ts';
import type { Candidate } from './candidate.ts';
import { HandOvers, type HandOverPort } from './hand-overs.ts';
import { LeaseBalance } from './lease-balance.ts';
import { LeaseCalls, type LeaseAnswers } from './lease-calls.ts';
import {
  aliveMembers,
  commit,
  goneMembers,
  newEntry,
  noteMembers,
  type HeldRecord,
  type LeaseEntry,
} from './lease-entry.ts';
import { leaseStatus, handingOver } from './lease-status.ts';

const LINK_WORDS = {
  lost: 'Redis does not answer: the connection was lost, or could not be opened',
  refused: 'Redis does not answer: the connection was refused, nothing listens there',
} as const;

/** Renewals due within this share of their period go in one call. */
const SLACK_SHARE = 0.25;
/** Kept back from a drain for the last checkpoint and the close. */
const DRAIN_MARGIN_MS = 800;

/**
 * Drives the lease machines of one replica: one timer, effects in order, looks and renewals of all leases in one call
 * each. The right to act in a lease's name is written with each state, and asked at each use (`LeaseGrant`).
 */
export class Election implements LeaseAnswers, HandOverPort {
  readonly #leases: Leases;
  readonly #deps: Deps;
  /** The id of this replica. */
  readonly own: string;
  readonly #entries = new Map<string, LeaseEntry>();
  readonly #held = new Map<string, HeldRecord>();
  readonly #timer: DeadlineTimer;
  readonly #calls: LeaseCalls;
  readonly #handOvers: HandOvers;
  readonly #balance: LeaseBalance;
  stopping = false;
  #watched: number | undefined;
  /** Called after every step with the earliest deadline of an open lease, for the watchdog. */
  onDeadline: (deadlineMs: number | undefined) => void = () => undefined;

  constructor(deps: Deps) {
    this.#leases = deps.leases;
    this.#deps = deps;
    const { namespace, pod, uid } = deps.identity;
    this.own = `${namespace}/${pod}/${uid}`;
    this.#timer = new DeadlineTimer(deps.schedule, () => {
      this.#tick();
    });
    this.#calls = new LeaseCalls(this.#leases, deps, this);
    this.#handOvers = new HandOvers(this.#leases, deps, this);
    this.#balance = new LeaseBalance(this.#entries, deps, this, this.#handOvers);
  }

  start(): void {
    this.#leases.onNotice((notice) => {
      this.#onNotice(notice);
    });
    this.#leases.onLink((state) => {
      if (state === 'up') this.#deps.storeTrouble.over('lease');
      else this.#deps.storeTrouble.note('lease', new HoldfastError('HF_STORE_UNAVAILABLE', LINK_WORDS[state]));
      for (const entry of this.#entries.values()) this.dispatch(entry, { kind: 'link', state });
    });
    this.#balance.start();
  }

  /** Returns the record of until when this replica may act in a lease's name; the same object for good. */
  held(lease: string): HeldLease {
    return this.#heldOf(lease);
  }

  /** Takes part in the election for the candidate's lease; to be called before `start`. */
  enter(candidate: Candidate): void {
    const held = this.#heldOf(candidate.lease);
    this.#entries.set(candidate.lease, newEntry(candidate, held, this.#deps.nowMs()));
  }

  #heldOf(lease: string): HeldRecord {
    const held = this.#held.get(lease) ?? { epoch: 0, openUntilMs: -Infinity, holder: '' };
    this.#held.set(lease, held);
    return held;
  }

  /**
   * Gives all leases away and takes no others. Resolves when nothing is held, or after `limitMs`. @returns whether
   * nothing is held.
   */
  async stop(limitMs: number): Promise<boolean> {
    this.stopping = true;
    this.#balance.stop();
    await Promise.race([
      Promise.all(
        [...this.#entries.values()].map((entry) => this.#handOvers.giveUp(entry, { final: true, limitMs })),
      ).then(() => this.#calls.answered()),
      new Promise((resolve) => {
        setTimeout(resolve, limitMs).unref();
      }),
    ]);
    // A lease that could not be given away in time is still watched: its deadline must be kept.
    const held = [...this.#entries.values()].some((entry) => entry.state.role.kind === 'leading');
    if (!held) this.#timer.clear();
    // the list forgets us by itself
    await this.#leases.leave([...this.#entries.keys()], this.own).catch(() => undefined);
    return !held;
  }

  /** Hands one lease over as planned, if another replica can take it. Resolves when it is done or given up. */
  async handOver(lease: string): Promise<void> {
    const entry = this.#entries.get(lease);
    if (entry !== undefined) await this.#handOvers.giveUp(entry, { final: false });
  }

  /** Has the lease asked about: the store refused a call that only the leader may make. */
  doubt(lease: string): void {
    this.#with(lease, (entry) => {
      this.dispatch(entry, { kind: 'doubt' });
    });
  }

  /** Returns what `/status` and the metrics show of a lease. */
  facts(lease: string): LeaseFacts {
    const { own } = this;
    const nowMs = this.#deps.nowMs();
    const entry = this.#entries.get(lease);
    const known =
      entry === undefined
        ? undefined
        : { ...entry, alive: aliveMembers(entry, own, nowMs), gone: goneMembers(entry, own, nowMs) };
    return leaseStatus(known, { own, lease, nowMs });
  }

  // --- the driver ---

  /** Feeds one lease's machine and performs its effects, in order. */
  dispatch(entry: LeaseEntry, input: LeaseInput): void {
    if (input.kind === 'renewed' || input.kind === 'acquired') this.#deps.storeTrouble.over('lease');
    const wasHandingOver = handingOver(entry.state);
    const step = stepLease(entry.candidate.policy, entry.state, input, this.#deps.nowMs());
    commit(entry, step.state, this.own);
    for (const effect of step.effects) this.#perform(entry, effect);
    if (wasHandingOver && !handingOver(entry.state)) this.#handOvers.ended(entry.candidate.lease);
    this.#arm();
  }

  #perform(entry: LeaseEntry, effect: LeaseEffect): void {
    const { candidate } = entry;
    const { lease, policy } = candidate;
    switch (effect.kind) {
      case 'observe':
        return this.#calls.look(lease);
      case 'renew':
        return this.#calls.renew(lease, effect, policy.ttlMs);
      case 'prove':
        return this.#calls.prove(lease, effect);
      case 'acquire':
        return this.#calls.acquire(lease, effect, policy.ttlMs);
      case 'break':
        return this.#calls.break(lease, effect);
      case 'release':
        return this.#calls.release(lease, effect);
      case 'offer':
        return this.#calls.tell({
          kind: 'offer',
          lease,
          heir: effect.heir,
          epoch: effect.nextEpoch,
          prove: entry.proving,
        });
      case 'transfer':
        return this.#calls.transfer(lease, effect, policy.ttlMs);
      case 'drain':
        return this.#drain(entry, effect.limitMs);
      case 'lead':
        return this.#onLead(entry, effect);
      case 'shut':
        this.audit(entry, 'lease.shut', { why: effect.why });
        return candidate.shut(effect.why);
      case 'reopen':
        this.audit(entry, 'lease.reopened', { storeLostData: effect.storeLostData });
        return candidate.reopen(effect.storeLostData);
      case 'close-sockets':
        return candidate.closeSockets();
      case 'lost':
        return this.#onLost(entry, effect.why);
      case 'quarantined':
        return this.#deps.log.info(
          { client: candidate.client, why: effect.why, forMs: Math.round(effect.untilMs - this.#deps.nowMs()) },
          'waiting one lease before taking over: the last holder may still act',
        );
      default:
        return unreachable(effect);
    }
  }

  #onLead(entry: LeaseEntry, effect: Extract<LeaseEffect, { kind: 'lead' }>): void {
    this.audit(entry, 'leader.changed', {
      to: this.own,
      from: entry.previous,
      epoch: String(effect.epoch),
      how: effect.how,
    });
    this.#deps.metrics.leaderChanges.inc({ client: entry.candidate.client });
    entry.movedAtMs = this.#deps.nowMs();
    entry.kept = undefined;
    entry.candidate.lead(effect.epoch, effect);
  }

  #onLost(entry: LeaseEntry, why: string): void {
    this.audit(entry, 'lease.lost', { why });
    entry.candidate.lost(why);
  }

  #drain(entry: LeaseEntry, limitMs: number): void {
    const { role } = entry.state;
    const epoch = role.kind === 'leading' ? role.epoch : 0;
    entry.candidate.drain(Math.max(limitMs / 2, limitMs - DRAIN_MARGIN_MS)).then(
      () => {
        this.dispatch(entry, { kind: 'drained', epoch });
      },
      (error: unknown) => {
        this.#deps.log.error({ err: error, client: entry.candidate.client }, 'the drain failed');
        this.dispatch(entry, { kind: 'drained', epoch });
      },
    );
  }

  // --- what the store answers ---

  answered(lease: string, input: LeaseInput): void {
    this.#with(lease, (entry) => {
      this.dispatch(entry, input);
    });
  }

  failed(lease: string, error: unknown, input: LeaseInput): void {
    this.#with(lease, (entry) => {
      this.#trouble(entry, error);
      this.dispatch(entry, input);
    });
  }

  broken(lease: string, why: string): void {
    this.#with(lease, (entry) => {
      this.audit(entry, 'lease.broken', { why, holder: entry.holder });
    });
  }

  handedOver(lease: string, heir: string, epoch: number): void {
    this.#with(lease, (entry) => {
      entry.lastHandOver = { at: new Date(this.#deps.nowEpochMs()).toISOString(), to: heir };
      this.audit(entry, 'lease.handed_over', { to: heir, epoch: String(epoch) });
    });
  }

  seen(lease: string, sighting: Sighting, sentAtMs: number): void {
    this.#with(lease, (entry) => {
      this.#seen(entry, sighting, sentAtMs);
    });
  }

  #seen(entry: LeaseEntry, sighting: Sighting, sentAtMs: number): void {
    this.#deps.storeTrouble.over('lease');
    const nowMs = this.#deps.nowMs();
    noteMembers(entry, sighting, nowMs);
    entry.holder = sighting.holder;
    if (sighting.holder !== this.own) entry.previous = sighting.holder;
    const others = aliveMembers(entry, this.own, nowMs).filter(
      (member) => member.id !== sighting.holder || member.id === this.own,
    );
    const rank = rankOf(this.own, entry.candidate.lease, others);
    this.dispatch(entry, { kind: 'observed', view: sighting.view, sentAtMs, rank, unit: this.#deps.random() });
  }

  // --- notices, hand-over, balance ---

  #onNotice(notice: Notice): void {
    if (notice.kind === 'dead') return;
    const entry = this.#entries.get(notice.lease);
    if (entry === undefined) return;
    switch (notice.kind) {
      case 'changed':
        return this.dispatch(entry, { kind: 'notice', unit: this.#deps.random() });
      case 'offer':
        if (notice.heir === this.own && !this.stopping) this.#handOvers.accept(entry, notice);
        return;
      case 'warm':
        return this.dispatch(entry, { kind: 'warm', heir: notice.heir, token: notice.token });
      case 'hand-over':
        if (entry.state.role.kind === 'leading' && entry.state.role.epoch === notice.epoch)
          void this.handOver(notice.lease);
    }
  }

  async refresh(entry: LeaseEntry): Promise<void> {
    try {
      const sighting = (await this.#leases.observe([entry.candidate.lease], this.self())).get(entry.candidate.lease);
      if (sighting !== undefined) noteMembers(entry, sighting, this.#deps.nowMs());
    } catch (error) {
      this.#trouble(entry, error);
    }
  }

  /** Returns what this replica reports of itself with every call. */
  self(): SelfReport {
    const entries = [...this.#entries.values()];
    return {
      id: this.own,
      revision: this.#deps.identity.revision,
      load: entries.filter((entry) => entry.state.role.kind === 'leading').length,
      ready: entries.every((entry) => entry.candidate.fit) && !this.stopping,
      refusedLeases: entries.filter(({ candidate }) => candidate.refused).map(({ candidate }) => candidate.lease),
    };
  }

  #tick(): void {
    const now = this.#deps.nowMs();
    for (const entry of this.#entries.values()) {
      const slackMs = entry.candidate.policy.renewEveryMs * SLACK_SHARE;
      const dueMs = leaseDeadline(entry.state);
      if (dueMs !== undefined && dueMs <= now + slackMs)
        this.dispatch(entry, { kind: 'tick', unit: this.#deps.random(), slackMs });
    }
    this.#arm();
  }

  #with(lease: string, work: (entry: LeaseEntry) => void): void {
    const entry = this.#entries.get(lease);
    if (entry !== undefined) work(entry);
  }

  #arm(): void {
    let open: number | undefined;
    let next: number | undefined;
    for (const { state } of this.#entries.values()) {
      if (state.role.kind === 'leading' && (state.role.open || (state.role.started && !state.role.socketsClosed)))
        open = earliest(open, state.role.deadlineMs);
      next = earliest(next, leaseDeadline(state));
    }
    if (open !== this.#watched) this.onDeadline(open);
    this.#watched = open;
    this.#timer.set(next);
  }

  #trouble(entry: LeaseEntry, error: unknown): void {
    this.#deps.storeTrouble.note('lease', error);
    this.#deps.log.debug({ err: error, client: entry.candidate.client }, 'the store did not answer about the lease');
  }

  audit(
    entry: LeaseEntry,
    event: Parameters<Deps['audit']['write']>[0],
    fields: Readonly<Record<string, unknown>>,
  ): void {
    this.#deps.audit.write(event, entry.candidate.client, { lease: entry.candidate.lease, ...fields });
  }
}
