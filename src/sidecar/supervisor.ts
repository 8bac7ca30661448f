import type { ClientPlan, StreamPlan } from '../config/resolve.ts';
import { backoffDelay } from '../core/backoff.ts';
import { HoldfastError } from '../core/failure.ts';
import { PullDelivery } from '../delivery/pull.ts';
import { DeadLetters } from '../delivery/dead-letters.ts';
import type { ServedStream } from '../delivery/server.ts';
import { ClientDriver } from './client.ts';
import type { Deps } from './deps.ts';
import { StreamDriver } from './stream.ts';

const STORE_BACKOFF = { baseMs: 200, multiplier: 2, maxMs: 5000, jitterLow: 0.5, jitterHigh: 1.5 };

/** Everything one replica holds: its OAuth clients and their streams. Starts them, stops them in order, tells how they are. */
export class Supervisor {
  readonly #plans: readonly ClientPlan[];
  readonly #deps: Deps;
  readonly #clients: ClientDriver[] = [];
  readonly #streams = new Map<string, StreamDriver>();
  readonly #startedEpochMs: number;
  #storeTrouble: string | undefined;
  /** Streams that cannot be held until somebody intervenes, and why. */
  readonly #broken = new Map<string, string>();
  #stopping = false;

  constructor(plans: readonly ClientPlan[], deps: Deps) {
    this.#plans = plans;
    this.#deps = deps;
    this.#startedEpochMs = deps.nowEpochMs();
  }

  /** Starts every client in the background; a store that does not answer is waited for, never a reason to exit. */
  start(): void {
    for (const plan of this.#plans) {
      this.#startClient(plan).catch((error: unknown) => {
        this.#storeTrouble = error instanceof HoldfastError ? error.code : 'internal';
        this.#deps.log.fatal({ err: error, client: plan.name }, 'the client could not be started');
      });
    }
  }

  /** Drains: no dial, no new delivery, acknowledgements are awaited, checkpoints written, sockets closed with 1000. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#streams.values()].map((stream) => stream.stop(limitMs)));
    for (const client of this.#clients) client.stop();
  }

  /** The streams as the delivery server sees them. */
  served(): ReadonlyMap<string, ServedStream> {
    const out = new Map<string, ServedStream>();
    for (const [name, stream] of this.#streams) {
      out.set(name, {
        name,
        epoch: stream.epoch,
        pull: stream.delivery instanceof PullDelivery ? stream.delivery : undefined,
        letters: new DeadLetters(stream.letters),
        maxInFlight: stream.plan.delivery.maxInFlight,
        cursorKnown: (cursor) => stream.cursorKnown(cursor),
      });
    }
    return out;
  }

  /** Ready: the process does what it is for, or will as soon as others let it. A platform outage does not take the pod out of service. */
  get ready(): boolean {
    return !this.#stopping && this.#storeTrouble === undefined && this.#streams.size === this.#plans.reduce((sum, plan) => sum + plan.streams.length, 0);
  }

  status(): Record<string, unknown> {
    return {
      identity: { pod: this.#deps.identity.pod, namespace: this.#deps.identity.namespace, uid: this.#deps.identity.uid },
      startedAt: new Date(this.#startedEpochMs).toISOString(),
      ready: this.ready,
      store: { kind: this.#deps.store.kind, trouble: this.#storeTrouble },
      broken: Object.fromEntries(this.#broken),
      clients: this.#clients.map((client) => client.status()),
      streams: [...this.#streams.values()].map((stream) => stream.status()),
    };
  }

  async #startClient(plan: ClientPlan): Promise<void> {
    const epoch = await this.#patiently(plan, () => this.#deps.store.claim(plan.name, `${this.#deps.identity.namespace}/${this.#deps.identity.pod}/${this.#deps.identity.uid}`, 0));
    if (epoch === undefined) return;
    const client = new ClientDriver(plan, this.#deps);
    this.#clients.push(client);
    client.start(epoch);
    for (const one of plan.streams) await this.#startStream(plan, one, epoch, client);
    this.#deps.log.info({ client: plan.name, epoch, streams: plan.streams.length }, 'client started');
  }

  /** A stream that cannot start leaves the others alone. */
  async #startStream(plan: ClientPlan, one: StreamPlan, epoch: number, client: ClientDriver): Promise<void> {
    try {
      const stream = new StreamDriver(one, epoch, client, this.#deps);
      client.add(stream);
      const started = await this.#patiently(plan, async () => {
        await stream.start();
        return true;
      });
      if (started !== undefined) this.#streams.set(one.name, stream);
    } catch (error) {
      this.#broken.set(one.name, error instanceof HoldfastError ? error.code : 'internal');
      this.#deps.log.fatal({ err: error, stream: one.name }, 'the stream could not be started');
    }
  }

  /** Tries until the store answers or we stop. A store whose content cannot be used is not waited for. */
  async #patiently<T>(plan: ClientPlan, work: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 0; !this.#stopping; attempt += 1) {
      try {
        const result = await work();
        this.#storeTrouble = undefined;
        return result;
      } catch (error) {
        if (!(error instanceof HoldfastError) || error.disposition !== 'retry') throw error;
        this.#storeTrouble = error.code;
        if (attempt === 0) this.#deps.log.warn({ err: error, client: plan.name }, 'the store does not answer; waiting for it');
        await new Promise((resolve) => setTimeout(resolve, backoffDelay(STORE_BACKOFF, attempt, this.#deps.random())));
      }
    }
    return undefined;
  }
}
