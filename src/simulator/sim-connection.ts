import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Faults } from './faults.ts';
import type { History } from './history.ts';
import type { Journal, SimEvent } from './journal.ts';
import type { TokenOffice } from './token-office.ts';

export interface ConnectionFacts {
  readonly id: string;
  readonly url: URL;
  token: string;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly history: History;
  readonly office: TokenOffice;
}

/** How often a connection is looked at whose token may have ended. */
const TOKEN_CHECK_MS = 50;

/** Serves one client on one simulated stream, from upgrade to end. */
export class SimConnection {
  readonly id: string;
  readonly journal: Journal;
  readonly #facts: ConnectionFacts;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #timers: NodeJS.Timeout[] = [];
  #live = false;
  #emptied = 0;
  #pings = 0;
  #held: SimEvent | undefined;

  constructor(ws: WebSocket, socket: Socket, facts: ConnectionFacts) {
    this.id = facts.id;
    this.journal = facts.journal;
    this.#facts = facts;
    this.#ws = ws;
    this.#socket = socket;
    facts.history.add('conn.open', { conn: this.id, stream: this.journal.name });
    ws.on('message', (data: Buffer) => {
      this.#onFrame(data);
    });
    ws.on('ping', (payload: Buffer) => {
      facts.history.add('ping.rx', { conn: this.id });
      if (!facts.faults.stopPongs && !facts.faults.halfOpen) ws.pong(payload);
    });
    ws.on('pong', (payload: Buffer) => {
      facts.history.add('pong.rx', { conn: this.id, payload: payload.toString() });
    });
    ws.on('close', (code, reason) => {
      for (const timer of this.#timers) clearInterval(timer);
      facts.history.add('conn.end', { conn: this.id, code, reason: reason.toString(), by: 'either' });
    });
    ws.on('error', () => undefined); // 'close' follows
    const { pingEveryMs } = this.journal.dialect;
    if (pingEveryMs > 0)
      this.every(pingEveryMs, () => {
        this.ping();
      });
    this.every(TOKEN_CHECK_MS, () => {
      this.#checkToken();
    });
    if (facts.journal.dialect.resume !== 'frame') this.#begin(this.#askedIndex());
  }

  get open(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  every(ms: number, work: () => void): void {
    const timer = setInterval(work, ms);
    timer.unref();
    this.#timers.push(timer);
  }

  ping(): void {
    if (this.#facts.faults.stopPings || this.#facts.faults.halfOpen || !this.open) return;
    this.#pings += 1;
    const payload = `srv-${String(this.#pings)}`;
    this.#facts.history.add('ping.tx', { conn: this.id, payload });
    this.#ws.ping(payload);
  }

  /** Sends new events, live. */
  offer(events: readonly SimEvent[]): void {
    if (!this.#live || this.#facts.faults.halfOpen || !this.open) return;
    const { faults } = this.#facts;
    if (faults.batches) {
      this.#record(events, false);
      this.raw(Buffer.from(`[${events.map((event) => event.bytes.toString()).join(',')}]`));
      return;
    }
    for (const event of events) this.#offerOne(event, faults);
  }

  raw(data: Buffer | string): void {
    if (this.open && !this.#facts.faults.halfOpen)
      this.#ws.send(typeof data === 'string' ? data : data.toString(), { binary: false });
  }

  rawBinary(data: Buffer): void {
    if (this.open) this.#ws.send(data, { binary: true });
  }

  /** Resends events that were sent before. */
  resend(events: readonly SimEvent[]): void {
    this.#send(events, true);
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
  }

  /** Sends a close frame with any number, also one that RFC 6455 forbids. */
  closeRaw(code: number): void {
    this.#socket.write(Buffer.from([0x88, 0x02, code >> 8, code & 0xff]));
  }

  /** Drops the connection: TCP reset, or FIN without a close frame. */
  drop(how: 'reset' | 'fin'): void {
    if (how === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  freeze(): void {
    this.#socket.pause();
  }

  #offerOne(event: SimEvent, faults: Faults): void {
    if (faults.hideNext > 0) {
      faults.hideNext -= 1;
      return;
    }
    if (faults.swapNext > 0 && this.#held === undefined) {
      faults.swapNext -= 1;
      this.#held = event;
      return;
    }
    const out = this.#held === undefined ? [event] : [event, this.#held];
    this.#held = undefined;
    if (faults.duplicateNext > 0) {
      faults.duplicateNext -= 1;
      out.push(event);
    }
    this.#send(out, false);
  }

  #send(events: readonly SimEvent[], replay: boolean): void {
    this.#record(events, replay);
    for (const event of events) this.raw(event.bytes);
  }

  #record(events: readonly SimEvent[], replay: boolean): void {
    for (const event of events)
      this.#facts.history.add('ev.tx', {
        conn: this.id,
        stream: this.journal.name,
        seq: event.seq,
        id: event.id,
        replay,
      });
  }

  /** Sends the events on offer from `index` on, then live ones. */
  #begin(index: number): void {
    const { faults, history } = this.#facts;
    const events = this.journal.events;
    const from = Math.max(0, index - faults.replayExtra);
    this.#live = true;
    history.add('sub.on', {
      conn: this.id,
      stream: this.journal.name,
      from: events[from]?.seq ?? this.journal.nextSeq,
    });
    this.#send(events.slice(from), true);
  }

  /** Returns the index from which the URL asks to go on; past the end: live only. */
  #askedIndex(): number {
    const { url, faults } = this.#facts;
    const events = this.journal.events;
    const sequence = url.searchParams.get('sequence');
    const since = url.searchParams.get('since');
    const cursor = url.searchParams.get('cursor');
    const lastId = url.searchParams.get('lastEventId');
    const asked = sequence === null ? 0 : this.journal.local(sequence);
    if (sequence !== null)
      return this.#indexOf(
        (event) => event.seq >= asked + (faults.exclusive ? 1 : 0),
        asked < (this.journal.oldest?.seq ?? 0),
      );
    if (since !== null)
      return this.#indexOf(
        (event) => (faults.exclusive ? event.atMs > Date.parse(since) : event.atMs >= Date.parse(since)),
        false,
      );
    if (cursor === null && lastId === null) return events.length;
    const at = events.findIndex((event) => event.cursor === cursor || event.id === lastId);
    return at === -1 ? this.#indexOf(() => true, true) : faults.exclusive ? at + 1 : at;
  }

  #indexOf(wanted: (event: SimEvent) => boolean, tooOld: boolean): number {
    if (tooOld && this.#facts.faults.expiredAs === 'control')
      this.raw(JSON.stringify({ type: 'retentionExceeded', oldest: this.journal.oldest?.seq }));
    const at = this.journal.events.findIndex(wanted);
    return at === -1 ? this.journal.events.length : at;
  }

  #onFrame(data: Buffer): void {
    const { history, journal } = this.#facts;
    history.add('frame.rx', { conn: this.id, bytes: data.length });
    if (journal.dialect.silentClient) return this.close(1002, 'client frames are not allowed');
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(data.toString()) as Record<string, unknown>;
    } catch {
      return this.close(1007, 'not JSON');
    }
    history.add('frame.json', {
      conn: this.id,
      type: message['type'],
      fields: Object.keys(message),
      lastSequence: message['lastSequence'],
      directive: message['stateDirective'],
    });
    if (message['type'] === 'subscribe' || message['type'] === 'reconnect') this.#onHello(message);
    if (message['type'] === 'token-refresh') this.#onRefresh(String(message['token']));
    if (message['type'] === 'auth') this.#onRefresh(bearerIn(message['headers']));
  }

  #onHello(message: Record<string, unknown>): void {
    if (this.journal.dialect.resume !== 'frame') return;
    const { faults } = this.#facts;
    if (!Array.isArray(message['subscriptions']) || typeof message['clientId'] !== 'string')
      return this.raw(JSON.stringify({ type: 'error', message: 'subscriptions and clientId are needed' }));
    if (faults.ackNever) return;
    const reconnect = message['type'] === 'reconnect';
    setTimeout(() => {
      this.raw(
        JSON.stringify({
          type: reconnect ? 'reconnectAck' : 'subscriptionAck',
          clientId: message['clientId'],
          timestamp: message['timestamp'],
        }),
      );
      const last = message['lastSequence'];
      if (typeof last !== 'number') return this.#begin(this.journal.events.length);
      const tooOld = last + 1 < (this.journal.oldest?.seq ?? 0);
      this.#begin(this.#indexOf((event) => event.seq > last - (faults.exclusive ? 0 : 1), tooOld));
    }, faults.ackDelayMs).unref();
  }

  #onRefresh(token: string): void {
    const { faults, office, history } = this.#facts;
    if (this.journal.dialect.refresh === 'none') return this.close(1002, 'no token refresh here');
    const good = office.valid(token);
    history.add('refresh.rx', { conn: this.id, tok: good ?? 'invalid' });
    if (faults.refresh === 'ignore') return;
    if (faults.refresh === 'error' || good === undefined)
      return this.raw(JSON.stringify({ type: 'token-refresh-error', status: 401, reason: 'rejected' }));
    this.#facts.token = token;
    this.raw(JSON.stringify({ type: 'token-refresh-ack' }));
  }

  #checkToken(): void {
    if (this.#facts.office.valid(this.#facts.token) !== undefined) return;
    switch (this.#facts.faults.onTokenEnd) {
      case 'close1008':
        return this.close(1008, 'token expired');
      case 'drop':
        return this.drop('fin');
      case 'empty-batches':
        this.#live = false;
        this.#emptied += 1;
        if (this.#emptied <= 5) this.raw('[]');
        return;
      case 'nothing':
    }
  }
}

function bearerIn(headers: unknown): string {
  const value =
    typeof headers === 'object' && headers !== null && 'X-NICE-AUTH' in headers ? headers['X-NICE-AUTH'] : '';
  return typeof value === 'string' ? value.replace(/^Bearer /, '') : '';
}
