import type { LeaseEffect } from '../../src/core/lease/lease.ts';
import type { LeaseWorld } from './lease-world.ts';
import type { Pod } from './pod.ts';
import type { Clock, StoreModel } from './store.ts';
import type { StoreLinks } from './store-links.ts';

/** What the lease machines of the pods ask for: commands to the store, hand-overs, and the socket of a leader. */
export class LeaseCommands {
  readonly #world: LeaseWorld;
  readonly #clock: Clock;
  readonly #store: StoreModel;
  readonly #pods: readonly Pod[];
  readonly #random: () => number;
  readonly #links: StoreLinks;
  #tokens = 0;

  constructor(world: LeaseWorld, links: StoreLinks) {
    this.#world = world;
    this.#clock = world.clock;
    this.#store = world.store;
    this.#pods = world.pods;
    this.#random = world.random;
    this.#links = links;
  }

  /** Does what a pod’s lease machine asked for. */
  perform(pod: Pod, effect: LeaseEffect): void {
    if (effect.kind !== 'observe' && effect.kind !== 'prove')
      this.#world.trace?.(`${this.#clock.now.toFixed(1)} ${pod.id} ${JSON.stringify(effect)}`);
    switch (effect.kind) {
      case 'observe': {
        const sentAtMs = pod.local();
        return this.#links.call(
          pod,
          () => this.#store.view(),
          (view) => {
            pod.dispatch({ kind: 'observed', view, sentAtMs, rank: this.#rank(pod), unit: this.#random() });
          },
          () => {
            pod.dispatch({ kind: 'look-failed' });
          },
        );
      }
      case 'prove':
        return this.#links.call(
          pod,
          () => !this.#store.conns.has(effect.conn),
          (gone) => {
            pod.dispatch({ kind: 'proof', conn: effect.conn, gone });
          },
          () => {
            pod.dispatch({ kind: 'proof', conn: effect.conn, gone: undefined });
          },
        );
      case 'break':
        this.#world.seen.add(effect.why);
        return this.#links.call(
          pod,
          () => {
            this.#store.break(effect.token, effect.why === 'no_renewal' ? undefined : effect.conn, effect.beat);
          },
          () => {
            pod.dispatch({ kind: 'broken' });
          },
          () => undefined,
        );
      case 'acquire':
        return this.#acquire(pod, effect);
      case 'renew':
        return this.#renew(pod, effect);
      case 'release':
        return this.#links.call(
          pod,
          () => {
            this.#store.release(effect.token);
          },
          () => undefined,
          () => undefined,
        );
      case 'offer':
        return this.#offer(pod, effect.heir);
      case 'drain':
        this.#clock.after(20, () => {
          pod.receive(() => {
            pod.dispatch({ kind: 'drained', epoch: pod.state.role.kind === 'leading' ? pod.state.role.epoch : 0 });
          });
        });
        return;
      case 'transfer':
        pod.socket = false;
        return this.#links.call(
          pod,
          () => this.#store.transfer(effect.token, effect.epoch, effect.nextEpoch, effect.heirToken),
          (ok) => {
            pod.dispatch({ kind: 'transferred', epoch: effect.epoch, ok });
          },
          () => {
            pod.dispatch({ kind: 'transferred', epoch: effect.epoch, ok: false });
          },
        );
      case 'lead':
      case 'reopen':
        this.#world.seen.add(effect.kind);
        pod.socket = true;
        return;
      case 'close-sockets':
      case 'lost':
        this.#world.seen.add(effect.kind);
        pod.socket = false;
        return;
      case 'shut':
      case 'quarantined':
        this.#world.seen.add(effect.kind === 'shut' ? `shut ${effect.why}` : `quarantined ${effect.why}`);
    }
  }

  #acquire(pod: Pod, effect: Extract<LeaseEffect, { kind: 'acquire' }>): void {
    this.#tokens += 1;
    const token = `t${String(this.#tokens)}`;
    const { conn } = pod;
    const { gen } = effect;
    this.#links.call(
      pod,
      () => ({
        answer: this.#store.acquire(token, effect, conn),
        storeMs: this.#store.time,
        incarnation: `${this.#store.incarnation}@${this.#store.run}`,
      }),
      ({ answer, storeMs, incarnation: seen }) => {
        if (typeof answer === 'string') pod.dispatch({ kind: 'not-acquired', gen, why: answer });
        else
          pod.dispatch({
            kind: 'acquired',
            gen,
            token,
            epoch: answer.epoch,
            storeMs,
            incarnation: seen,
            unit: this.#random(),
          });
      },
      () => {
        pod.dispatch({ kind: 'not-acquired', gen, why: 'failed' });
      },
    );
  }

  #renew(pod: Pod, { gen, token, epoch, notAfterStoreMs }: Extract<LeaseEffect, { kind: 'renew' }>): void {
    const { conn } = pod;
    this.#links.call(
      pod,
      () => ({
        answer: this.#store.renew(token, epoch, notAfterStoreMs, conn),
        storeMs: this.#store.time,
        incarnation: `${this.#store.incarnation}@${this.#store.run}`,
      }),
      ({ answer, storeMs, incarnation }) => {
        if (answer === 'renewed' || answer === 'rewritten')
          pod.dispatch({
            kind: 'renewed',
            gen,
            storeMs,
            incarnation,
            unit: this.#random(),
            forgotten: answer === 'rewritten',
          });
        else pod.dispatch({ kind: 'not-renewed', gen, why: answer });
      },
      () => {
        pod.dispatch({ kind: 'not-renewed', gen, why: 'failed' });
      },
    );
  }

  #offer(from: Pod, heirId: string): void {
    const heir = this.#pods.find((pod) => pod.id === heirId);
    if (heir === undefined || !heir.linked) return;
    this.#tokens += 1;
    const token = `h${String(this.#tokens)}`;
    this.#clock.after(this.#links.delayMs(), () => {
      heir.receive(() => {
        heir.dispatch({ kind: 'accepted', token });
        this.#clock.after(this.#links.delayMs(), () => {
          from.receive(() => {
            from.dispatch({ kind: 'warm', heir: heirId, token });
          });
        });
        // The notice of the transfer is heard, or it is not: then the lock itself is seen.
        for (const ms of [30, 60, 200])
          this.#clock.after(ms, () => {
            heir.receive(() => {
              heir.dispatch({ kind: 'notice', unit: this.#random() });
            });
          });
      });
    });
  }

  #rank(pod: Pod): number {
    return this.#pods.filter((other) => other.alive && other.linked).indexOf(pod);
  }
}
