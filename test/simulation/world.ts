import type { LeaseEffect } from '../../src/core/lease/lease.ts';
import { LeaseCommands } from './lease-commands.ts';
import { LeaseFaults } from './lease-faults.ts';
import type { LeaseWorld } from './lease-world.ts';
import { Pod } from './pod.ts';
import { StoreLinks } from './store-links.ts';
import { Clock, POLICY, StoreModel, type Plant } from './store.ts';

export interface WorldOptions {
  readonly pods: number;
  readonly seed: number;
  readonly plant?: Plant;
  /** Virtual ms with faults; afterwards the world heals and must converge. */
  readonly faultsMs: number;
}

/** After the last fault a leader must act within: one ttl for expiry, one for quarantine, ranks, looks. */
const CONVERGE_MS = 3 * POLICY.ttlMs;
const SETTLE_MS = 2000;
const CHECKPOINT_EVERY_MS = 400;

/** n lease machines, one store, virtual time, faults from one seed. */
export class World implements LeaseWorld {
  readonly clock = new Clock();
  readonly store: StoreModel;
  readonly pods: Pod[] = [];
  readonly plant: Plant | undefined;
  readonly random: () => number;
  readonly seen = new Set<string>();
  trace: ((line: string) => void) | undefined;
  violation: string | undefined;
  acted = 0;
  faulty = true;
  #serial = 0;
  readonly #options: WorldOptions;
  readonly #links: StoreLinks;
  readonly #commands: LeaseCommands;
  readonly #faults: LeaseFaults;

  constructor(options: WorldOptions, random: () => number) {
    this.#options = options;
    this.plant = options.plant;
    this.random = random;
    this.store = new StoreModel(() => this.clock.now, options.plant);
    this.#links = new StoreLinks(this);
    this.#commands = new LeaseCommands(this, this.#links);
    this.#faults = new LeaseFaults(this, this.#links);
    for (let n = 0; n < options.pods; n += 1)
      this.pods.push(new Pod(`p${String(n)}`, this, 0.99 + random() * 0.02, random() * 1e6));
  }

  /** @returns what was violated, or undefined. */
  run(): string | undefined {
    for (const pod of this.pods)
      this.clock.after(this.random() * 500, () => {
        this.#links.connect(pod);
      });
    this.#faults.plan();
    this.#deliver();
    this.clock.run(this.#options.faultsMs, () => {
      this.#check();
    });
    this.#heal();
    this.clock.run(this.#options.faultsMs + CONVERGE_MS, () => {
      this.#check();
    });
    const before = this.acted;
    this.clock.run(this.#options.faultsMs + CONVERGE_MS + SETTLE_MS, () => {
      this.#check();
    });
    if (this.violation === undefined && this.acted === before)
      this.violation = 'L1: nobody leads after the faults ended';
    return this.violation ?? this.store.violation;
  }

  perform(pod: Pod, effect: LeaseEffect): void {
    this.#commands.perform(pod, effect);
  }

  nextSerial(): number {
    this.#serial += 1;
    return this.#serial;
  }

  #heal(): void {
    this.faulty = false;
    this.store.up = true;
    for (const pod of this.pods) {
      if (pod.frozen) pod.thaw();
      if (!this.store.conns.has(pod.conn)) {
        pod.linked = false;
        this.#links.connect(pod);
      }
    }
  }

  /** Leaders act: they deliver, and write checkpoints that travel and may arrive late. */
  #deliver(): void {
    this.clock.after(CHECKPOINT_EVERY_MS * (0.5 + this.random()), () => {
      for (const pod of this.pods) {
        const { role } = pod.state;
        if (pod.frozen || !pod.alive || role.kind !== 'leading' || !pod.mayAct()) continue;
        this.acted += 1;
        pod.saved += 1;
        const value = pod.saved;
        this.clock.after(this.#links.delayMs() + (this.random() < 0.1 ? this.random() * 9000 : 0), () => {
          if (this.store.up) this.store.save(role.epoch, value);
        });
      }
      this.#deliver();
    });
  }

  /** S2: at no true instant may two processes act; S4: nor may one past its deadline. */
  #check(): void {
    this.violation ??= this.store.violation;
    const acting = this.pods.filter((pod) => pod.alive && !pod.frozen && pod.mayAct());
    if (acting.length > 1)
      this.violation ??= `S2: ${acting.map((pod) => pod.id).join(' and ')} act at ${this.clock.now.toFixed(1)}`;
    for (const pod of acting) {
      const { role } = pod.state;
      if (role.kind === 'leading' && pod.local() >= role.deadlineMs)
        this.violation ??= `S4: ${pod.id} acts after its deadline at ${this.clock.now.toFixed(1)}`;
    }
  }
}
