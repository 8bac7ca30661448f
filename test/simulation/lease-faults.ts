import type { LeaseWorld } from './lease-world.ts';
import { Pod } from './pod.ts';
import { POLICY, type Clock, type StoreModel } from './store.ts';
import type { StoreLinks } from './store-links.ts';

/**
 * Limits of docs/leadership.md: below the first a step ahead is covered by the margin, above the second it is seen
 * whatever the looks took.
 */
const COVERED_STEP_MS = 400;
const SEEN_STEP_MS = 2200;

/** A step of the store's clock that is within the limits. */
function visible(ms: number): number {
  return ms > COVERED_STEP_MS && ms < SEEN_STEP_MS ? ms + SEEN_STEP_MS : ms;
}

/** Faults of the store, the network, the clocks and the processes, drawn one after another. */
export class LeaseFaults {
  readonly #world: LeaseWorld;
  readonly #clock: Clock;
  readonly #store: StoreModel;
  readonly #pods: Pod[];
  readonly #random: () => number;
  readonly #links: StoreLinks;
  #steppedAt = -Infinity;

  constructor(world: LeaseWorld, links: StoreLinks) {
    this.#world = world;
    this.#clock = world.clock;
    this.#store = world.store;
    this.#pods = world.pods;
    this.#random = world.random;
    this.#links = links;
  }

  /** Plans the next fault, and after it the one that follows, until the world is healed. */
  plan(): void {
    this.#clock.after(500 + this.#random() * 5000, () => {
      if (!this.#world.faulty) return;
      this.#fault();
      this.plan();
    });
  }

  #fault(): void {
    const pod = this.#pods[Math.floor(this.#random() * this.#pods.length)];
    const leader = this.#pods.find((one) => one.socket) ?? pod;
    if (pod === undefined || leader === undefined) return;
    const kinds = [
      'kill',
      'freeze',
      'cut',
      'reset',
      'store-down',
      'store-freeze',
      'wipe',
      'failover',
      'clock',
      'hand-over',
      'expire',
    ] as const;
    const kind = kinds[Math.floor(this.#random() * kinds.length)] ?? 'kill';
    this.#world.seen.add(`fault ${kind}`);
    this.#world.trace?.(`${this.#clock.now.toFixed(1)} FAULT ${kind} leader ${leader.id}`);
    switch (kind) {
      case 'kill':
        return this.#kill(this.#random() < 0.7 ? leader : pod);
      case 'freeze':
        leader.frozen = true;
        this.#clock.after(200 + this.#random() * POLICY.ttlMs * 2, () => {
          if (leader.alive) leader.thaw();
        });
        return;
      case 'cut': {
        // Packets are dropped: nobody is told; the client gives up after its socket timeout.
        const { conn } = leader;
        if (conn === '') return;
        this.#store.conns.delete(conn);
        this.#store.conns.add(`ghost-${conn}`);
        if (this.#store.fence?.conn === conn) this.#store.fence.conn = `ghost-${conn}`;
        this.#clock.after(2500, () => {
          if (leader.conn === conn) this.#links.disconnect(leader, false);
        });
        return;
      }
      case 'reset':
        return this.#links.disconnect(this.#random() < 0.7 ? leader : pod, false);
      case 'store-down':
        return this.#storeDown(200 + this.#random() * POLICY.ttlMs * 2, () => undefined);
      case 'store-freeze':
        this.#store.up = false;
        this.#clock.after(200 + this.#random() * POLICY.ttlMs * 2, () => {
          this.#store.up = true;
        });
        return;
      case 'wipe':
        // FLUSHALL, or a restart without data.
        if (this.#random() < 0.5) return this.#wipe();
        return this.#storeDown(50 + this.#random() * 3000, () => {
          this.#wipe();
        });
      case 'failover': {
        // A replica that lacks the last moments takes over.
        const old = {
          lock: this.#store.lock === undefined ? undefined : { ...this.#store.lock },
          fence: this.#store.fence === undefined ? undefined : { ...this.#store.fence },
          checkpoint: this.#store.checkpoint,
        };
        this.#clock.after(this.#random() * 900, () => {
          this.#storeDown(500 + this.#random() * 2000, () => {
            Object.assign(this.#store, old);
            this.#store.lostData = true;
            this.#store.run = `r${String(this.#world.nextSerial())}`;
          });
        });
        return;
      }
      case 'clock':
        // Two steps that cancel each other between two looks cannot be seen by anybody (docs/leadership.md, limits).
        if (this.#clock.now - this.#steppedAt < POLICY.ttlMs + POLICY.renewEveryMs) return;
        this.#steppedAt = this.#clock.now;
        this.#store.step(visible((this.#random() - 0.3) * 10_000));
        return;
      case 'hand-over':
        return leader.receive(() => {
          leader.dispatch({
            kind: 'hand-over',
            heirs: this.#pods.filter((one) => one !== leader && one.alive).map((one) => one.id),
            final: false,
            drainMs: 5000,
          });
        });
      case 'expire':
        // PEXPIRE 1 on the lock, as an eviction or a wrong hand would.
        this.#store.lock = undefined;
    }
  }

  #wipe(): void {
    this.#store.wipe(this.#world.nextSerial());
  }

  #storeDown(ms: number, before: () => void): void {
    if (!this.#world.faulty) return;
    this.#store.up = false;
    for (const pod of this.#pods) if (pod.linked) this.#links.disconnect(pod, true);
    this.#clock.after(ms, () => {
      if (!this.#world.faulty) return;
      before();
      // Another outage may have ended meanwhile: whoever is connected loses the connection now.
      for (const pod of this.#pods) if (pod.linked) this.#links.disconnect(pod, true);
      this.#store.conns.clear();
      this.#store.run = `r${String(this.#world.nextSerial())}`;
      this.#store.up = true;
    });
  }

  #kill(pod: Pod): void {
    pod.alive = false;
    pod.socket = false;
    this.#store.conns.delete(pod.conn);
    const index = this.#pods.indexOf(pod);
    const next = new Pod(
      `p${String(this.#world.nextSerial())}x`,
      this.#world,
      0.99 + this.#random() * 0.02,
      this.#random() * 1e6,
    );
    this.#pods[index] = next;
    this.#clock.after(300 + this.#random() * 3000, () => {
      this.#links.connect(next);
    });
  }
}
