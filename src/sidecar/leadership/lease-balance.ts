import { toGiveAway } from '../../core/lease/candidate-ranking.ts';
import { stepEscape } from '../../core/lease/escape.ts';
import type { Deps } from '../runtime/environment.ts';
import type { Unfit } from './fitness.ts';
import type { HandOverPort, HandOvers } from './hand-overs.ts';
import { aliveMembers, noteMembers, type LeaseEntry } from './lease-entry.ts';
import { handingOver } from './lease-status.ts';

/** How often a leader asks itself whether it can do its work. */
const FITNESS_EVERY_MS = 1000;
/** How often a leader looks which replicas take part, as a share of the ttl. */
const LOOK_SHARE = 0.5;
/** How often a leader looks whether another replica should have one of its leases; a tenth more or less by chance. */
const REBALANCE_EVERY_MS = 30_000;
/** A lease that moved stays where it is for this long. */
const REST_AFTER_MOVE_MS = 600_000;
/** Nothing moves while a replica is this new. */
const SETTLE_MS = 60_000;

/**
 * Gives away the leases that another replica serves better: those whose work this replica cannot do, and those it has
 * too many of. Keeps the list of candidates fresh for that.
 */
export class LeaseBalance {
  readonly #entries: ReadonlyMap<string, LeaseEntry>;
  readonly #deps: Deps;
  readonly #port: HandOverPort;
  readonly #handOvers: HandOvers;
  #rebalancer: NodeJS.Timeout | undefined;
  #watcher: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(entries: ReadonlyMap<string, LeaseEntry>, deps: Deps, port: HandOverPort, handOvers: HandOvers) {
    this.#entries = entries;
    this.#deps = deps;
    this.#port = port;
    this.#handOvers = handOvers;
  }

  start(): void {
    // Spread, so that the replicas of one rollout do not rebalance at the same instant.
    const everyMs = REBALANCE_EVERY_MS * (0.9 + this.#deps.random() * 0.2);
    this.#rebalancer = setInterval(() => {
      this.#rebalance();
    }, everyMs).unref();
    this.#watcher = setInterval(() => {
      this.#lookAtMembers();
      this.#escape();
    }, FITNESS_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#rebalancer);
    clearInterval(this.#watcher);
  }

  /**
   * Looks at the members of this replica's own leases, in one call. A leader does not look at them otherwise, and its
   * list of candidates would grow old.
   */
  #lookAtMembers(): void {
    const nowMs = this.#deps.nowMs();
    const due = this.#led.filter(
      ({ state, seenAt, candidate }) => state.linked && nowMs - seenAt.nowMs >= candidate.policy.ttlMs * LOOK_SHARE,
    );
    if (due.length === 0 || this.#looking) return;
    this.#looking = true;
    const leases = due.map((entry) => entry.candidate.lease);
    this.#deps.leases
      .observe(leases, this.#port.self())
      .then((sightings) => {
        for (const entry of due) {
          const sighting = sightings.get(entry.candidate.lease);
          if (sighting !== undefined) noteMembers(entry, sighting, this.#deps.nowMs());
        }
      })
      .catch((error: unknown) => {
        this.#deps.log.debug({ err: error }, 'the store did not tell which replicas take part');
      })
      .finally(() => {
        this.#looking = false;
      });
  }

  /**
   * Gives the lease of a leader that cannot do its work to a replica that can; in vain, it stays and waits twice as
   * long before the next try.
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

  async #escapeOf(entry: LeaseEntry, why: Unfit): Promise<void> {
    this.#port.audit(entry, 'lease.escape', { why });
    const asked = await this.#handOvers.giveUp(entry, { final: false, why });
    if (entry.state.role.kind !== 'leading' || this.#port.stopping) return;
    entry.kept = { why, asked };
    const retryInMs = Math.max(0, Math.round(entry.escape.nextMs - this.#deps.nowMs()));
    this.#port.audit(entry, 'lease.kept', { why, asked, retryInMs });
    this.#deps.log.warn(
      { client: entry.candidate.client, why, asked, retryInMs },
      'this replica cannot do its work, and no other one was found that can: it stays the leader',
    );
  }

  #rebalance(): void {
    const led = this.#led;
    if (led.length === 0 || this.#port.stopping) return;
    Promise.all(led.map((entry) => this.#port.refresh(entry)))
      .then(() => {
        const gift = giftOf(led, this.#port.own, this.#deps.nowMs());
        if (gift !== undefined)
          this.#port.dispatch(gift.entry, { kind: 'hand-over', heirs: [gift.heir], final: false, drainMs: Infinity });
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'the leases could not be balanced');
      });
  }

  get #led(): readonly LeaseEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.state.role.kind === 'leading');
  }
}

/** Returns the lease to give away and its heir, so that the replicas carry alike; undefined: all stays as it is. */
function giftOf(
  led: readonly LeaseEntry[],
  own: string,
  nowMs: number,
): { readonly entry: LeaseEntry; readonly heir: string } | undefined {
  const [first] = led;
  if (first === undefined || led.length < 2) return undefined;
  const movable = led
    .filter((entry) => nowMs - entry.movedAtMs > REST_AFTER_MOVE_MS)
    .map((entry) => entry.candidate.lease);
  const members = aliveMembers(first, own, nowMs);
  const storeMs = Math.max(0, ...members.map((member) => member.seenStoreMs));
  const gift = toGiveAway(own, movable, members, { settleMs: SETTLE_MS, storeMs });
  const entry = led.find(({ candidate }) => candidate.lease === gift?.lease);
  if (gift === undefined || entry === undefined) return undefined;
  const refused = entry.members.some((member) => member.id === gift.heir && member.refused);
  return refused ? undefined : { entry, heir: gift.heir };
}
