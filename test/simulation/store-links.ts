import type { LeaseWorld } from './lease-world.ts';
import type { Pod } from './pod.ts';
import type { Clock, StoreModel } from './store.ts';

/** The connections of the pods to the store, and how commands travel on them. */
export class StoreLinks {
  readonly #world: LeaseWorld;
  readonly #clock: Clock;
  readonly #store: StoreModel;
  readonly #random: () => number;

  constructor(world: LeaseWorld) {
    this.#world = world;
    this.#clock = world.clock;
    this.#store = world.store;
    this.#random = world.random;
  }

  /** Connects a pod, now or when it and the store can. */
  connect(pod: Pod): void {
    if (!pod.alive || pod.linked) return;
    if (!this.#store.up || pod.frozen) {
      this.#clock.after(100 + this.#random() * 400, () => {
        this.connect(pod);
      });
      return;
    }
    pod.conn = `c${String(this.#world.nextSerial())}`;
    this.#store.conns.add(pod.conn);
    pod.linked = true;
    pod.receive(() => {
      pod.dispatch({ kind: 'link', state: 'up' });
    });
  }

  /** The connection ends; both sides see it at about the same time. */
  disconnect(pod: Pod, refused: boolean): void {
    if (!pod.linked) return;
    this.#store.conns.delete(pod.conn);
    pod.linked = false;
    pod.conn = '';
    pod.receive(() => {
      pod.dispatch({ kind: 'link', state: refused ? 'refused' : 'lost' });
    });
    this.#clock.after(20 + this.#random() * 300, () => {
      this.connect(pod);
    });
  }

  /** One command: there, done, back; each way takes its time, and the answer can be lost with the connection. */
  call<T>(pod: Pod, work: () => T, then: (value: T) => void, failed: () => void): void {
    const { conn } = pod;
    const there = this.delayMs();
    const back = this.delayMs();
    this.#clock.after(there, () => {
      if (!this.#store.up || !this.#store.conns.has(conn)) {
        // A frozen or unreachable store: the command times out.
        this.#clock.after(800, () => {
          pod.receive(() => {
            if (pod.conn === conn) failed();
          });
        });
        return;
      }
      const value = work();
      this.#clock.after(back, () => {
        pod.receive(() => {
          if (pod.conn === conn) then(value);
        });
      });
    });
  }

  /** How long one way takes. */
  delayMs(): number {
    return this.#random() < 0.1 && this.#world.faulty ? this.#random() * 790 : 0.1 + this.#random() * 3;
  }
}
