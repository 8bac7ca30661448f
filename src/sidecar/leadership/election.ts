import type { LeaseFacts, Leases, Notice, SelfReport, Sighting } from '../../coordination/leases.ts';
import { HoldfastError } from '../../core/errors.ts';
import {
  leaseDeadline,
  leaseOpenUntil,
  newLease,
  stepLease,
  type LeaseEffect,
  type LeaseInput,
  type LeaseState,
} from '../../core/lease/lease.ts';
import { noEscape, stepEscape, type EscapeState } from '../../core/lease/escape.ts';
import { alive, heirsOf, rankOf, toGiveAway, type Member } from '../../core/lease/candidate-ranking.ts';
import { unreachable } from '../../core/step.ts';
import { earliest } from '../../core/units.ts';
import type { Candidate } from './candidate.ts';
import type { Deps } from '../runtime/environment.ts';
import type { HeldLease } from '../runtime/lease-grant.ts';
import type { Unfit } from './fitness.ts';
import { LeaseCalls } from './lease-calls.ts';
import { leaseStatus, handingOver } from './lease-status.ts';
import { DeadlineTimer } from '../runtime/deadline-timer.ts';

const LINK_WORDS = {
  lost: 'Redis does not answer: the connection was lost, or could not be opened',
  refused: 'Redis does not answer: the connection was refused, nothing listens there',
} as const;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Entry {
  readonly candidate: Candidate;
  readonly held: Writable<HeldLease>;
  state: LeaseState;
  members: readonly Member[];
  holder: string;
  /** Who held it before us. */
  previous: string;
  lastHandOver: { readonly at: string; readonly to: string } | undefined;
  movedAtMs: number;
  /** The store's clock at the last look at the members, and ours. */
  seenAt: { readonly storeMs: number; readonly nowMs: number };
  /** Hand-overs tried because this replica was unfit. */
  escape: EscapeState;
  /** The last one was in vain: why it was tried, and how many were asked. */
  kept: { readonly why: Unfit; readonly asked: number } | undefined;
  /** Heirs are to prove their credentials: ours are refused. */
  proving: boolean;
}

/** Renewals due within this share of their period go in one call. */
const SLACK_SHARE = 0.25;
/** How often a leader asks itself whether it can do its work. */
const FITNESS_EVERY_MS = 1000;
/** How often a leader looks who takes part, as a share of the ttl. */
const LOOK_SHARE = 0.5;
/** Of the time there is to stop: until then an heir is looked for, and so much is left for acknowledgements. */
const OFFER_SHARE = 0.4;
const DRAIN_SHARE = 0.4;
/** Kept back from a drain for the last checkpoint and the close. */
const DRAIN_MARGIN_MS = 800;
const REBALANCE_EVERY_MS = 30_000;
/** A lease that moved stays where it is for this long, and nothing moves while somebody is this new. */
const REST_AFTER_MOVE_MS = 600_000;
const SETTLE_MS = 60_000;

/**
 * Drives the lease machines of one replica: one timer, effects in order, looks and renewals of all leases in one call
 * each. Whether anything may be done in a lease's name is asked with `open` at each use; no timer decides it.
 */
export class Election {
  readonly #leases: Leases;
  readonly #deps: Deps;
  readonly #entries = new Map<string, Entry>();
  readonly #held = new Map<string, Writable<HeldLease>>();
  readonly #timer: DeadlineTimer;
  readonly #done = new Map<string, (() => void)[]>();
  readonly #calls: LeaseCalls;
  /** Asked, not answered: an answer may have to be acted on, also at the end. */
  readonly #asked = new Set<Promise<unknown>>();
  #stopping = false;
  #rebalancer: NodeJS.Timeout | undefined;
  #watcher: NodeJS.Timeout | undefined;
  #watched: number | undefined;
  #lookingAtMembers = false;
  /** Called after every step with the earliest deadline of an open lease; the guard watches it. */
  onDeadline: (deadlineMs: number | undefined) => void = () => undefined;

  constructor(deps: Deps) {
    this.#leases = deps.leases;
    this.#deps = deps;
    this.#timer = new DeadlineTimer(deps.schedule, () => {
      this.#tick();
    });
    this.#calls = new LeaseCalls(this.#leases, deps, {
      self: () => this.#self(),
      answered: (lease, input) => {
        this.#with(lease, (entry) => {
          this.#dispatch(entry, input);
        });
      },
      seen: (lease, sighting, sentAtMs) => {
        this.#with(lease, (entry) => {
          this.#seen(entry, sighting, sentAtMs);
        });
      },
      failed: (lease, error, input) => {
        this.#with(lease, (entry) => {
          this.#trouble(entry, error);
          this.#dispatch(entry, input);
        });
      },
    });
  }

  start(): void {
    this.#leases.onNotice((notice) => {
      this.#onNotice(notice);
    });
    this.#leases.onLink((state) => {
      if (state === 'up') this.#deps.storeTrouble.over('lease');
      else this.#deps.storeTrouble.note('lease', new HoldfastError('HF_STORE_UNAVAILABLE', LINK_WORDS[state]));
      for (const entry of this.#entries.values()) this.#dispatch(entry, { kind: 'link', state });
    });
    this.#rebalancer = setInterval(
      () => {
        this.#rebalance();
      },
      REBALANCE_EVERY_MS * (0.9 + this.#deps.random() * 0.2),
    );
    this.#rebalancer.unref();
    this.#watcher = setInterval(() => {
      this.#lookAtMembers();
      this.#escape();
    }, FITNESS_EVERY_MS);
    this.#watcher.unref();
  }

  /** Returns the record that says until when this replica may act in a lease's name; one object for good. */
  held(lease: string): HeldLease {
    return this.#heldOf(lease);
  }

  /** Takes part in the election for the candidate's lease; to be called before `start`. */
  enter(candidate: Candidate): void {
    this.#entries.set(candidate.lease, {
      candidate,
      held: this.#heldOf(candidate.lease),
      state: newLease,
      members: [],
      holder: '',
      previous: '',
      lastHandOver: undefined,
      movedAtMs: -Infinity,
      seenAt: { storeMs: 0, nowMs: this.#deps.nowMs() },
      escape: noEscape,
      kept: undefined,
      proving: false,
    });
  }

  #heldOf(lease: string): Writable<HeldLease> {
    const held = this.#held.get(lease) ?? { epoch: 0, openUntilMs: -Infinity, holder: '' };
    this.#held.set(lease, held);
    return held;
  }

  /**
   * Gives all leases away and takes no others. Resolves when nothing is held, or after `limitMs`. @returns whether
   * nothing is held.
   */
  async stop(limitMs: number): Promise<boolean> {
    this.#stopping = true;
    clearInterval(this.#rebalancer);
    clearInterval(this.#watcher);
    await Promise.race([
      Promise.all([...this.#entries.values()].map(async (entry) => this.#giveUp(entry, { final: true, limitMs }))).then(
        () => this.#answered(),
      ),
      new Promise((resolve) => {
        setTimeout(resolve, limitMs).unref();
      }),
    ]);
    // What could not be given away in time is still watched: its deadline must be kept.
    const held = [...this.#entries.values()].some((entry) => entry.state.role.kind === 'leading');
    if (!held) this.#timer.clear();
    // the list forgets us by itself
    await this.#leases.leave([...this.#entries.keys()], this.#self().id).catch(() => undefined);
    return !held;
  }

  /** A planned hand-over of one lease, if somebody can take it. Resolves when it is done or given up. */
  async handOver(lease: string): Promise<void> {
    const entry = this.#entries.get(lease);
    if (entry !== undefined) await this.#giveUp(entry, { final: false });
  }

  /** The store refused what only the leader may do. */
  doubt(lease: string): void {
    this.#with(lease, (entry) => {
      this.#dispatch(entry, { kind: 'doubt' });
    });
  }

  /** What `/status` and the metrics show of a lease. */
  facts(lease: string): LeaseFacts {
    const entry = this.#entries.get(lease);
    return leaseStatus(
      entry === undefined ? undefined : { ...entry, alive: this.#alive(entry), gone: this.#gone(entry) },
      {
        own: this.#self().id,
        lease,
        nowMs: this.#deps.nowMs(),
      },
    );
  }

  // --- the driver ---

  #dispatch(entry: Entry, input: LeaseInput): void {
    if (input.kind === 'renewed' || input.kind === 'acquired') this.#deps.storeTrouble.over('lease');
    const wasHandingOver = handingOver(entry.state);
    const step = stepLease(entry.candidate.policy, entry.state, input, this.#deps.nowMs());
    this.#commit(entry, step.state);
    for (const effect of step.effects) this.#perform(entry, effect);
    if (wasHandingOver && !handingOver(entry.state))
      for (const done of this.#done.get(entry.candidate.lease)?.splice(0) ?? []) done();
    this.#arm();
  }

  /** The one place that writes a state, and with it what may be done in the lease's name. */
  #commit(entry: Entry, state: LeaseState): void {
    entry.state = state;
    const { role } = state;
    entry.held.epoch = role.kind === 'leading' ? role.epoch : 0;
    entry.held.openUntilMs = leaseOpenUntil(state);
    entry.held.holder = role.kind === 'leading' && role.started ? this.#self().id : entry.holder;
  }

  #perform(entry: Entry, effect: LeaseEffect): void {
    const { candidate } = entry;
    switch (effect.kind) {
      case 'observe':
        return this.#calls.look(candidate.lease);
      case 'renew':
        return this.#calls.renew(candidate.lease, effect, candidate.policy.ttlMs);
      case 'prove':
        return this.#calls.prove(candidate.lease, effect.conn);
      case 'acquire':
        return this.#acquire(entry, effect);
      case 'break':
        return this.#ask(
          this.#leases.break(candidate.lease, {
            token: effect.token,
            conn: effect.why === 'no_renewal' ? undefined : effect.conn,
            beat: effect.beat,
          }),
          (done) => {
            // Refused: somebody newer is there, or was faster. The next look tells.
            if (!done) return;
            this.#audit(entry, 'lease.broken', { why: effect.why, holder: entry.holder });
            this.#dispatch(entry, { kind: 'broken' });
          },
        );
      case 'release':
        this.#calls.forget(candidate.lease);
        return this.#ask(this.#leases.release(candidate.lease, effect.token), () => undefined);
      case 'offer':
        return this.#ask(
          this.#leases.publish({
            kind: 'offer',
            lease: candidate.lease,
            heir: effect.heir,
            epoch: effect.nextEpoch,
            prove: entry.proving,
          }),
          () => undefined,
        );
      case 'drain':
        return this.#drain(entry, effect.limitMs);
      case 'transfer':
        return this.#transfer(entry, effect);
      case 'lead':
        return this.#onLead(entry, effect);
      case 'shut':
        this.#audit(entry, 'lease.shut', { why: effect.why });
        return candidate.shut(effect.why);
      case 'reopen':
        this.#audit(entry, 'lease.reopened', { storeLostData: effect.storeLostData });
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

  #onLead(entry: Entry, effect: Extract<LeaseEffect, { kind: 'lead' }>): void {
    this.#audit(entry, 'leader.changed', {
      to: this.#self().id,
      from: entry.previous,
      epoch: String(effect.epoch),
      how: effect.how,
    });
    this.#deps.metrics.leaderChanges.inc({ client: entry.candidate.client });
    entry.movedAtMs = this.#deps.nowMs();
    entry.kept = undefined;
    entry.candidate.lead(effect.epoch, effect);
  }

  #onLost(entry: Entry, why: string): void {
    this.#audit(entry, 'lease.lost', { why });
    entry.candidate.lost(why);
  }

  #acquire(
    entry: Entry,
    { gen, incarnation, fenceToken, beat, floor }: Extract<LeaseEffect, { kind: 'acquire' }>,
  ): void {
    const { lease, policy } = entry.candidate;
    this.#ask(
      this.#leases.acquire(lease, { ttlMs: policy.ttlMs, incarnation, fenceToken, beat, floor }, this.#self()),
      (answer) => {
        this.#dispatch(
          entry,
          answer.kind === 'won'
            ? { ...answer, kind: 'acquired', gen, unit: this.#deps.random() }
            : { kind: 'not-acquired', gen, why: answer.kind },
        );
      },
      (error: unknown) => {
        this.#trouble(entry, error);
        this.#dispatch(entry, { kind: 'not-acquired', gen, why: 'failed' });
      },
    );
  }

  #drain(entry: Entry, limitMs: number): void {
    const { role } = entry.state;
    const epoch = role.kind === 'leading' ? role.epoch : 0;
    entry.candidate.drain(Math.max(limitMs / 2, limitMs - DRAIN_MARGIN_MS)).then(
      () => {
        this.#dispatch(entry, { kind: 'drained', epoch });
      },
      (error: unknown) => {
        this.#deps.log.error({ err: error, client: entry.candidate.client }, 'the drain failed');
        this.#dispatch(entry, { kind: 'drained', epoch });
      },
    );
  }

  #transfer(
    entry: Entry,
    { token, epoch, nextEpoch, heir, heirToken }: Extract<LeaseEffect, { kind: 'transfer' }>,
  ): void {
    this.#leases
      .transfer(
        entry.candidate.lease,
        { token, epoch },
        { heir, token: heirToken, epoch: nextEpoch },
        entry.candidate.policy.ttlMs,
      )
      .then(
        (ok) => {
          if (ok) entry.lastHandOver = { at: new Date(this.#deps.nowEpochMs()).toISOString(), to: heir };
          if (ok) this.#audit(entry, 'lease.handed_over', { to: heir, epoch: String(nextEpoch) });
          this.#dispatch(entry, { kind: 'transferred', epoch, ok });
        },
        (error: unknown) => {
          this.#trouble(entry, error);
          this.#dispatch(entry, { kind: 'transferred', epoch, ok: false });
        },
      );
  }

  #seen(entry: Entry, sighting: Sighting, sentAtMs: number): void {
    this.#deps.storeTrouble.over('lease');
    const { lease } = entry.candidate;
    this.#noteMembers(entry, sighting);
    entry.holder = sighting.holder;
    if (sighting.holder !== this.#self().id) entry.previous = sighting.holder;
    const own = this.#self().id;
    const rank = rankOf(
      own,
      lease,
      this.#alive(entry).filter((member) => member.id !== sighting.holder || member.id === own),
    );
    this.#dispatch(entry, { kind: 'observed', view: sighting.view, sentAtMs, rank, unit: this.#deps.random() });
  }

  // --- notices, hand-over, balance ---

  #onNotice(notice: Notice): void {
    if (notice.kind === 'dead') return;
    const entry = this.#entries.get(notice.lease);
    if (entry === undefined) return;
    switch (notice.kind) {
      case 'changed':
        return this.#dispatch(entry, { kind: 'notice', unit: this.#deps.random() });
      case 'offer':
        if (notice.heir === this.#self().id && !this.#stopping) this.#accept(entry, notice);
        return;
      case 'warm':
        return this.#dispatch(entry, { kind: 'warm', heir: notice.heir, token: notice.token });
      case 'hand-over':
        if (entry.state.role.kind === 'leading' && entry.state.role.epoch === notice.epoch)
          void this.handOver(notice.lease);
    }
  }

  /** We are to be the heir: make ready, then say which token the transfer is to name. */
  #accept(entry: Entry, { epoch, prove }: { readonly epoch: number; readonly prove: boolean }): void {
    const { lease } = entry.candidate;
    entry.candidate
      .warm(epoch, prove)
      .then(async (ready) => {
        // Meanwhile we may have been told to stop, or lead already.
        if (!ready || this.#stopping || entry.state.role.kind !== 'standby') return;
        // The same token for a second offer: the first answer may still be on its way.
        const { expecting } = entry.state;
        const token =
          expecting !== undefined && expecting.untilMs > this.#deps.nowMs()
            ? expecting.token
            : this.#deps.randomId() + this.#deps.randomId();
        this.#dispatch(entry, { kind: 'accepted', token });
        await this.#leases.publish({ kind: 'warm', lease, heir: this.#self().id, token });
      })
      .catch((error: unknown) => {
        this.#deps.log.warn({ err: error, client: entry.candidate.client }, 'not ready to take over');
      });
  }

  /** `why`: this replica cannot do the work itself. @returns how many were asked. */
  async #giveUp(
    entry: Entry,
    { final, limitMs = Infinity, why }: { readonly final: boolean; readonly limitMs?: number; readonly why?: Unfit },
  ): Promise<number> {
    const { lease } = entry.candidate;
    if (entry.state.role.kind === 'leading') await this.#refresh(entry);
    const alive = this.#alive(entry);
    // One whose credentials are refused does not work either; it is asked only where it can prove that they are no
    // more.
    const able = why === undefined || why === 'credentials' ? alive : alive.filter((member) => !member.refused);
    // Nobody hears an offer while the store is away.
    const heirs = entry.state.linked ? heirsOf(this.#self().id, lease, able) : [];
    if (!handingOver(entry.state)) entry.proving = why === 'credentials';
    const drainMs = limitMs * DRAIN_SHARE;
    this.#dispatch(entry, { kind: 'hand-over', heirs, final, drainMs });
    if (!handingOver(entry.state)) return heirs.length;
    const timer = Number.isFinite(limitMs)
      ? setTimeout(() => {
          this.#dispatch(entry, { kind: 'hand-over', heirs: [], final, drainMs });
        }, limitMs * OFFER_SHARE)
      : undefined;
    await new Promise<void>((resolve) => {
      this.#done.set(lease, [...(this.#done.get(lease) ?? []), resolve]);
    });
    clearTimeout(timer);
    return heirs.length;
  }

  /** The list of candidates, as fresh as it can be; the old one when the store does not answer. */
  async #refresh(entry: Entry): Promise<void> {
    try {
      const sighting = (await this.#leases.observe([entry.candidate.lease], this.#self())).get(entry.candidate.lease);
      if (sighting !== undefined) this.#noteMembers(entry, sighting);
    } catch (error) {
      this.#trouble(entry, error);
    }
  }

  /**
   * A leader does not look at its own leases otherwise: its list of candidates would grow old. One call for all of
   * them.
   */
  #lookAtMembers(): void {
    const now = this.#deps.nowMs();
    const due = [...this.#entries.values()].filter(
      ({ state, seenAt, candidate }) =>
        state.role.kind === 'leading' && state.linked && now - seenAt.nowMs >= candidate.policy.ttlMs * LOOK_SHARE,
    );
    if (due.length === 0 || this.#lookingAtMembers) return;
    this.#lookingAtMembers = true;
    this.#leases
      .observe(
        due.map((entry) => entry.candidate.lease),
        this.#self(),
      )
      .then((sightings) => {
        for (const entry of due) {
          const sighting = sightings.get(entry.candidate.lease);
          if (sighting !== undefined) this.#noteMembers(entry, sighting);
        }
      })
      .catch((error: unknown) => {
        this.#deps.log.debug({ err: error }, 'the store did not tell which replicas take part');
      })
      .finally(() => {
        this.#lookingAtMembers = false;
      });
  }

  /**
   * A leader that cannot do its work gives the lease to one that can; in vain, it stays and waits twice as long before
   * the next try.
   */
  #escape(): void {
    for (const entry of this.#entries.values()) {
      const why = entry.state.role.kind === 'leading' ? entry.candidate.unfit() : undefined;
      if (why === undefined) entry.kept = undefined;
      if (handingOver(entry.state)) continue;
      const { state, due } = stepEscape(entry.escape, why !== undefined, this.#deps.nowMs());
      entry.escape = state;
      if (due && why !== undefined) void this.#escapeOf(entry, why);
    }
  }

  async #escapeOf(entry: Entry, why: Unfit): Promise<void> {
    this.#audit(entry, 'lease.escape', { why });
    const asked = await this.#giveUp(entry, { final: false, why });
    if (entry.state.role.kind !== 'leading' || this.#stopping) return;
    entry.kept = { why, asked };
    const retryInMs = Math.max(0, Math.round(entry.escape.nextMs - this.#deps.nowMs()));
    this.#audit(entry, 'lease.kept', { why, asked, retryInMs });
    this.#deps.log.warn(
      { client: entry.candidate.client, why, asked, retryInMs },
      'this replica cannot do its work, and no other one was found that can: it stays the leader',
    );
  }

  #rebalance(): void {
    const mine = [...this.#entries.values()].filter((entry) => entry.state.role.kind === 'leading');
    const first = mine[0];
    const now = this.#deps.nowMs();
    if (first === undefined || this.#stopping) return;
    Promise.all(mine.map((entry) => this.#refresh(entry)))
      .then(() => {
        if (mine.length < 2) return;
        const movable = mine
          .filter((entry) => now - entry.movedAtMs > REST_AFTER_MOVE_MS)
          .map((entry) => entry.candidate.lease);
        const members = this.#alive(first);
        const storeMs = Math.max(0, ...members.map((member) => member.seenStoreMs));
        const gift = toGiveAway(this.#self().id, movable, members, { settleMs: SETTLE_MS, storeMs });
        const entry = gift === undefined ? undefined : this.#entries.get(gift.lease);
        const refused = entry?.members.some((member) => member.id === gift?.heir && member.refused) === true;
        if (gift !== undefined && entry !== undefined && !refused)
          this.#dispatch(entry, { kind: 'hand-over', heirs: [gift.heir], final: false, drainMs: Infinity });
      })
      .catch((error: unknown) => {
        this.#trouble(first, error);
      });
  }

  #self(): SelfReport {
    const held = [...this.#entries.values()].filter((entry) => entry.state.role.kind === 'leading').length;
    const fit = [...this.#entries.values()].every((entry) => entry.candidate.fit);
    const { namespace, pod, uid } = this.#deps.identity;
    const entries = [...this.#entries.values()];
    return {
      id: `${namespace}/${pod}/${uid}`,
      revision: this.#deps.identity.revision,
      load: held,
      ready: fit && !this.#stopping,
      refusedLeases: entries.filter(({ candidate }) => candidate.refused).map(({ candidate }) => candidate.lease),
    };
  }

  #noteMembers(entry: Entry, { members, view }: Sighting): void {
    entry.members = members;
    entry.seenAt = { storeMs: view.storeMs, nowMs: this.#deps.nowMs() };
  }

  #alive(entry: Entry): readonly Member[] {
    const there = alive(entry.members, this.#storeMs(entry), entry.candidate.policy.ttlMs);
    const own = entry.members.find((member) => member.id === this.#self().id);
    return own === undefined || there.includes(own) ? there : [...there, own];
  }

  #gone(entry: Entry): readonly Member[] {
    const there = this.#alive(entry);
    return entry.members.filter((member) => !there.includes(member));
  }

  /**
   * The store's clock now, as far as it is known from the last look at this lease. While the store is away nobody can
   * renew: nobody grows older.
   */
  #storeMs({ seenAt, state }: Entry): number {
    return seenAt.storeMs + (state.linked ? this.#deps.nowMs() - seenAt.nowMs : 0);
  }

  #tick(): void {
    const now = this.#deps.nowMs();
    for (const entry of this.#entries.values()) {
      const slackMs = entry.candidate.policy.renewEveryMs * SLACK_SHARE;
      const dueMs = leaseDeadline(entry.state);
      if (dueMs !== undefined && dueMs <= now + slackMs)
        this.#dispatch(entry, { kind: 'tick', unit: this.#deps.random(), slackMs });
    }
    this.#arm();
  }

  #with(lease: string, work: (entry: Entry) => void): void {
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

  #ask<T>(
    work: Promise<T>,
    then: (value: T) => void,
    failed = (error: unknown): void => {
      this.#deps.log.debug({ err: error }, 'the store did not carry out a step of the lease');
    },
  ): void {
    const asked = work.then(then, failed).finally(() => {
      this.#asked.delete(asked);
    });
    this.#asked.add(asked);
  }

  /** A lease that is won while we stop is given back before the end. */
  async #answered(): Promise<void> {
    while (this.#asked.size > 0) await Promise.allSettled(this.#asked);
  }

  #trouble(entry: Entry, error: unknown): void {
    this.#deps.storeTrouble.note('lease', error);
    this.#deps.log.debug({ err: error, client: entry.candidate.client }, 'the store did not answer about the lease');
  }

  #audit(entry: Entry, event: Parameters<Deps['audit']['write']>[0], fields: Readonly<Record<string, unknown>>): void {
    this.#deps.audit.write(event, entry.candidate.client, { lease: entry.candidate.lease, ...fields });
  }
}
