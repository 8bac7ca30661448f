import type { StreamPlan } from '../../src/config/plan.ts';
import type { DialTarget } from '../../src/platforms/dial-target.ts';
import type { Position } from '../../src/platforms/profile.ts';
import type { ClientPort } from '../../src/sidecar/client/client-port.ts';
import { LeaseGrant, type HeldLease } from '../../src/sidecar/runtime/lease-grant.ts';
import type { Deps } from '../../src/sidecar/runtime/environment.ts';
import { StoreTrouble } from '../../src/sidecar/runtime/store-trouble.ts';
import { StreamDriver } from '../../src/sidecar/stream/stream-driver.ts';
import type { PlatformSocket } from '../../src/sidecar/runtime/transports.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { SocketHandlers } from '../../src/upstream/stream-socket.ts';
import type { ConsumerModel } from './stream-consumer.ts';
import type { PlatformModel } from './platform.ts';
import type { StoreModel } from './stream-store.ts';
import { schedulerOf, type VirtualTime } from './virtual-time.ts';

/** What the network between a pod and the platform does. */
export interface Wire {
  latencyMs: number;
  /** Dials are refused until then. */
  downUntilMs: number;
  /** Nothing gets through until then, and nobody is told. */
  silentUntilMs: number;
}

export interface Outside {
  readonly time: VirtualTime;
  readonly unit: () => number;
  readonly platform: PlatformModel;
  readonly wire: Wire;
  readonly store: StoreModel;
  readonly consumer: ConsumerModel;
  readonly plan: StreamPlan;
  readonly mode: 'structured' | 'batch';
  /** A link of this term opened. */
  readonly opened: () => void;
}

const METRICS = createMetrics();
const SILENT = new Proxy({}, { get: () => (): undefined => undefined });
const SERVER_PING_MS = 30_000;
/** Time between two frames that follow one another closely. */
const FRAME_MS = 0.05;
const RESET_MS = 500;
/** Frames the network holds back while the sidecar does not read. */
const BACKLOG_FRAMES = 100_000;

/** One term of one pod: the real driver with everything around it simulated. Killed, it does nothing any more. */
export class Term implements LinkOwner {
  readonly driver: StreamDriver;
  readonly epoch: number;
  readonly #out: Outside;
  readonly #wallMs: number;
  readonly #links = new Set<SimLink>();
  alive = true;
  /** The lease allows acting. */
  open: boolean;

  /** @param wallMs how far this pod's wall clock is off. */
  constructor(out: Outside, epoch: number, { wallMs, open }: { readonly wallMs: number; readonly open: boolean }) {
    this.#out = out;
    this.epoch = epoch;
    this.#wallMs = wallMs;
    this.open = open;
    this.driver = new StreamDriver(out.plan, this.#client(), this.#deps());
  }

  get wallMs(): number {
    return this.#wallMs;
  }

  kill(): void {
    this.alive = false;
    for (const link of this.#links) link.drop();
  }

  /** The platform, or the network, ends the open links. */
  dropLinks(closeCode: number): void {
    for (const link of this.#links) link.lose(closeCode);
  }

  /** What the platform made meanwhile goes out on the open links. */
  flow(): void {
    for (const link of this.#links) link.flow();
  }

  /** Since when the link that is longest unread is not read. */
  get unreadSinceMs(): number {
    return Math.min(Infinity, ...[...this.#links].map(({ pausedSinceMs }) => pausedSinceMs));
  }

  get connected(): boolean {
    return this.#links.size > 0;
  }

  #deps(): Deps {
    const { time, unit, store, consumer, mode, plan } = this.#out;
    const alive = (): boolean => this.alive;
    const base = {
      identity: { pod: 'p', namespace: 'n', uid: 'u', revision: '', egress: 'e', salt: 0 },
      store,
      leases: { storeAheadMs: -this.#wallMs },
      metrics: METRICS,
      audit: SILENT,
      log: SILENT,
      secrets: SILENT,
      schedule: schedulerOf(time, alive),
      transports: {
        link: (target: DialTarget, _options: unknown, handlers: SocketHandlers) => this.#dial(target, handlers),
        push: () => consumer.transport({ mode, limitMs: plan.delivery.ackTimeout }, this.epoch, alive),
      },
      nowMs: () => time.nowMs,
      nowEpochMs: () => EPOCH_MS + Math.floor(time.nowMs) + this.#wallMs,
      random: unit,
      randomId: () => Math.floor(unit() * 2 ** 32).toString(16),
      storeTrouble: new StoreTrouble(),
      refusals: SILENT,
    };
    return base as unknown as Deps;
  }

  #client(): ClientPort {
    let asked = 0;
    const nothing = (): void => undefined;
    return {
      ask: () => {
        asked += 1;
        const mine = asked;
        this.#out.time.in(1 + 20 * this.#out.unit(), () => {
          if (this.alive && mine === asked) this.driver.admitted({ id: 't', expiresAtMs: 1e15 });
        });
      },
      cancel: () => {
        asked += 1;
      },
      report: nothing,
      hold: nothing,
      tripBreaker: nothing,
      tokenRejected: nothing,
      tokenSuspect: nothing,
      tokenAdopted: nothing,
      tokenText: () => 'token',
      leave: nothing,
      lease: new LeaseGrant('lease', this.#held(), { doubt: nothing }, { epoch: this.epoch, warming: false }),
      rest: () => Promise.resolve(undefined),
      restrained: false,
    };
  }

  /** The lease as the world has it: open or in doubt, and over once the pod is dead. */
  #held(): HeldLease {
    const open = (): boolean => this.open && this.alive;
    return {
      epoch: this.epoch,
      holder: '',
      get openUntilMs() {
        return open() ? Infinity : -Infinity;
      },
    };
  }

  #dial(target: DialTarget, handlers: SocketHandlers): PlatformSocket {
    const link = new SimLink(this.#out, handlers, this);
    link.dial(positionIn(this.#out.plan, target));
    return link;
  }

  linkOpened(link: SimLink): void {
    this.#links.add(link);
    this.#out.opened();
  }

  linkEnded(link: SimLink): void {
    this.#links.delete(link);
  }
}

/** Virtual time 0 by the true wall clock. */
export const EPOCH_MS = 1_750_000_000_000;

function positionIn({ profile }: StreamPlan, target: DialTarget): Position | undefined {
  const query = new URL(target.url).searchParams;
  const { kind, param } = profile.resume;
  const value = query.get(param) ?? query.get('lastEventId');
  if (kind === undefined || value === null) return undefined;
  return kind === 'since' ? { kind, value: String(Date.parse(value)) } : { kind, value };
}

/** What a link needs of the term that it belongs to. */
interface LinkOwner {
  readonly alive: boolean;
  linkOpened(link: SimLink): void;
  linkEnded(link: SimLink): void;
}

/** One connection. */
class SimLink implements PlatformSocket {
  readonly #out: Outside;
  readonly #handlers: SocketHandlers;
  readonly #pod: LinkOwner;
  #id: number | undefined;
  /** Since when nothing is read; Infinity while it is. */
  pausedSinceMs = Infinity;
  #ended = false;
  #cut = false;
  /** The platform has sent its close frame. */
  #closing = false;
  #draining = false;
  #paused = false;
  /** Arrived, and not read while paused. */
  readonly #unread: (() => void)[] = [];
  #arrivesMs = 0;

  constructor(out: Outside, handlers: SocketHandlers, pod: LinkOwner) {
    this.#out = out;
    this.#handlers = handlers;
    this.#pod = pod;
  }

  dial(position: Position | undefined): void {
    const { time, wire, platform } = this.#out;
    this.#later(() => {
      if (time.nowMs < wire.downUntilMs) return this.#end({ stage: 'dial', error: 'ECONNREFUSED' });
      const answer = platform.connect(position, EPOCH_MS + time.nowMs);
      if (answer.kind === 'refused') return this.#end({ stage: 'upgrade', status: answer.status }, answer.oldest);
      this.#id = answer.link;
      this.#pod.linkOpened(this);
      this.#handlers.opened();
      for (const frame of answer.frames) this.#arrive(frame);
      this.#pingOften();
    });
  }

  flow(): void {
    if (this.#id === undefined || this.#ended || this.#closing) return;
    for (const frame of this.#out.platform.due(this.#id)) this.#arrive(frame);
  }

  /**
   *  The connection is reset (1006): what was under way does not arrive. Else a close frame comes behind all of that.
   */
  lose(closeCode: number): void {
    if (this.#id === undefined || this.#ended) return;
    const end = (): void => {
      this.#end({ stage: 'stream', closeCode });
    };
    const { nowMs } = this.#out.time;
    if (closeCode === 1006 || this.#cut || !(this.#paused || this.#unread.length > 0 || this.#arrivesMs > nowMs))
      return end();
    if (this.#closing) return;
    this.#closing = true;
    this.#out.platform.disconnect(this.#id);
    this.#arrivesMs = Math.max(this.#arrivesMs + FRAME_MS, nowMs);
    this.#inTurn(end);
  }

  /** The pod is gone. */
  drop(): void {
    this.#ended = true;
    if (this.#id !== undefined) this.#out.platform.disconnect(this.#id);
  }

  send(): void {
    return undefined;
  }
  pause(paused: boolean): void {
    if (paused && !this.#paused) this.pausedSinceMs = this.#out.time.nowMs;
    if (!paused) this.pausedSinceMs = Infinity;
    this.#paused = paused;
    if (!paused && this.#unread.length > 0) this.#drainSoon();
  }
  ping(payload: string): void {
    this.#read(() => {
      this.#handlers.pong(payload);
    });
  }
  /** What the platform had sent before it saw our close still arrives. */
  close(): void {
    this.#read(() => {
      this.#end({ stage: 'stream', closeCode: 1000 });
    });
  }
  terminate(): void {
    this.#out.time.in(0, () => {
      this.#end({ stage: 'stream', closeCode: 1006 });
    });
  }

  #pingOften(): void {
    this.#out.time.in(SERVER_PING_MS, () => {
      if (this.#ended) return;
      this.#read(() => {
        this.#handlers.serverPing();
      });
      this.#pingOften();
    });
  }

  #arrive(frame: Buffer): void {
    this.#read(() => {
      this.#handlers.message(frame, false);
    });
  }

  /** Arrives in order after the way it takes, and is read unless reading is paused. */
  #read(act: () => void): void {
    const { time, wire, unit } = this.#out;
    if (time.nowMs < wire.silentUntilMs && !this.#cut) this.#cutOff(wire.silentUntilMs - time.nowMs);
    if (this.#cut) return;
    this.#arrivesMs = Math.max(this.#arrivesMs + FRAME_MS, time.nowMs + wire.latencyMs * (0.5 + unit()));
    this.#inTurn(act);
  }

  #inTurn(act: () => void): void {
    const { time } = this.#out;
    time.in(this.#arrivesMs - time.nowMs, () => {
      if (this.#ended || this.#cut || !this.#pod.alive) return;
      if (!this.#paused && this.#unread.length === 0) return act();
      if (this.#unread.length < BACKLOG_FRAMES) this.#unread.push(act);
    });
  }

  /** Reads on, one frame after the other, until reading is paused again. */
  #drainSoon(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#out.time.in(FRAME_MS, () => {
      this.#draining = false;
      if (this.#ended || this.#paused || !this.#pod.alive) return;
      this.#unread.shift()?.();
      if (this.#unread.length > 0) this.#drainSoon();
    });
  }

  /** What is lost on the way is never made good: when the way is there again the connection is reset. */
  #cutOff(lastsMs: number): void {
    this.#cut = true;
    this.#out.time.in(lastsMs + RESET_MS, () => {
      this.lose(1006);
    });
  }

  #later(act: () => void): void {
    this.#out.time.in(this.#out.wire.latencyMs * 2, () => {
      if (!this.#ended && this.#pod.alive) act();
    });
  }

  #end(failure: Parameters<SocketHandlers['ended']>[0], oldest?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#id !== undefined) this.#out.platform.disconnect(this.#id);
    this.#pod.linkEnded(this);
    if (this.#pod.alive) this.#handlers.ended(failure, { text: '', oldest });
  }
}
