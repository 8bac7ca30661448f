import { PullDelivery } from '../../src/delivery/pull-delivery.ts';
import type { LeadershipFault } from './stream-faults.ts';
import { EPOCH_MS, Term, type Outside } from './stream-pod.ts';
import { pick } from './stream-plans.ts';

const DRAIN_LIMIT_MS = 2000;

/** Who leads the stream: terms one after another, and how each gives way to the next. */
export class StreamLeadership {
  readonly #out: Outside;
  #leader: Term | undefined;
  /** An heir that connects while the old leader stops. */
  #heir: Term | undefined;
  /** Something that must be over before the next change of leader. */
  #changing = false;

  constructor(out: Outside) {
    this.#out = out;
  }

  get leader(): Term | undefined {
    return this.#leader;
  }

  get changing(): boolean {
    return this.#changing;
  }

  /** What the platform made goes out to the leader and to its heir. */
  flow(): void {
    this.#leader?.flow();
    this.#heir?.flow();
  }

  /** Makes one fault of leadership happen, unless a change of leader is under way. */
  disturb(fault: LeadershipFault, lastsMs: number): void {
    const term = this.#leader;
    if (term === undefined || this.#changing) return;
    switch (fault) {
      case 'doubt':
        term.open = false;
        term.driver.shut();
        this.#changing = true;
        this.#out.time.in(lastsMs, () => {
          this.#changing = false;
          if (!term.alive || this.#leader !== term) return;
          term.open = true;
          term.driver.reopen(false);
        });
        return;
      case 'kill':
        term.kill();
        this.#leader = undefined;
        return this.lead(lastsMs);
      case 'fenced':
        // The new leader is there before the old one knows.
        term.open = false;
        term.driver.shut();
        this.#out.time.in(lastsMs, () => {
          term.driver.abandon();
          this.#out.time.in(300, () => {
            term.kill();
          });
        });
        this.#leader = undefined;
        return this.lead(10);
      case 'hand-over':
        return this.#handOver(term);
    }
  }

  /** The old leader stops; in class C its heir connects early. */
  #handOver(old: Term): void {
    this.#changing = true;
    const early = this.#out.plan.profile.streamClass === 'C' ? this.#newTerm(false) : undefined;
    const ready = early === undefined ? Promise.resolve(false) : early.driver.startEarly(1500);
    this.#heir = early;
    void ready.then(async (connected) => {
      if (!connected) early?.kill();
      await old.driver.stop(DRAIN_LIMIT_MS);
      old.open = false;
      old.kill();
      this.#changing = false;
      this.#heir = undefined;
      if (this.#leader !== old) return early?.kill();
      this.#leader = undefined;
      if (early?.alive === true && early.epoch === this.#out.store.takeOver()) this.#take(early, true);
      else this.lead(20);
    });
  }

  #newTerm(open: boolean): Term {
    // An heir that connects early acts under the number that the lease will have when it is handed over.
    const epoch = open ? this.#out.store.takeOver() : this.#out.store.next;
    // Wall clocks of pods differ.
    return new Term(this.#out, epoch, { wallMs: Math.floor(6000 * (this.#out.unit() - 0.5)), open });
  }

  /** A new term begins after so long. */
  lead(afterMs: number): void {
    this.#changing = true;
    this.#out.time.in(afterMs, () => {
      this.#changing = false;
      this.#take(this.#newTerm(true), false);
    });
  }

  #take(term: Term, connected: boolean): void {
    this.#leader = term;
    term.open = true;
    void this.#start(term, connected);
  }

  async #start(term: Term, connected: boolean): Promise<void> {
    while (term.alive) {
      try {
        await term.driver.start(connected, undefined, EPOCH_MS + Math.floor(this.#out.time.nowMs));
        break;
      } catch {
        await new Promise<void>((resolve) => {
          this.#out.time.in(200, resolve);
        });
      }
    }
    const { delivery } = term.driver;
    if (delivery instanceof PullDelivery)
      this.#out.consumer.puller(delivery, term.epoch, pick([1, 5, 100], this.#out.unit), () => term.alive);
  }
}
