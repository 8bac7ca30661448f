import {
  leaseDeadline,
  leaseOpen,
  newLease,
  stepLease,
  type LeaseEffect,
  type LeaseInput,
  type LeaseState,
} from '../../src/core/lease/lease.ts';
import { POLICY, type Clock, type Plant } from './store.ts';

/** What a pod needs of the world. */
export interface PodWorld {
  readonly clock: Clock;
  readonly plant: Plant | undefined;
  readonly random: () => number;
  perform(pod: Pod, effect: LeaseEffect): void;
}

/** One process: its lease machine, its clock, its socket. */
export class Pod {
  readonly id: string;
  state: LeaseState = newLease;
  alive = true;
  frozen = false;
  linked = false;
  conn = '';
  socket = false;
  socketSince = 0;
  saved = 0;
  gateByTimer = false;
  readonly rate: number;
  readonly offset: number;
  readonly #world: PodWorld;
  #timer = 0;
  #backlog: (() => void)[] = [];

  constructor(id: string, world: PodWorld, rate: number, offset: number) {
    this.id = id;
    this.#world = world;
    this.rate = rate;
    this.offset = offset;
  }

  local(): number {
    return this.#world.clock.now * this.rate + this.offset;
  }

  /** Runs now, or when the process goes on. */
  receive(work: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.#backlog.push(work);
    else work();
  }

  thaw(): void {
    this.frozen = false;
    // Timers that are overdue come first, then what lies in the sockets.
    this.dispatch({ kind: 'tick', unit: 0.5, slackMs: 0 });
    for (const work of this.#backlog.splice(0)) this.receive(work);
  }

  dispatch(input: LeaseInput): void {
    if (!this.alive) return;
    const step = stepLease(POLICY, this.state, input, this.local());
    this.state = step.state;
    if (
      this.#world.plant === 'deadline-from-reply' &&
      this.state.role.kind === 'leading' &&
      (input.kind === 'renewed' || input.kind === 'acquired')
    ) {
      this.state = { ...this.state, role: { ...this.state.role, deadlineMs: this.local() + POLICY.ttlMs } };
    }
    if (this.#world.plant === 'no-quarantine') this.state = { ...this.state, quarantineUntilMs: -Infinity };
    for (const effect of step.effects) this.#world.perform(this, effect);
    this.#arm();
  }

  #arm(): void {
    const at = leaseDeadline(this.state);
    this.#timer += 1;
    const mine = this.#timer;
    if (at === undefined) return;
    this.#world.clock.after(Math.max(0, (at - this.local()) / this.rate) + 0.01, () => {
      if (mine === this.#timer)
        this.receive(() => {
          this.dispatch({ kind: 'tick', unit: this.#world.random(), slackMs: 0 });
        });
    });
  }

  /** A gate a timer would shut, as `using` does: it stays open in a process that was stopped. */
  mayAct(): boolean {
    return this.#world.plant === 'timer-gate' ? this.socket : leaseOpen(this.state, this.local());
  }
}
