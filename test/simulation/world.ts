import type { LeaseEffect } from '../../src/core/lease/lease.ts';
import { Pod } from './pod.ts';
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

/**
 * Limits of docs/leadership.md: below the first a step ahead is covered by the guard, above the second it is seen
 * whatever the looks took.
 */
const COVERED_STEP_MS = 400;
const SEEN_STEP_MS = 2200;

/** A step of the store's clock that is within the limits. */
function visible(ms: number): number {
  return ms > COVERED_STEP_MS && ms < SEEN_STEP_MS ? ms + SEEN_STEP_MS : ms;
}

/** n lease machines, one store, virtual time, faults from one seed. */
export class World {
  readonly clock = new Clock();
  readonly store: StoreModel;
  readonly pods: Pod[] = [];
  readonly plant: Plant | undefined;
  readonly random: () => number;
  readonly seen = new Set<string>();
  trace: ((line: string) => void) | undefined;
  violation: string | undefined;
  acted = 0;
  #serial = 0;
  #tokens = 0;
  #faulty = true;
  #steppedAt = -Infinity;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions, random: () => number) {
    this.#options = options;
    this.plant = options.plant;
    this.random = random;
    this.store = new StoreModel(() => this.clock.now, options.plant);
    for (let n = 0; n < options.pods; n += 1)
      this.pods.push(new Pod(`p${String(n)}`, this, 0.99 + random() * 0.02, random() * 1e6));
  }

  /** @returns what was violated, or undefined. */
  run(): string | undefined {
    for (const pod of this.pods)
      this.clock.after(this.random() * 500, () => {
        this.#connect(pod);
      });
    this.#planFault();
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
    if (effect.kind !== 'observe' && effect.kind !== 'prove')
      this.trace?.(`${this.clock.now.toFixed(1)} ${pod.id} ${JSON.stringify(effect)}`);
    switch (effect.kind) {
      case 'observe': {
        const sentAtMs = pod.local();
        return this.#call(
          pod,
          () => this.store.view(),
          (view) => {
            pod.dispatch({ kind: 'observed', view, sentAtMs, rank: this.#rank(pod), unit: this.random() });
          },
          () => {
            pod.dispatch({ kind: 'look-failed' });
          },
        );
      }
      case 'prove':
        return this.#call(
          pod,
          () => !this.store.conns.has(effect.conn),
          (gone) => {
            pod.dispatch({ kind: 'proof', conn: effect.conn, gone });
          },
          () => {
            pod.dispatch({ kind: 'proof', conn: effect.conn, gone: undefined });
          },
        );
      case 'break':
        this.seen.add(effect.why);
        return this.#call(
          pod,
          () => {
            this.store.break(effect.token, effect.why === 'no_renewal' ? undefined : effect.conn, effect.beat);
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
        return this.#call(
          pod,
          () => {
            this.store.release(effect.token);
          },
          () => undefined,
          () => undefined,
        );
      case 'offer':
        return this.#offer(pod, effect.heir);
      case 'drain':
        this.clock.after(20, () => {
          pod.receive(() => {
            pod.dispatch({ kind: 'drained', epoch: pod.state.role.kind === 'leading' ? pod.state.role.epoch : 0 });
          });
        });
        return;
      case 'transfer':
        this.#close(pod);
        return this.#call(
          pod,
          () => this.store.transfer(effect.token, effect.epoch, effect.nextEpoch, effect.heirToken),
          (ok) => {
            pod.dispatch({ kind: 'transferred', epoch: effect.epoch, ok });
          },
          () => {
            pod.dispatch({ kind: 'transferred', epoch: effect.epoch, ok: false });
          },
        );
      case 'lead':
      case 'reopen':
        this.seen.add(effect.kind);
        pod.socket = true;
        return;
      case 'close-sockets':
      case 'lost':
        this.seen.add(effect.kind);
        return this.#close(pod);
      case 'shut':
      case 'quarantined':
        this.seen.add(effect.kind === 'shut' ? `shut ${effect.why}` : `quarantined ${effect.why}`);
    }
  }

  #close(pod: Pod): void {
    pod.socket = false;
  }

  /** One command: there, done, back; each way takes its time, and the answer can be lost with the connection. */
  #call<T>(pod: Pod, work: () => T, then: (value: T) => void, failed: () => void): void {
    const { conn } = pod;
    const there = this.#delay();
    const back = this.#delay();
    this.clock.after(there, () => {
      if (!this.store.up || !this.store.conns.has(conn)) {
        // A frozen or unreachable store: the command times out.
        this.clock.after(800, () => {
          pod.receive(() => {
            if (pod.conn === conn) failed();
          });
        });
        return;
      }
      const value = work();
      this.clock.after(back, () => {
        pod.receive(() => {
          if (pod.conn === conn) then(value);
        });
      });
    });
  }

  #delay(): number {
    return this.random() < 0.1 && this.#faulty ? this.random() * 790 : 0.1 + this.random() * 3;
  }

  #acquire(pod: Pod, effect: Extract<LeaseEffect, { kind: 'acquire' }>): void {
    this.#tokens += 1;
    const token = `t${String(this.#tokens)}`;
    const { conn } = pod;
    const { gen } = effect;
    this.#call(
      pod,
      () => ({
        answer: this.store.acquire(token, effect, conn),
        storeMs: this.store.time,
        incarnation: `${this.store.incarnation}@${this.store.run}`,
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
            unit: this.random(),
          });
      },
      () => {
        pod.dispatch({ kind: 'not-acquired', gen, why: 'failed' });
      },
    );
  }

  #renew(pod: Pod, { gen, token, epoch, notAfterStoreMs }: Extract<LeaseEffect, { kind: 'renew' }>): void {
    const { conn } = pod;
    this.#call(
      pod,
      () => ({
        answer: this.store.renew(token, epoch, notAfterStoreMs, conn),
        storeMs: this.store.time,
        incarnation: `${this.store.incarnation}@${this.store.run}`,
      }),
      ({ answer, storeMs, incarnation }) => {
        if (answer === 'renewed' || answer === 'rewritten')
          pod.dispatch({
            kind: 'renewed',
            gen,
            storeMs,
            incarnation,
            unit: this.random(),
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
    const heir = this.pods.find((pod) => pod.id === heirId);
    if (heir === undefined || !heir.linked) return;
    this.#tokens += 1;
    const token = `h${String(this.#tokens)}`;
    this.clock.after(this.#delay(), () => {
      heir.receive(() => {
        heir.dispatch({ kind: 'accepted', token });
        this.clock.after(this.#delay(), () => {
          from.receive(() => {
            from.dispatch({ kind: 'warm', heir: heirId, token });
          });
        });
        // The notice of the transfer is heard, or it is not: then the lock itself is seen.
        for (const ms of [30, 60, 200])
          this.clock.after(ms, () => {
            heir.receive(() => {
              heir.dispatch({ kind: 'notice', unit: this.random() });
            });
          });
      });
    });
  }

  #rank(pod: Pod): number {
    return this.pods.filter((other) => other.alive && other.linked).indexOf(pod);
  }

  #connect(pod: Pod): void {
    if (!pod.alive || pod.linked) return;
    if (!this.store.up || pod.frozen) {
      this.clock.after(100 + this.random() * 400, () => {
        this.#connect(pod);
      });
      return;
    }
    this.#serial += 1;
    pod.conn = `c${String(this.#serial)}`;
    this.store.conns.add(pod.conn);
    pod.linked = true;
    pod.receive(() => {
      pod.dispatch({ kind: 'link', state: 'up' });
    });
  }

  /** The connection ends; both sides see it at about the same time. */
  #disconnect(pod: Pod, refused: boolean): void {
    if (!pod.linked) return;
    this.store.conns.delete(pod.conn);
    pod.linked = false;
    pod.conn = '';
    pod.receive(() => {
      pod.dispatch({ kind: 'link', state: refused ? 'refused' : 'lost' });
    });
    this.clock.after(20 + this.random() * 300, () => {
      this.#connect(pod);
    });
  }

  #planFault(): void {
    this.clock.after(500 + this.random() * 5000, () => {
      if (!this.#faulty) return;
      this.#fault();
      this.#planFault();
    });
  }

  #fault(): void {
    const pod = this.pods[Math.floor(this.random() * this.pods.length)];
    const leader = this.pods.find((one) => one.socket) ?? pod;
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
    const kind = kinds[Math.floor(this.random() * kinds.length)] ?? 'kill';
    this.seen.add(`fault ${kind}`);
    this.trace?.(`${this.clock.now.toFixed(1)} FAULT ${kind} leader ${leader.id}`);
    switch (kind) {
      case 'kill':
        return this.#kill(this.random() < 0.7 ? leader : pod);
      case 'freeze':
        leader.frozen = true;
        this.clock.after(200 + this.random() * POLICY.ttlMs * 2, () => {
          if (leader.alive) leader.thaw();
        });
        return;
      case 'cut': {
        // Packets are dropped: nobody is told; the client gives up after its socket timeout.
        const { conn } = leader;
        if (conn === '') return;
        this.store.conns.delete(conn);
        this.store.conns.add(`ghost-${conn}`);
        if (this.store.fence?.conn === conn) this.store.fence.conn = `ghost-${conn}`;
        this.clock.after(2500, () => {
          if (leader.conn === conn) this.#disconnect(leader, false);
        });
        return;
      }
      case 'reset':
        return this.#disconnect(this.random() < 0.7 ? leader : pod, false);
      case 'store-down':
        return this.#storeDown(200 + this.random() * POLICY.ttlMs * 2, () => undefined);
      case 'store-freeze':
        this.store.up = false;
        this.clock.after(200 + this.random() * POLICY.ttlMs * 2, () => {
          this.store.up = true;
        });
        return;
      case 'wipe':
        // FLUSHALL, or a restart without data.
        if (this.random() < 0.5) return this.#wipe();
        return this.#storeDown(50 + this.random() * 3000, () => {
          this.#wipe();
        });
      case 'failover': {
        // A replica that lacks the last moments takes over.
        const old = {
          lock: this.store.lock === undefined ? undefined : { ...this.store.lock },
          fence: this.store.fence === undefined ? undefined : { ...this.store.fence },
          checkpoint: this.store.checkpoint,
        };
        this.clock.after(this.random() * 900, () => {
          this.#storeDown(500 + this.random() * 2000, () => {
            Object.assign(this.store, old);
            this.#lossNow();
            this.#serial += 1;
            this.store.run = `r${String(this.#serial)}`;
          });
        });
        return;
      }
      case 'clock':
        // Two steps that cancel each other between two looks cannot be seen by anybody (docs/leadership.md, limits).
        if (this.clock.now - this.#steppedAt < POLICY.ttlMs + POLICY.renewEveryMs) return;
        this.#steppedAt = this.clock.now;
        this.store.step(visible((this.random() - 0.3) * 10_000));
        return;
      case 'hand-over':
        return leader.receive(() => {
          leader.dispatch({
            kind: 'hand-over',
            heirs: this.pods.filter((one) => one !== leader && one.alive).map((one) => one.id),
            final: false,
            drainMs: 5000,
          });
        });
      case 'expire':
        // PEXPIRE 1 on the lock, as an eviction or a wrong hand would.
        this.store.lock = undefined;
    }
  }

  #wipe(): void {
    this.#serial += 1;
    this.store.wipe(this.#serial);
    this.#lossNow();
  }

  #lossNow(): void {
    this.store.lostData = true;
  }

  #storeDown(ms: number, before: () => void): void {
    if (!this.#faulty) return;
    this.store.up = false;
    for (const pod of this.pods) if (pod.linked) this.#disconnect(pod, true);
    this.clock.after(ms, () => {
      if (!this.#faulty) return;
      before();
      // Another outage may have ended meanwhile: whoever is connected loses the connection now.
      for (const pod of this.pods) if (pod.linked) this.#disconnect(pod, true);
      this.store.conns.clear();
      this.#serial += 1;
      this.store.run = `r${String(this.#serial)}`;
      this.store.up = true;
    });
  }

  #kill(pod: Pod): void {
    pod.alive = false;
    pod.socket = false;
    this.store.conns.delete(pod.conn);
    const index = this.pods.indexOf(pod);
    this.#serial += 1;
    const next = new Pod(`p${String(this.#serial)}x`, this, 0.99 + this.random() * 0.02, this.random() * 1e6);
    this.pods[index] = next;
    this.clock.after(300 + this.random() * 3000, () => {
      this.#connect(next);
    });
  }

  #heal(): void {
    this.#faulty = false;
    this.store.up = true;
    for (const pod of this.pods) {
      if (pod.frozen) pod.thaw();
      if (!this.store.conns.has(pod.conn)) {
        pod.linked = false;
        this.#connect(pod);
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
        this.clock.after(this.#delay() + (this.random() < 0.1 ? this.random() * 9000 : 0), () => {
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
