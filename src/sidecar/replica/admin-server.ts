import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { listenOn } from '../../config/listen-on.ts';
import { HoldfastError } from '../../core/errors.ts';
import { originProblem, urlOf } from '../../delivery/delivery-server.ts';
import { createAdminServer } from './connection-limits.ts';
import type { Environment } from '../runtime/environment.ts';
import type { Supervisor } from './supervisor.ts';

/**
 * A scrape is answered from memory when the last one is younger than this: 100 scrapes a second must not cost the
 * streams anything.
 */
const METRICS_CACHE_MS = 250;

/** Serves /healthz, /readyz and /metrics for probes and Prometheus; /status and /audit only to loopback. */
export class AdminServer {
  readonly #supervisor: Supervisor;
  readonly #deps: Environment;
  readonly #server: Server;
  readonly #drainMs: number;
  #metrics = '';
  #metricsAtMs = -Infinity;

  /** @param drainMs budget of an ordered drain. */
  constructor(supervisor: Supervisor, deps: Environment, drainMs: number) {
    this.#drainMs = drainMs;
    this.#supervisor = supervisor;
    this.#deps = deps;
    this.#server = createAdminServer((request, response) => {
      this.#route(request, response).catch((error: unknown) => {
        deps.log.warn({ err: error }, 'admin request failed');
        if (!response.headersSent) response.writeHead(500);
        response.end();
      });
    });
  }

  /** @param port 0 = any free one. @returns the port. */
  async listen(host: string, port: number): Promise<number> {
    await listenOn(this.#server, port, host).catch((error: unknown) => {
      throw new HoldfastError(
        'HF_CONFIG_PORT',
        `the admin port ${String(port)} cannot be used (${String((error as NodeJS.ErrnoException).code)})`,
        { cause: error },
      );
    });
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = urlOf(request);
    if (url === undefined) return send(response, 400, 'text/plain', 'the request target is not a path\n');
    if (request.method === 'POST' && (url.pathname === '/drain' || url.pathname === '/hand-over'))
      return this.#command(request, response, url);
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'use GET\n');
    switch (url.pathname) {
      case '/healthz':
        return send(response, 200, 'text/plain', 'ok\n'); // answered by the event loop: that is what the probe asks
      case '/readyz':
        return this.#supervisor.ready
          ? send(response, 200, 'text/plain', 'ready\n')
          : send(response, 503, 'text/plain', 'not ready\n');
      case '/metrics':
        return send(response, 200, this.#deps.metrics.registry.contentType, await this.#scrape());
      case '/status':
      case '/audit':
        return this.#private(request, response, url);
      default:
        return send(response, 404, 'text/plain', 'use /healthz, /readyz, /metrics, /status or /audit\n');
    }
  }

  /** Carries out orders from loopback: `holdfast drain` and `holdfast hand-over`. Answers when the order is done. */
  async #command(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (!isLocal(request)) return send(response, 403, 'text/plain', 'only from loopback\n');
    request.resume();
    if (url.pathname === '/drain') {
      const done = await this.#supervisor.drain(this.#drainMs);
      return done
        ? send(response, 200, 'text/plain', 'drained\n')
        : send(response, 503, 'text/plain', 'not drained in time: a lease is still held and will expire\n');
    }
    const client = url.searchParams.get('client') ?? '';
    const done = await this.#supervisor.handOver(client);
    send(
      response,
      done ? 200 : 409,
      'text/plain',
      done
        ? 'handed over\n'
        : 'not handed over: this replica does not lead that client, or no other replica could take it\n',
    );
  }

  #private(request: IncomingMessage, response: ServerResponse, url: URL): void {
    if (!isLocal(request)) return send(response, 403, 'text/plain', 'only from loopback\n');
    const since = url.searchParams.get('since') ?? undefined;
    const text =
      url.pathname === '/status'
        ? `${JSON.stringify(this.#supervisor.status(), undefined, 2)}\n`
        : this.#deps.audit
            .recent(since)
            .map((record) => `${JSON.stringify(record)}\n`)
            .join('');
    send(
      response,
      200,
      url.pathname === '/status' ? 'application/json' : 'application/x-ndjson',
      this.#deps.secrets.scrub(text),
    );
  }

  async #scrape(): Promise<string> {
    if (this.#deps.nowMs() - this.#metricsAtMs < METRICS_CACHE_MS) return this.#metrics;
    this.#metricsAtMs = this.#deps.nowMs();
    this.#supervisor.status(); // sets the gauges
    this.#metrics = this.#deps.secrets.scrub(await this.#deps.metrics.registry.metrics());
    return this.#metrics;
  }
}

function isLocal(request: IncomingMessage): boolean {
  const address = request.socket.remoteAddress ?? '';
  const local = address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1';
  return local && originProblem(request) === undefined;
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}
