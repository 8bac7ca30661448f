/**
 * The platforms, faithful and misbehaving: token endpoints, REST paths and event streams of both vendors on one
 * loopback port, with a control API and scenarios for faults. The simulator never shares code with upstream/ or
 * platforms/ (a shared bug would hide), and its history is the yardstick for every claim about loss.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { perform, type Action } from './actions.ts';
import { SimConnection, type ConnectionFacts } from './sim-connection.ts';
import { dialectOf, type SimDialect } from './sim-dialect.ts';
import { faithful, type Faults } from './faults.ts';
import { History } from './history.ts';
import { Journal } from './journal.ts';
import { TokenOffice } from './token-office.ts';

export interface SimulatorOptions {
  /** 0 = any free port. Always on 127.0.0.1. */
  readonly port: number;
  readonly historyFile?: string | undefined;
  /** Records kept in memory. */
  readonly historyLimit?: number;
  /** Events per second on every stream that a client has ever connected to. */
  readonly rate: number;
  readonly size: number;
  readonly keys: number;
  /** Unevenness of events over the keys; 1 (default): even. Journal.skew. */
  readonly skew?: number;
  readonly serverPingEveryMs?: number | undefined;
}

/** How often the events are made that the rate owes: several at a time above 200 a second. */
const TICK_MS = 5;

/**
 * Serves both vendors' token endpoints, REST paths and event streams on one loopback port, and a control API to make
 * them misbehave.
 */
export class Simulator {
  readonly history: History;
  readonly office: TokenOffice;
  readonly faults: Faults = faithful();
  rate: number;
  size: number;
  readonly keys: number;
  readonly #options: SimulatorOptions;
  readonly #server: Server;
  readonly #wss = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    autoPong: false,
    handleProtocols: (offered) => (offered.has('genesys') ? 'genesys' : false),
  });
  readonly #journals = new Map<string, Journal>();
  readonly #connections = new Set<SimConnection>();
  #serial = 0;
  #lockedUntilMs = 0;
  #owed = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastTickMs = performance.now();

  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.rate = options.rate;
    this.size = options.size;
    this.keys = options.keys;
    this.history = new History(options.historyFile, options.historyLimit);
    this.office = new TokenOffice(this.history);
    this.#server = createServer((request, response) => {
      void this.#route(request, response);
    });
    this.#server.on('upgrade', (request, socket: Socket, head) => {
      this.#upgrade(request, socket, head);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(this.#options.port, '127.0.0.1', resolve));
    this.#lastTickMs = performance.now();
    this.#timer = setInterval(() => {
      this.#tick();
    }, TICK_MS);
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const connection of this.#connections) connection.drop('fin');
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
    this.history.close();
  }

  get connections(): readonly SimConnection[] {
    return [...this.#connections].filter((one) => one.open);
  }

  /** Returns the stream behind a path, made when it is first asked for. */
  journal(path: string): Journal {
    const dialect = dialectOf(path);
    if (dialect === undefined) throw new Error(`no simulated endpoint at ${path}`);
    return this.#journalOf(path, dialect);
  }

  get journals(): readonly Journal[] {
    return [...this.#journals.values()];
  }

  /** Makes `count` events on every stream (or on one) at once and offers them live. */
  generate(count: number, path?: string): void {
    for (const journal of path === undefined ? this.journals : [this.journal(path)]) {
      const events = Array.from({ length: count }, () => journal.generate(this.size, this.keys));
      for (const connection of this.#connections) if (connection.journal === journal) connection.offer(events);
    }
  }

  lockOut(ms: number): void {
    this.#lockedUntilMs = performance.now() + ms;
  }

  /** Carries out one command of the control API. @throws Error when it is not known. */
  do(action: Action): void {
    this.history.add('n.do', { action });
    perform(this, action);
  }

  #tick(): void {
    const now = performance.now();
    this.#owed += (this.rate * (now - this.#lastTickMs)) / 1000;
    this.#lastTickMs = now;
    const count = Math.floor(this.#owed);
    this.#owed -= count;
    if (count > 0) this.generate(count);
  }

  #journalOf(path: string, dialect: SimDialect): Journal {
    let journal = this.#journals.get(path);
    if (journal === undefined) {
      journal = new Journal(path, dialect, this.history);
      journal.skew = this.#options.skew ?? 1;
      this.#journals.set(path, journal);
    }
    return journal;
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const body = await bodyOf(request);
    response.setHeader('date', new Date(Date.now() + this.faults.skewMs).toUTCString());
    if (url.pathname.startsWith('/control')) return this.#control(url, request, body, response);
    if (url.pathname === '/oauth/token') return this.#token(fieldsOf(request, body), basicOf(request), response);
    if (url.pathname === '/api/v2/auth/token/refresh') return this.#token(fieldsOf(request, body), undefined, response);
    const rest = this.faults.rest;
    if (rest !== undefined && rest.times > 0) {
      rest.times -= 1;
      return json(response, rest.status, { message: 'told to fail' });
    }
    if (this.office.valid(bearerOf(request)) === undefined) return json(response, 401, { code: 'bad.credentials' });
    json(response, 200, { path: url.pathname, snapshotAt: new Date().toISOString() });
  }

  #token(fields: Readonly<Record<string, string>>, basic: string | undefined, response: ServerResponse): void {
    this.history.add('tok.req', { client: fields['client_id'] ?? basic?.split(':')[0], grant: fields['grant_type'] });
    const fault = this.faults.token;
    const answer = (): void => {
      if (fault !== undefined && fault.times > 0) {
        fault.times -= 1;
        if (fault.retryAfter !== undefined) response.setHeader('retry-after', String(fault.retryAfter));
        this.history.add('tok.rej', { status: fault.status });
        if (fault.body !== undefined) {
          response.writeHead(fault.status, { 'content-type': 'text/html' });
          response.end(fault.body);
          return;
        }
        return json(response, fault.status, { error: 'told_to_fail' });
      }
      const refusal = this.office.refusal(fields, basic);
      if (refusal !== undefined) {
        this.history.add('tok.rej', { status: 400, error: refusal });
        return json(response, refusal === 'invalid_client' ? 401 : 400, { error: refusal });
      }
      const issued: Record<string, unknown> = { ...this.office.issue(fields) };
      if (this.faults.omitExpiresIn) delete issued['expires_in'];
      else if (this.faults.expiresIn !== undefined) issued['expires_in'] = this.faults.expiresIn;
      json(response, 200, issued);
    };
    if (fault?.delayMs === undefined) answer();
    else setTimeout(answer, fault.delayMs).unref();
  }

  #control(url: URL, request: IncomingMessage, body: string, response: ServerResponse): void {
    if (request.method === 'POST') {
      try {
        this.do(JSON.parse(body) as Action);
        return json(response, 200, { ok: true });
      } catch (error) {
        return json(response, 400, { ok: false, message: String(error) });
      }
    }
    if (url.pathname === '/control/history')
      return json(
        response,
        200,
        this.history.of(...(url.searchParams.get('kinds') ?? 'conn.open,conn.end').split(',')),
      );
    json(response, 200, {
      counts: Object.fromEntries(this.history.counts),
      connections: this.connections.map((one) => ({ id: one.id, stream: one.journal.name })),
      streams: this.journals.map((one) => ({ name: one.name, nextSeq: one.nextSeq })),
      faults: this.faults,
    });
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const dialect = dialectOf(url.pathname);
    this.#serial += 1;
    const conn = `conn-${String(this.#serial)}`;
    const token = tokenOf(request, url, dialect);
    const tokenId = this.office.valid(token);
    this.#noteRequest(conn, { request, url, token, tokenId, port: socket.remotePort });
    socket.on('error', () => socket.destroy());
    if (dialect === undefined) return this.#refuse(conn, socket, { status: 404 });
    const told = this.#toldRefusal();
    if (told !== undefined) return this.#refuse(conn, socket, told);
    if (token === undefined || tokenId === undefined) return this.#refuse(conn, socket, { status: 401 });
    if (dialect.subprotocol !== undefined && request.headers['sec-websocket-protocol'] !== dialect.subprotocol)
      return this.#refuse(conn, socket, { status: 400 });
    const journal = this.#journalOf(url.pathname, dialect);
    const refusal = this.#journalRefusal(url, journal);
    if (refusal !== undefined) return this.#refuse(conn, socket, refusal);
    this.#wss.handleUpgrade(request, socket, head, (ws) => {
      this.#accept(ws, socket, { id: conn, url, token, journal });
    });
  }

  #noteRequest(
    conn: string,
    asked: {
      readonly request: IncomingMessage;
      readonly url: URL;
      readonly token: string | undefined;
      /** undefined: the token is not valid now. */
      readonly tokenId: string | undefined;
      readonly port: number | undefined;
    },
  ): void {
    const { request, url, token, tokenId, port } = asked;
    const expired = token !== undefined && this.office.expired(token);
    this.history.add('conn.req', {
      conn,
      port,
      stream: url.pathname,
      tok: tokenId ?? (expired ? 'expired' : 'invalid'),
      tokId: this.office.idOf(token),
      placement: placementOf(request, url),
      params: [...url.searchParams.keys()].filter((key) => key !== 'access_token'),
      position: positionIn(url),
    });
  }

  #refuse(conn: string, socket: Socket, { status, retryAfter, more = {} }: Refusal): void {
    this.history.add('conn.rej', { conn, status, retryAfter });
    const text = JSON.stringify({ status, ...more });
    const after = retryAfter === undefined ? '' : `retry-after: ${String(retryAfter)}\r\n`;
    socket.end(
      `HTTP/1.1 ${String(status)} Refused\r\n${after}content-type: application/json\r\ncontent-length: ` +
        `${String(Buffer.byteLength(text))}\r\nconnection: close\r\n\r\n${text}`,
    );
  }

  /** Returns the refusal that a command demands for every upgrade. */
  #toldRefusal(): Refusal | undefined {
    const lockedMs = this.#lockedUntilMs - performance.now();
    if (lockedMs > 0) return { status: 429, retryAfter: Math.ceil(lockedMs / 1000) };
    const fault = this.faults.upgrade;
    if (fault === undefined || fault.times <= 0) return undefined;
    fault.times -= 1;
    return { status: fault.status, retryAfter: fault.retryAfter };
  }

  /** Returns why one more connection to this stream is refused. */
  #journalRefusal(url: URL, journal: Journal): Refusal | undefined {
    if (this.connections.length >= this.faults.tenantCap) return { status: 429, retryAfter: 1 };
    if (this.#connectionsTo(journal).length > 0 && this.faults.secondSocket === 'reject') return { status: 409 };
    return this.#tooOld(url, journal) ? { status: 410, more: { oldest: journal.oldestPosition() } } : undefined;
  }

  #connectionsTo(journal: Journal): readonly SimConnection[] {
    return this.connections.filter((one) => one.journal === journal);
  }

  #accept(ws: WebSocket, socket: Socket, facts: Pick<ConnectionFacts, 'id' | 'url' | 'token' | 'journal'>): void {
    for (const one of this.faults.secondSocket === 'evict' ? this.#connectionsTo(facts.journal) : []) {
      this.history.add('conn.evict', { conn: one.id });
      one.close(1000, 'replaced');
    }
    const { faults, history, office } = this;
    const connection = new SimConnection(ws, socket, { ...facts, faults, history, office });
    this.#connections.add(connection);
    ws.on('close', () => this.#connections.delete(connection));
    if (this.#options.serverPingEveryMs !== undefined && facts.journal.dialect.pingEveryMs > 0)
      connection.every(this.#options.serverPingEveryMs, () => {
        connection.ping();
      });
  }

  /** Returns whether the asked position is no longer kept, and the platform reports that at once. */
  #tooOld(url: URL, journal: Journal): boolean {
    if (this.faults.expiredAs !== 'status') return false;
    const { oldest } = journal;
    const sequence = url.searchParams.get('sequence');
    if (sequence !== null) return journal.local(sequence) + 1 < (oldest?.seq ?? journal.nextSeq);
    const cursor = url.searchParams.get('cursor');
    if (cursor !== null) return !journal.events.some((event) => event.cursor === cursor) && journal.nextSeq > 1;
    const since = url.searchParams.get('since');
    return since !== null && journal.purgedSince(Date.parse(since));
  }
}

/** An answer to an upgrade that is refused. */
interface Refusal {
  readonly status: number;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  readonly more?: Readonly<Record<string, unknown>>;
}

function placementOf(request: IncomingMessage, url: URL): 'query' | 'header' | 'both' {
  if (!url.searchParams.has('access_token')) return 'header';
  return bearerOf(request) === undefined ? 'query' : 'both';
}

/** Returns the position that a connection asks for, by whichever name. */
function positionIn(url: URL): string | null {
  const [name = 'lastEventId'] = ['sequence', 'since', 'cursor'].filter((one) => url.searchParams.has(one));
  return url.searchParams.get(name);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString();
}

function fieldsOf(request: IncomingMessage, body: string): Readonly<Record<string, string>> {
  if ((request.headers['content-type'] ?? '').includes('json')) {
    try {
      return JSON.parse(body) as Record<string, string>;
    } catch {
      return {};
    }
  }
  return Object.fromEntries(new URLSearchParams(body));
}

function basicOf(request: IncomingMessage): string | undefined {
  const header = request.headers.authorization;
  return header?.startsWith('Basic ') === true ? Buffer.from(header.slice(6), 'base64').toString() : undefined;
}

function bearerOf(request: IncomingMessage): string | undefined {
  const header = request.headers.authorization;
  return header?.startsWith('Bearer ') === true ? header.slice(7) : undefined;
}

function tokenOf(request: IncomingMessage, url: URL, dialect: SimDialect | undefined): string | undefined {
  const query = url.searchParams.get('access_token') ?? undefined;
  const header = bearerOf(request);
  switch (dialect?.tokenIn) {
    case 'query':
      return query;
    case 'header':
      return header;
    case 'both':
      return query === header ? query : undefined;
    default:
      return header ?? query;
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
