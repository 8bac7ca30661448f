import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Keeps an idle connection of a sidecar open for this long: longer than a sidecar does. */
const KEEP_ALIVE_MS = 30_000;
/** Latencies that stay when older ones are forgotten, at twice as many. */
const LATENCIES_KEPT = 5000;

/** One event that the sample consumer received. */
export interface Received {
  readonly id: string;
  readonly type: string;
  readonly stream: string;
  readonly sequence: string | undefined;
  readonly key: string;
  readonly attempt: number;
  readonly replay: string;
  readonly epoch: string;
  readonly data: unknown;
  readonly atMs: number;
  readonly platformAtMs: number;
  /** Sender of the push: the last segment of the request's path. */
  readonly via: string;
  /** CLOCK_MONOTONIC in ns when it was taken. */
  readonly t: bigint;
}

/**
 * Its way of answering: a status for everything, or a decision per event. `delayMs` makes it slow; `hang` never
 * answers.
 */
export interface Behaviour {
  status: number;
  delayMs: number;
  hang: boolean;
  retryAfter: number | undefined;
  /** Returns the status for one event; undefined: take it. */
  decide: ((event: Received) => number | undefined) | undefined;
}

/**
 * Takes events as a user's consumer would: CloudEvents by HTTP push (structured or batch), remembers ids, answers 2xx.
 */
export class SampleConsumer {
  readonly received: Received[] = [];
  readonly behaviour: Behaviour = { status: 204, delayMs: 0, hang: false, retryAfter: undefined, decide: undefined };
  #server: Server;
  readonly #ids = new Set<string>();
  port = 0;
  /** Distinct data events taken. */
  distinct = 0;
  /** Data events that came again after they had been taken. */
  repeats = 0;
  controls: Received[] = [];
  latenciesMs: number[] = [];
  requests = 0;
  /** Called with every event that was taken, before the answer is sent. */
  onTaken: ((events: readonly Received[]) => void) | undefined;
  /** Called with the same events when the answer is sent. */
  onAcknowledged: ((events: readonly Received[]) => void) | undefined;

  constructor() {
    this.#server = this.#create();
  }

  #create(): Server {
    const server = createServer((request, response) => {
      this.requests += 1;
      void this.#take(request).then(({ status, taken }) => {
        if (status === undefined) return; // hangs
        if (this.behaviour.retryAfter !== undefined)
          response.setHeader('retry-after', String(this.behaviour.retryAfter));
        const finish = (): void => {
          if (taken.length > 0 && !response.destroyed) this.onAcknowledged?.(taken);
          response.writeHead(status).end();
        };
        if (this.behaviour.delayMs > 0) setTimeout(finish, this.behaviour.delayMs);
        else finish();
      });
    });
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    return server;
  }

  /** Listens again after `close`, on the same port. */
  async again(port: number): Promise<number> {
    this.#server = this.#create();
    return this.listen(port);
  }

  async listen(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    return this.port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  async #take(
    request: IncomingMessage,
  ): Promise<{ readonly status: number | undefined; readonly taken: readonly Received[] }> {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    if (request.method !== 'POST') return { status: 204, taken: [] };
    if (this.behaviour.hang) return { status: undefined, taken: [] };
    const events = eventsIn(Buffer.concat(parts), request.url ?? '');
    const decided = events.map((event) => this.behaviour.decide?.(event)).find((status) => status !== undefined);
    const status = decided ?? this.behaviour.status;
    if (status < 200 || status >= 300) return { status, taken: [] };
    for (const event of events) this.#keep(event);
    this.onTaken?.(events);
    return { status, taken: events };
  }

  #keep(event: Received): void {
    this.received.push(event);
    if (event.type.startsWith('dev.holdfast.')) {
      this.controls.push(event);
      return;
    }
    if (this.#ids.has(event.id)) this.repeats += 1;
    else {
      this.#ids.add(event.id);
      this.distinct += 1;
      if (event.replay === 'live') this.latenciesMs.push(event.atMs - event.platformAtMs);
      if (this.latenciesMs.length > 2 * LATENCIES_KEPT) this.latenciesMs = this.latenciesMs.slice(-LATENCIES_KEPT);
    }
  }
}

/** Returns the events of one request: a batch, or one alone. */
function eventsIn(text: Buffer, path: string): readonly Received[] {
  const body: unknown = JSON.parse(text.toString());
  const via = path.split('/').at(-1) ?? '';
  return (Array.isArray(body) ? body : [body]).map((one) => toReceived(one as Record<string, unknown>, via));
}

function toReceived(ce: Record<string, unknown>, via: string): Received {
  const text = (name: string): string => {
    const value = ce[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  return {
    id: text('id'),
    type: text('type'),
    stream: text('source').split('/').at(-1) ?? '',
    sequence: typeof ce['sequence'] === 'string' ? ce['sequence'] : undefined,
    key: text('partitionkey'),
    attempt: Number(ce['hfattempt']),
    replay: text('hfreplay'),
    epoch: text('hfepoch'),
    data: ce['data'],
    atMs: Date.now(),
    platformAtMs: Date.parse(text('time')),
    via,
    t: process.hrtime.bigint(),
  };
}
