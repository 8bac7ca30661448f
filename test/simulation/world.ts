import { leaseDeadline, leaseOpen, newLease, stepLease, type LeaseEffect, type LeaseInput, type LeasePolicy, type LeaseState, type LeaseView } from '../../src/core/lease.ts';

/** What a planted fault changes. Every one of them must be found by the invariants. */
export type Plant = 'deadline-from-reply' | 'no-epoch-check' | 'no-quarantine' | 'counter-epoch' | 'loose-reassert' | 'timer-gate';

export interface WorldOptions {
  readonly pods: number;
  readonly seed: number;
  readonly plant?: Plant;
  /** Virtual ms with faults; afterwards the world heals and must converge. */
  readonly faultsMs: number;
}

export const POLICY: LeasePolicy = { ttlMs: 6000, renewEveryMs: 2000, guardMs: 500 };
/** After the last fault a leader must act within: one ttl for expiry, one for quarantine, ranks, looks. */
const CONVERGE_MS = 3 * POLICY.ttlMs;
const SETTLE_MS = 2000;
/** A thawed process closes its socket with its first look at the clock. */
const CHECKPOINT_EVERY_MS = 400;

interface Timed {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Virtual time: what is due runs in order of time, then of planning. */
class Clock {
  now = 0;
  readonly #queue: Timed[] = [];
  #order = 0;

  after(ms: number, run: () => void): void {
    const at = this.now + Math.max(0, ms);
    const timed = { at, order: this.#order, run };
    this.#order += 1;
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#queue[middle];
      if (other !== undefined && other.at <= at) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, timed);
  }

  /** Runs everything up to `endMs`; `between` is called after each. */
  run(endMs: number, between: () => void): void {
    for (let next = this.#queue[0]; next !== undefined && next.at <= endMs; next = this.#queue[0]) {
      this.#queue.shift();
      this.now = next.at;
      next.run();
      between();
    }
    this.now = endMs;
  }
}

interface Record {
  token: string;
  epoch: number;
  state: 'none' | 'held' | 'released';
  was: Omit<Record, 'was'> | undefined;
  conn: string;
  beat: number;
}

/** The scripts of src/coordination/lease-scripts.ts as a model; test/coordination/leases.contract.test.ts holds the two together. */
class StoreModel {
  lock: { token: string; expiresAt: number } | undefined;
  fence: Record | undefined;
  incarnation = 'i0';
  run = 'r0';
  checkpoint: { epoch: number; value: number } | undefined;
  up = true;
  clockAheadMs = 1_000_000;
  readonly conns = new Set<string>();
  /** Which token had which epoch: one each, for ever growing. */
  readonly epochs = new Map<number, string>();
  highest = 0;
  lostData = false;
  readonly #now: () => number;
  readonly #plant: Plant | undefined;
  violation: string | undefined;

  constructor(now: () => number, plant: Plant | undefined) {
    this.#now = now;
    this.#plant = plant;
  }

  get time(): number {
    return this.#now() + this.clockAheadMs;
  }

  get held(): string | undefined {
    if (this.lock !== undefined && this.time >= this.lock.expiresAt) this.lock = undefined;
    return this.lock?.token;
  }

  view(): LeaseView {
    const { held } = this;
    return {
      token: held,
      pttlMs: this.lock === undefined ? 0 : this.lock.expiresAt - this.time,
      epoch: this.fence?.epoch ?? 0,
      fenceToken: this.fence?.token ?? '',
      state: this.fence?.state ?? 'none',
      conn: this.fence?.conn ?? '',
      beat: String(this.fence?.beat ?? ''),
      incarnation: `${this.incarnation}@${this.run}`,
      storeMs: this.time,
    };
  }

  acquire(token: string, { incarnation, floor, fenceToken, beat }: Extract<LeaseEffect, { kind: 'acquire' }>, conn: string): { epoch: number } | 'held' | 'quarantine' {
    const { held } = this;
    if (held !== undefined && held !== token) return 'held';
    const was = this.fence;
    const stored = this.fence?.epoch ?? 0;
    const epoch = this.#plant === 'counter-epoch' ? stored + 1 : Math.max(stored + 1, floor + 1, this.time);
    this.fence = { token, epoch, state: 'held', was, conn: '', beat: 0 };
    this.lock = { token, expiresAt: this.time + POLICY.ttlMs };
    const watched = `${this.incarnation}@${this.run}` === incarnation && (was?.token ?? '') === fenceToken && String(was?.beat ?? '') === beat;
    if (!watched && was?.state !== 'released' && this.#plant !== 'no-quarantine') {
      this.lock = undefined;
      this.fence = was;
      return 'quarantine';
    }
    this.fence.conn = conn;
    this.#note(epoch, token);
    return { epoch };
  }

  renew(token: string, epoch: number, notAfter: number, conn: string): 'renewed' | 'lost' | 'forgotten' {
    const { held } = this;
    if (held === undefined) {
      if (this.fence !== undefined && this.fence.token !== token) return 'lost';
      if (this.fence === undefined) {
        if (this.time > notAfter && this.#plant !== 'loose-reassert') return 'forgotten';
        this.fence = { token, epoch, state: 'held', was: undefined, conn, beat: this.time };
      }
      this.lock = { token, expiresAt: this.time + POLICY.ttlMs };
    } else if (held !== token) return 'lost';
    if (this.lock !== undefined) this.lock.expiresAt = this.time + POLICY.ttlMs;
    if (this.fence !== undefined) this.fence = { ...this.fence, state: 'held', conn, beat: this.fence.beat + 1 };
    return 'renewed';
  }

  release(token: string): void {
    if (this.held !== token) return;
    this.lock = undefined;
    if (this.fence?.token === token) this.fence = { ...this.fence, state: 'released', conn: '' };
  }

  break(token: string, conn: string | undefined): void {
    const { held } = this;
    if ((held !== undefined && held !== token) || this.fence?.token !== token) return;
    if (conn !== undefined && this.fence.conn !== conn) return;
    this.lock = undefined;
    this.fence = { ...this.fence, state: 'released', conn: '' };
  }

  transfer(token: string, epoch: number, nextEpoch: number, heirToken: string): boolean {
    if (this.held !== token || this.fence?.epoch !== epoch) return false;
    this.lock = { token: heirToken, expiresAt: this.time + POLICY.ttlMs };
    this.fence = { token: heirToken, epoch: nextEpoch, state: 'held', was: undefined, conn: '', beat: 0 };
    this.#note(nextEpoch, heirToken);
    return true;
  }

  save(epoch: number, value: number): boolean {
    if (this.#plant !== 'no-epoch-check' && this.fence?.epoch !== epoch) return false;
    const before = this.checkpoint;
    if (before?.epoch === epoch && value < before.value) return false;
    if (before !== undefined && epoch < before.epoch) this.violation ??= `S3: a checkpoint of epoch ${String(epoch)} replaced one of ${String(before.epoch)}`;
    this.checkpoint = { epoch, value };
    return true;
  }

  wipe(serial: number): void {
    this.lock = undefined;
    this.fence = undefined;
    this.checkpoint = undefined;
    this.incarnation = `i${String(serial)}`;
    this.lostData = true;
  }

  /** S1: an epoch belongs to one token, and each new one is higher than all before. */
  #note(epoch: number, token: string): void {
    const owner = this.epochs.get(epoch);
    if (owner !== undefined && owner !== token) this.violation ??= `S1: epoch ${String(epoch)} was given twice`;
    else if (epoch <= this.highest && owner === undefined) this.violation ??= `S1: epoch ${String(epoch)} after ${String(this.highest)}`;
    this.epochs.set(epoch, token);
    this.highest = Math.max(this.highest, epoch);
  }
}

class Pod {
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
  readonly #world: World;
  #timer = 0;
  #backlog: (() => void)[] = [];

  constructor(id: string, world: World, rate: number, offset: number) {
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
    if (this.#world.plant === 'deadline-from-reply' && this.state.role.kind === 'leading' && (input.kind === 'renewed' || input.kind === 'acquired')) {
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
      if (mine === this.#timer) this.receive(() => { this.dispatch({ kind: 'tick', unit: this.#world.random(), slackMs: 0 }); });
    });
  }

  /** A gate a timer would shut, as `using` does: it stays open in a process that was stopped. */
  mayAct(): boolean {
    return this.#world.plant === 'timer-gate' ? this.socket : leaseOpen(this.state, this.local());
  }
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
  #storeLossUntil = -1;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions, random: () => number) {
    this.#options = options;
    this.plant = options.plant;
    this.random = random;
    this.store = new StoreModel(() => this.clock.now, options.plant);
    for (let n = 0; n < options.pods; n += 1) this.pods.push(new Pod(`p${String(n)}`, this, 0.99 + random() * 0.02, random() * 1e6));
  }

  /** @returns what was violated, or undefined. */
  run(): string | undefined {
    for (const pod of this.pods) this.clock.after(this.random() * 500, () => { this.#connect(pod); });
    this.#planFault();
    this.#deliver();
    this.clock.run(this.#options.faultsMs, () => { this.#check(); });
    this.#heal();
    this.clock.run(this.#options.faultsMs + CONVERGE_MS, () => { this.#check(); });
    const before = this.acted;
    this.clock.run(this.#options.faultsMs + CONVERGE_MS + SETTLE_MS, () => { this.#check(); });
    if (this.violation === undefined && this.acted === before) this.violation = 'L1: nobody leads after the faults ended';
    return this.violation ?? this.store.violation;
  }

  perform(pod: Pod, effect: LeaseEffect): void {
    if (effect.kind !== 'observe' && effect.kind !== 'prove') this.trace?.(`${this.clock.now.toFixed(1)} ${pod.id} ${JSON.stringify(effect)}`);
    switch (effect.kind) {
      case 'observe': {
        const sentAtMs = pod.local();
        return this.#call(pod, () => this.store.view(), (view) => { pod.dispatch({ kind: 'observed', view, sentAtMs, rank: this.#rank(pod), unit: this.random() }); }, () => { pod.dispatch({ kind: 'look-failed' }); });
      }
      case 'prove':
        return this.#call(pod, () => !this.store.conns.has(effect.conn), (gone) => { pod.dispatch({ kind: 'proof', conn: effect.conn, gone }); }, () => { pod.dispatch({ kind: 'proof', conn: effect.conn, gone: undefined }); });
      case 'break':
        this.seen.add(effect.why);
        return this.#call(pod, () => { this.store.break(effect.token, effect.why === 'no_renewal' ? undefined : effect.conn); }, () => { pod.dispatch({ kind: 'broken' }); }, () => undefined);
      case 'acquire':
        return this.#acquire(pod, effect);
      case 'renew':
        return this.#renew(pod, effect);
      case 'release':
        return this.#call(pod, () => { this.store.release(effect.token); }, () => undefined, () => undefined);
      case 'offer':
        return this.#offer(pod, effect.heir);
      case 'drain':
        this.clock.after(20, () => { pod.receive(() => { pod.dispatch({ kind: 'drained', epoch: pod.state.role.kind === 'leading' ? pod.state.role.epoch : 0 }); }); });
        return;
      case 'transfer':
        this.#close(pod);
        return this.#call(pod, () => this.store.transfer(effect.token, effect.epoch, effect.nextEpoch, effect.heirToken), (ok) => { pod.dispatch({ kind: 'transferred', epoch: effect.epoch, ok }); }, () => { pod.dispatch({ kind: 'transferred', epoch: effect.epoch, ok: false }); });
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
        this.clock.after(800, () => { pod.receive(() => { if (pod.conn === conn) failed(); }); });
        return;
      }
      const value = work();
      this.clock.after(back, () => { pod.receive(() => { if (pod.conn === conn) then(value); }); });
    });
  }

  #delay(): number {
    return this.random() < 0.02 && this.#faulty ? this.random() * 700 : 0.1 + this.random() * 3;
  }

  #acquire(pod: Pod, effect: Extract<LeaseEffect, { kind: 'acquire' }>): void {
    this.#tokens += 1;
    const token = `t${String(this.#tokens)}`;
    const { conn } = pod;
    const { gen } = effect;
    this.#call(
      pod,
      () => ({ answer: this.store.acquire(token, effect, conn), storeMs: this.store.time, incarnation: `${this.store.incarnation}@${this.store.run}` }),
      ({ answer, storeMs, incarnation: seen }) => {
        if (typeof answer === 'string') pod.dispatch({ kind: 'not-acquired', gen, why: answer });
        else pod.dispatch({ kind: 'acquired', gen, token, epoch: answer.epoch, storeMs, incarnation: seen, unit: this.random() });
      },
      () => { pod.dispatch({ kind: 'not-acquired', gen, why: 'failed' }); },
    );
  }

  #renew(pod: Pod, { gen, token, epoch, notAfterStoreMs }: Extract<LeaseEffect, { kind: 'renew' }>): void {
    const { conn } = pod;
    this.#call(
      pod,
      () => ({ answer: this.store.renew(token, epoch, notAfterStoreMs, conn), storeMs: this.store.time, incarnation: `${this.store.incarnation}@${this.store.run}` }),
      ({ answer, storeMs, incarnation }) => {
        if (answer === 'renewed') pod.dispatch({ kind: 'renewed', gen, storeMs, incarnation, unit: this.random() });
        else pod.dispatch({ kind: 'not-renewed', gen, why: answer });
      },
      () => { pod.dispatch({ kind: 'not-renewed', gen, why: 'failed' }); },
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
        this.clock.after(this.#delay(), () => { from.receive(() => { from.dispatch({ kind: 'warm', heir: heirId, token }); }); });
        // The notice of the transfer is heard, or it is not: then the lock itself is seen.
        for (const ms of [30, 60, 200]) this.clock.after(ms, () => { heir.receive(() => { heir.dispatch({ kind: 'notice', unit: this.random() }); }); });
      });
    });
  }

  #rank(pod: Pod): number {
    return this.pods.filter((other) => other.alive && other.linked).indexOf(pod);
  }

  #connect(pod: Pod): void {
    if (!pod.alive || pod.linked) return;
    if (!this.store.up || pod.frozen) {
      this.clock.after(100 + this.random() * 400, () => { this.#connect(pod); });
      return;
    }
    this.#serial += 1;
    pod.conn = `c${String(this.#serial)}`;
    this.store.conns.add(pod.conn);
    pod.linked = true;
    pod.receive(() => { pod.dispatch({ kind: 'link', state: 'up' }); });
  }

  /** The connection ends; both sides see it at about the same time. */
  #disconnect(pod: Pod, refused: boolean): void {
    if (!pod.linked) return;
    this.store.conns.delete(pod.conn);
    pod.linked = false;
    pod.conn = '';
    pod.receive(() => { pod.dispatch({ kind: 'link', state: refused ? 'refused' : 'lost' }); });
    this.clock.after(20 + this.random() * 300, () => { this.#connect(pod); });
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
    const kinds = ['kill', 'freeze', 'cut', 'reset', 'store-down', 'store-freeze', 'wipe', 'failover', 'clock', 'hand-over', 'expire'] as const;
    const kind = kinds[Math.floor(this.random() * kinds.length)] ?? 'kill';
    this.seen.add(`fault ${kind}`);
    this.trace?.(`${this.clock.now.toFixed(1)} FAULT ${kind} leader ${leader.id}`);
    switch (kind) {
      case 'kill':
        return this.#kill(this.random() < 0.7 ? leader : pod);
      case 'freeze':
        leader.frozen = true;
        this.clock.after(200 + this.random() * POLICY.ttlMs * 2, () => { if (leader.alive) leader.thaw(); });
        return;
      case 'cut': {
        // Packets are dropped: nobody is told; the client gives up after its socket timeout.
        const { conn } = leader;
        if (conn === '') return;
        this.store.conns.delete(conn);
        this.store.conns.add(`ghost-${conn}`);
        if (this.store.fence?.conn === conn) this.store.fence.conn = `ghost-${conn}`;
        this.clock.after(2500, () => { if (leader.conn === conn) this.#disconnect(leader, false); });
        return;
      }
      case 'reset':
        return this.#disconnect(this.random() < 0.7 ? leader : pod, false);
      case 'store-down':
        return this.#storeDown(200 + this.random() * POLICY.ttlMs * 2, () => undefined);
      case 'store-freeze':
        this.store.up = false;
        this.clock.after(200 + this.random() * POLICY.ttlMs * 2, () => { this.store.up = true; });
        return;
      case 'wipe':
        // FLUSHALL, or a restart without data.
        if (this.random() < 0.5) return this.#wipe();
        return this.#storeDown(50 + this.random() * 3000, () => { this.#wipe(); });
      case 'failover': {
        // A replica that lacks the last moments takes over.
        const old = { lock: this.store.lock === undefined ? undefined : { ...this.store.lock }, fence: this.store.fence === undefined ? undefined : { ...this.store.fence }, checkpoint: this.store.checkpoint };
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
        this.store.clockAheadMs += (this.random() - 0.3) * 10_000;
        return;
      case 'hand-over':
        return leader.receive(() => { leader.dispatch({ kind: 'hand-over', heirs: this.pods.filter((one) => one !== leader && one.alive).map((one) => one.id), final: false, drainMs: 5000 }); });
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
    this.#storeLossUntil = this.clock.now + POLICY.ttlMs;
    // What was promised before is forgotten: growth is judged anew where the store itself went back.
    this.store.violation ??= undefined;
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
    this.clock.after(300 + this.random() * 3000, () => { this.#connect(next); });
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
        this.clock.after(this.#delay() + (this.random() < 0.1 ? this.random() * 9000 : 0), () => { if (this.store.up) this.store.save(role.epoch, value); });
      }
      this.#deliver();
    });
  }

  /** S2: at no true instant may two processes act; S4: nor may one past its deadline. */
  #check(): void {
    this.violation ??= this.store.violation;
    const acting = this.pods.filter((pod) => pod.alive && !pod.frozen && pod.mayAct());
    if (acting.length > 1) this.violation ??= `S2: ${acting.map((pod) => pod.id).join(' and ')} act at ${this.clock.now.toFixed(1)}`;
    for (const pod of acting) {
      const { role } = pod.state;
      if (role.kind === 'leading' && pod.local() >= role.deadlineMs) this.violation ??= `S4: ${pod.id} acts after its deadline at ${this.clock.now.toFixed(1)}`;
    }
  }

  get storeLossUntil(): number {
    return this.#storeLossUntil;
  }
}
