import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { readBody } from '../config/read-body.ts';
import { HoldfastError } from '../core/errors.ts';
import type { DeadLetterRoutes } from './dead-letter-routes.ts';
import { sendJson, sendProblem } from './problem-json.ts';
import { PROBLEMS_NAMED, type AckProblem } from './pull-delivery.ts';
import type { PullEndpoint } from './pull-endpoint.ts';
import { PullSse } from './pull-sse.ts';
import { idsOf, MAX_IDS, numberOr, parseObject, PullWebsocket } from './pull-websocket.ts';

/** Largest body or message of a consumer. The local API lives on loopback, but a consumer can have a bug. */
const BODY_LIMIT_BYTES = 1024 * 1024;
/** Connections of the local API at one time: a consumer that leaks them must not take all descriptors. */
const MAX_CONNECTIONS = 256;
/** Largest header of a request to the local API. */
const HEADER_LIMIT_BYTES = 16_384;
/** Time in which a request to the local API must have come whole. */
const REQUEST_TIMEOUT_MS = 15_000;
/** How often connections are looked at that exceed REQUEST_TIMEOUT_MS. */
const CHECK_EVERY_MS = 5000;
/** Header lines of a request that are read; further ones are ignored. */
const MAX_HEADERS = 200;
/** Fragments of one message of a consumer. */
const MAX_FRAGMENTS = 1024;
/** Cuts off a consumer that does not answer our close after this. */
const CLOSE_LIMIT_MS = 2000;
// The types of ws do not know the option yet.
const closeTimeout: object = { closeTimeout: CLOSE_LIMIT_MS };

/** The server's view of one stream. */
export interface ServedStream {
  readonly name: string;
  /** Epoch of the latest term; 0: there was none. */
  readonly epoch: number;
  /** undefined: the stream is pushed. */
  readonly pull: PullEndpoint | undefined;
  /** undefined: this replica does not lead the stream. */
  readonly letters: DeadLetterRoutes | undefined;
  readonly maxInFlight: number;
  /** Returns whether the cursor is of this epoch and not beyond the last delivered event. */
  cursorKnown(cursor: string): boolean;
}

/**
 * Serves the consumer's side of the sidecar: WebSocket and SSE pull, acknowledgements, dead letters. Bound to 127.0.0.1
 * only.
 */
export class DeliveryServer {
  readonly #streams: () => ReadonlyMap<string, ServedStream>;
  readonly #server: Server;
  readonly #wss: WebSocketServer;

  constructor(streams: () => ReadonlyMap<string, ServedStream>) {
    this.#streams = streams;
    this.#wss = new WebSocketServer({
      noServer: true,
      maxPayload: BODY_LIMIT_BYTES,
      perMessageDeflate: false,
      maxFragments: MAX_FRAGMENTS,
      ...closeTimeout,
      handleProtocols: (offered) => (offered.has('holdfast.v1') ? 'holdfast.v1' : false),
    });
    this.#server = createServer(
      {
        maxHeaderSize: HEADER_LIMIT_BYTES,
        requestTimeout: REQUEST_TIMEOUT_MS,
        headersTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: CHECK_EVERY_MS,
      },
      (request, response) => {
        this.#route(request, response).catch((error: unknown) => {
          failed(response, error);
        });
      },
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.maxHeadersCount = MAX_HEADERS;
    this.#server.on('upgrade', (request, socket, head) => {
      this.#upgrade(request, socket, head);
    });
    this.#server.on('clientError', (_error, socket: Socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
    });
  }

  /** @param port 0 = any free one. @returns the port. */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          new HoldfastError(
            'HF_CONFIG_PORT',
            `the delivery port ${String(port)} cannot be used (${String(error.code)})`,
            { cause: error },
          ),
        );
      });
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#wss.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = originProblem(request);
    if (refusal !== undefined) return sendProblem(response, 403, 'HF_API_ORIGIN', refusal);
    const url = urlOf(request);
    if (url === undefined) return sendProblem(response, 400, 'HF_API_BODY', 'the request target is not a path');
    const parts = url.pathname.split('/').filter((part) => part !== '');
    if (parts[0] !== 'v1' || parts[1] !== 'streams')
      return sendProblem(response, 404, 'HF_API_NOT_FOUND', 'paths begin with /v1/streams');
    if (parts.length === 2) return sendJson(response, 200, { streams: [...this.#streams().keys()] });
    const stream = this.#streams().get(parts[2] ?? '');
    if (stream === undefined) return sendProblem(response, 404, 'HF_API_NOT_FOUND', 'there is no such stream here');
    return this.#serve(stream, { url, parts: parts.slice(3) }, request, response);
  }

  /** Serves the paths below /v1/streams/{stream}. */
  async #serve(
    stream: ServedStream,
    { url, parts: [what, ...below] }: { readonly url: URL; readonly parts: readonly string[] },
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    switch (what) {
      case 'events':
        return request.method === 'GET'
          ? this.#events(stream, url, request, response)
          : sendProblem(response, 405, 'HF_API_METHOD', 'use GET');
      case 'acks':
        return request.method === 'POST'
          ? acknowledge(stream, request, response)
          : sendProblem(response, 405, 'HF_API_METHOD', 'use POST');
      case 'dead-letters':
        if (stream.letters === undefined)
          return sendProblem(
            response,
            503,
            'HF_API_STANDBY',
            'this replica stands by for the stream; ask the one that leads (holdfast status)',
          );
        return stream.letters.handle(request, response, below, url);
      case 'ws':
        return sendProblem(response, 400, 'HF_API_BODY', 'connect with a WebSocket, subprotocol holdfast.v1');
      default:
        return sendProblem(response, 404, 'HF_API_NOT_FOUND', 'use events, acks, ws or dead-letters');
    }
  }

  #events(stream: ServedStream, url: URL, request: IncomingMessage, response: ServerResponse): void {
    const pull = this.#free(stream, url, (status, code, detail) => {
      sendProblem(response, status, code, detail);
    });
    if (pull === undefined) return;
    const consumer = new PullSse(response, pull, { credit: queryInt(url, 'credit', stream.maxInFlight) });
    const cursor = request.headers['last-event-id'] ?? url.searchParams.get('cursor') ?? undefined;
    const given = typeof cursor === 'string' && cursor !== '' ? cursor : undefined;
    const known = given !== undefined && stream.cursorKnown(given);
    if (given !== undefined && !known)
      consumer.resync(stream.epoch, 'the cursor is not one of the current epoch; delivery begins at the checkpoint');
    pull.attach(consumer, known ? given : undefined);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const refuse = (status: number, code: string, detail: string): void => {
      const body = JSON.stringify({ status, code, detail });
      socket.end(
        `HTTP/1.1 ${String(status)} Refused\r\ncontent-type: application/problem+json\r\ncontent-length: ` +
          `${String(Buffer.byteLength(body))}\r\nconnection: close\r\n\r\n${body}`,
      );
    };
    socket.on('error', () => socket.destroy());
    const origin = originProblem(request);
    if (origin !== undefined) return refuse(403, 'HF_API_ORIGIN', origin);
    const url = urlOf(request);
    if (url === undefined) return refuse(400, 'HF_API_BODY', 'the request target is not a path');
    const match = /^\/v1\/streams\/([^/]+)\/ws$/.exec(url.pathname);
    const stream = match === null ? undefined : this.#streams().get(match[1] ?? '');
    if (stream === undefined) return refuse(404, 'HF_API_NOT_FOUND', 'there is no such stream here');
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
    if (!offered.includes('holdfast.v1')) return refuse(400, 'HF_API_BODY', 'offer the subprotocol holdfast.v1');
    const pull = this.#free(stream, url, refuse);
    if (pull === undefined) return;
    this.#wss.handleUpgrade(request, socket, head, (ws) => {
      const options = { batch: Math.max(1, queryInt(url, 'batch', 1)), credit: queryInt(url, 'credit', 0) };
      pull.attach(new PullWebsocket(ws, pull, options));
    });
  }

  /**
   * Returns the stream's pull endpoint, if it has one and no other consumer is connected (or the caller takes over).
   */
  #free(
    stream: ServedStream,
    url: URL,
    refuse: (status: number, code: 'HF_API_MODE' | 'HF_API_CONSUMER_CONFLICT', detail: string) => void,
  ): PullEndpoint | undefined {
    if (stream.pull === undefined) {
      refuse(409, 'HF_API_MODE', 'this stream is pushed; set delivery.mode: Pull to connect');
      return undefined;
    }
    if (stream.pull.occupied && url.searchParams.get('takeover') !== '1') {
      refuse(409, 'HF_API_CONSUMER_CONFLICT', 'another consumer is connected; wait, or connect with ?takeover=1');
      return undefined;
    }
    return stream.pull;
  }
}

type Message = Readonly<Record<string, unknown>>;
type Verb = (pull: PullEndpoint, ids: readonly string[], message: Message) => readonly AckProblem[];

const VERBS: Readonly<Record<string, Verb>> = {
  ack: (pull, ids) => pull.ack(ids),
  nack: (pull, ids, message) => pull.nack(ids, numberOr(message['delayMs'], 0)),
  progress: (pull, ids) => pull.progress(ids),
  term: (pull, ids, message) =>
    pull.term(ids, typeof message['reason'] === 'string' ? message['reason'] : 'unspecified'),
};

async function acknowledge(stream: ServedStream, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pull } = stream;
  if (pull === undefined)
    return sendProblem(response, 409, 'HF_API_MODE', 'this stream is pushed; its answers are the acknowledgements');
  const body = await readBody(request, BODY_LIMIT_BYTES);
  if (body === undefined)
    return sendProblem(response, 413, 'HF_API_BODY', `the body exceeds ${String(BODY_LIMIT_BYTES)} bytes`);
  const problems = acknowledgeAll(pull, body);
  if (typeof problems === 'string') return sendProblem(response, 400, 'HF_API_BODY', problems);
  if (problems.length > 0)
    return sendProblem(response, 409, 'HF_API_ACK_UNKNOWN', {
      detail: 'some ids were not delivered in this epoch; the others are done',
      problems: problems.slice(0, PROBLEMS_NAMED),
    });
  sendJson(response, 200, { ok: true });
}

/**
 * Carries out the acknowledgements of a body. Returns the ids that could not be acknowledged, or as text what is wrong
 * with the body.
 */
function acknowledgeAll(pull: PullEndpoint, body: Buffer): readonly AckProblem[] | string {
  const message = parseObject(body);
  if (message === undefined) return 'send a JSON object with ids or upTo';
  const verb = message['type'] ?? 'ack';
  const act = VERBS[typeof verb === 'string' && Object.hasOwn(VERBS, verb) ? verb : ''];
  if (act === undefined) return 'type must be ack, nack, progress or term';
  const ids = idsOf(message['ids']);
  if (ids !== undefined) return act(pull, ids, message);
  const { upTo } = message;
  return typeof upTo === 'string' && verb === 'ack'
    ? pull.ackUpTo(upTo)
    : `send {"ids": [...]} (at most ${String(MAX_IDS)}), or {"upTo": "..."} to acknowledge`;
}

/** Returns why a request's origin is refused. DNS rebinding: a page in a browser must not reach us by name. */
export function originProblem(request: IncomingMessage): string | undefined {
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(host)) return 'the Host header is not loopback';
  const origin = request.headers.origin;
  if (origin !== undefined && !/^https?:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(origin))
    return 'the Origin header is foreign';
  // An <img> of a foreign page sends no Origin, but browsers say where it comes from.
  return request.headers['sec-fetch-site'] === 'cross-site' ? 'the request comes from a foreign page' : undefined;
}

/** Returns the request target as a URL; undefined when it is none. */
export function urlOf(request: IncomingMessage): URL | undefined {
  const target = request.url ?? '/';
  return target.startsWith('/') && URL.canParse(target, LOOPBACK) ? new URL(target, LOOPBACK) : undefined;
}

const LOOPBACK = 'http://127.0.0.1';

function queryInt(url: URL, name: string, fallback: number): number {
  const value = url.searchParams.get(name);
  return value !== null && /^\d{1,6}$/.test(value) ? Number(value) : fallback;
}

function failed(response: ServerResponse, error: unknown): void {
  const code = error instanceof HoldfastError ? error.code : 'HF_API_BODY';
  sendProblem(
    response,
    error instanceof HoldfastError ? 503 : 400,
    code,
    error instanceof HoldfastError ? error.message : 'the request could not be carried out',
  );
}
