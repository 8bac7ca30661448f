/**
 * Admission: the webhook that attaches sidecars to new pods, and its certificates. It never blocks a pod without our
 * label and writes nothing but its certificates and the trust in them; what a pod gets is computed by attach/, objects
 * come from api/. It never starts, stops or reads a stream.
 */

import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { listenOn } from '../../config/listen-on.ts';
import { readBody } from '../../config/read-body.ts';
import { admissionReview, type AdmissionRequest, type Known } from './admission-review.ts';
import type { AttachSettings } from '../attach/attach.ts';

/** Largest pod the API server can send. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Time in which a review must have come whole, as long as the API server waits for a webhook by default. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Longer than the API server keeps an idle connection, so that it never writes into one that we close. */
const KEEP_ALIVE_MS = 120_000;

export interface WebhookHost {
  readonly known: Known;
  readonly settings: AttachSettings;
  readonly state: WebhookState;
  readonly nowMs: () => number;
}

/** What the process around the webhook knows and counts. The injector implements it. */
export interface WebhookState {
  /** What is known of the cluster is complete: before that no pod is answered. */
  readonly ready: boolean;
  /** Returns the metrics as Prometheus text. */
  metrics(): string;
  answered(outcome: 'attached' | 'unchanged' | 'denied' | 'failed', ms: number): void;
}

/** Serves the admission webhook: POST /mutate over TLS; probes and metrics over plain HTTP on a port of their own. */
export class WebhookServer {
  readonly #host: WebhookHost;
  readonly #tls: TlsServer;
  readonly #plain: Server;

  constructor(host: WebhookHost) {
    this.#host = host;
    this.#tls = createServer({ minVersion: 'TLSv1.2', requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      this.#mutate(request, response).catch(() => {
        this.#host.state.answered('failed', 0);
        end(response, 500, 'text/plain', 'the review could not be answered\n');
      });
    });
    this.#tls.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#plain = createPlainServer((request, response) => {
      this.#probe(request, response);
    });
  }

  /** Sets the certificates to serve with from now on; connections that are open go on with theirs. */
  serve({ cert, key }: { readonly cert: string; readonly key: string }): void {
    this.#tls.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
  }

  async listen(ports: {
    readonly host: string;
    readonly webhook: number;
    readonly admin: number;
  }): Promise<{ readonly webhook: number; readonly admin: number }> {
    const open = async (server: Server | TlsServer, port: number): Promise<number> => {
      await listenOn(server, port, ports.host);
      return (server.address() as AddressInfo).port;
    };
    return { webhook: await open(this.#tls, ports.webhook), admin: await open(this.#plain, ports.admin) };
  }

  /** Answers requests that have begun, at most for `limitMs`. */
  async close(limitMs: number): Promise<void> {
    const closed = Promise.all(
      [this.#tls, this.#plain].map((server) => new Promise((resolve) => server.close(resolve))),
    );
    this.#tls.closeIdleConnections();
    await Promise.race([
      closed,
      new Promise((resolve) => {
        setTimeout(resolve, limitMs).unref();
      }),
    ]);
    this.#tls.closeAllConnections();
    this.#plain.closeAllConnections();
  }

  async #mutate(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = this.#host.nowMs();
    if (request.method !== 'POST' || request.url?.startsWith('/mutate') !== true)
      return end(response, 404, 'text/plain', 'POST an AdmissionReview to /mutate\n');
    const body = await readBody(request, MAX_BODY_BYTES);
    const review = body === undefined ? undefined : reviewOf(body.toString('utf8'));
    if (review === undefined)
      return end(response, 400, 'text/plain', 'not an AdmissionReview of admission.k8s.io/v1\n');
    if (!this.#host.state.ready) return end(response, 503, 'text/plain', 'not ready yet\n');
    const answered = admissionReview(review, this.#host.known, this.#host.settings);
    this.#host.state.answered(
      answered.patch !== undefined ? 'attached' : answered.allowed ? 'unchanged' : 'denied',
      this.#host.nowMs() - began,
    );
    end(
      response,
      200,
      'application/json',
      JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answered }),
    );
  }

  #probe(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    if (request.url === '/healthz') return end(response, 200, 'text/plain', 'ok\n');
    if (request.url === '/readyz')
      return this.#host.state.ready
        ? end(response, 200, 'text/plain', 'ready\n')
        : end(response, 503, 'text/plain', 'the cluster was not read yet\n');
    if (request.url === '/metrics') return end(response, 200, 'text/plain; version=0.0.4', this.#host.state.metrics());
    end(response, 404, 'text/plain', 'use /healthz, /readyz or /metrics\n');
  }
}

function reviewOf(body: string): AdmissionRequest | undefined {
  try {
    const review = JSON.parse(body) as { readonly kind?: string; readonly request?: AdmissionRequest };
    return review.kind === 'AdmissionReview' &&
      typeof review.request?.uid === 'string' &&
      Array.isArray((review.request.object as { spec?: { containers?: unknown } } | undefined)?.spec?.containers)
      ? review.request
      : undefined;
  } catch {
    return undefined;
  }
}

function end(response: ServerResponse, status: number, type: string, text: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
