import { connect } from 'node:net';
import { Pool, type Dispatcher } from 'undici';
import { guardedLookup, PRIVATE_ADDRESS } from '../config/private-addresses.ts';
import { isLoopbackHost } from '../config/hosts.ts';
import { readBody } from '../config/read-body.ts';
import type { StreamPlan } from '../config/plan.ts';
import type { Posted } from './push-answers.ts';

export type Push = NonNullable<StreamPlan['delivery']['push']>;

/**
 * Result of a probe for the consumer. `refused`: its name resolves to an address that the installation does not allow.
 */
export type Probed = 'there' | 'away' | 'refused';

/** Sends requests to a push consumer. The simulation replaces it by its own. */
export interface PushTransport {
  /** Sends one request and returns its outcome; never rejects. */
  post(headers: Readonly<Record<string, string>>, body: Buffer): Promise<Posted>;
  /**
   * Probes for the consumer. `there`: it takes connections, or answers its health path with 2xx. `well`: the latter, or
   * a connection stays open for a while. Never rejects.
   */
  probe(what: 'there' | 'well'): Promise<Probed>;
  close(): void;
}

/** Largest answer body read; only a small status object is expected there. */
const ANSWER_LIMIT_BYTES = 1024 * 1024;
/** Gives up a connection attempt to the consumer after this, or sooner where the whole request has less time. */
const CONNECT_LIMIT_MS = 5000;
/** Keeps an idle connection to the consumer open for this long. */
const KEEP_ALIVE_MS = 10_000;
/** A health check, or a connection attempt that only looks, is given up after this. */
const PROBE_LIMIT_MS = 500;
/** A consumer that holds an idle connection for this long is well. */
const WELL_AFTER_MS = 2000;

/** Limits of the connections to one consumer. */
export interface PushLimits {
  /** Time limit of a whole answer. */
  readonly limitMs: number;
  /** Connections open at one time. */
  readonly connections: number;
  /** Private addresses that the installation allows, as CIDRs. */
  readonly allowPrivate: StreamPlan['allowPrivate'];
}

/**
 * Sends over HTTP/1.1 with kept connections. A request that a kept connection loses before any byte of the answer goes
 * once more on a fresh one.
 */
export class HttpPushTransport implements PushTransport {
  readonly #pool: Pool;
  /** Looks for the consumer without waiting for requests under way. */
  readonly #looker: Pool;
  #greeted = false;
  /** Refuses names beyond loopback that resolve to a private address, whenever they are looked up. */
  readonly #lookup: { readonly lookup?: ReturnType<typeof guardedLookup> };
  readonly #url: URL;
  readonly #path: string;
  readonly #healthPath: string | undefined;
  readonly #limitMs: number;

  constructor(push: Push, { limitMs, connections, allowPrivate }: PushLimits) {
    this.#url = new URL(push.url);
    this.#path = this.#url.pathname + this.#url.search;
    this.#healthPath = push.healthPath;
    this.#limitMs = limitMs;
    this.#lookup = isLoopbackHost(this.#url.hostname) ? {} : { lookup: guardedLookup(allowPrivate) };
    this.#pool = new Pool(this.#url.origin, {
      connections,
      pipelining: 1,
      headersTimeout: limitMs,
      bodyTimeout: limitMs,
      connect: { timeout: Math.min(limitMs, CONNECT_LIMIT_MS), ...this.#lookup },
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
    this.#looker = new Pool(this.#url.origin, {
      connections: 1,
      connect: { timeout: PROBE_LIMIT_MS, ...this.#lookup },
    });
  }

  async post(headers: Readonly<Record<string, string>>, body: Buffer): Promise<Posted> {
    const first = await this.#once(headers, body);
    if (first.kind !== 'lost' || !first.kept) return first;
    // The consumer may have closed an idle connection just as we used it: that proves nothing about the event.
    const second = await this.#once(headers, body);
    return second.kind === 'down' ? { kind: 'lost', code: first.code } : second;
  }

  async probe(what: 'there' | 'well'): Promise<Probed> {
    if (this.#healthPath !== undefined) return this.#healthy(this.#healthPath);
    return this.#connects(what === 'well' ? WELL_AFTER_MS : 0);
  }

  close(): void {
    void this.#pool.destroy();
    void this.#looker.destroy();
  }

  async #once(
    headers: Readonly<Record<string, string>>,
    body: Buffer,
  ): Promise<Posted & { readonly kept?: boolean | undefined }> {
    // The whole answer must be there in time: the library's own timeouts start anew with every byte.
    const signal = AbortSignal.timeout(this.#limitMs);
    let response: Dispatcher.ResponseData;
    try {
      response = await this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal });
    } catch (error) {
      return { ...failureOf(error), kept: onKept(error) };
    }
    const { statusCode: status } = response;
    const retryAfterMs = retryAfterOf(response.headers['retry-after']);
    try {
      return { kind: 'answer', status, retryAfterMs, text: await textOf(response) };
    } catch (error) {
      return failureOf(error);
    }
  }

  /**
   * Asks the health path. One OPTIONS follows the first good answer (CloudEvents, web hooks); its answer is never
   * fatal.
   */
  async #healthy(path: string): Promise<Probed> {
    const found = await this.#answers('GET', path);
    if (found !== 'there') return found;
    if (!this.#greeted) await this.#answers('OPTIONS', this.#path);
    this.#greeted = true;
    return 'there';
  }

  /** Returns whether the consumer answers 2xx in time. */
  async #answers(method: 'GET' | 'OPTIONS', path: string): Promise<Probed> {
    const limits = { headersTimeout: PROBE_LIMIT_MS, bodyTimeout: PROBE_LIMIT_MS };
    try {
      const { statusCode, body } = await this.#looker.request({ method, path, ...limits });
      await body.dump();
      return statusCode >= 200 && statusCode <= 299 ? 'there' : 'away';
    } catch (error) {
      return codeOf(error) === PRIVATE_ADDRESS ? 'refused' : 'away';
    }
  }

  /** Returns whether a connection comes about, and then stays open for `stayMs`. */
  #connects(stayMs: number): Promise<Probed> {
    const port = Number(this.#url.port) || (this.#url.protocol === 'https:' ? 443 : 80);
    return new Promise((resolve) => {
      const socket = connect({ host: this.#url.hostname.replace(/^\[|\]$/g, ''), port, ...this.#lookup });
      const done = (found: Probed): void => {
        socket.destroy();
        resolve(found);
      };
      socket.setTimeout(PROBE_LIMIT_MS, () => {
        done('away');
      });
      socket.once('connect', () => {
        socket.setTimeout(0);
        if (stayMs === 0) return done('there');
        const timer = setTimeout(() => {
          done('there');
        }, stayMs);
        socket.once('close', () => {
          clearTimeout(timer);
          done('away');
        });
      });
      socket.once('error', (error) => {
        done(codeOf(error) === PRIVATE_ADDRESS ? 'refused' : 'away');
      });
    });
  }
}

/** Errors of a connection that was there, then of one that did not come about. */
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_CLOSED']);
const DOWN: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_DESTROYED',
  PRIVATE_ADDRESS,
]);
const TIMEOUTS: ReadonlySet<string> = new Set([
  'TimeoutError',
  'AbortError',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_ABORTED',
]);

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function failureOf(error: unknown): Exclude<Posted, { kind: 'answer' }> {
  const code = codeOf(error);
  if (LOST.has(code)) return { kind: 'lost', code };
  if (DOWN.has(code)) return { kind: 'down', code };
  return { kind: 'failed', reason: TIMEOUTS.has(code) ? 'ack_timeout' : 'bad_answer' };
}

/** Returns whether the lost connection had served an earlier request. */
function onKept(error: unknown): boolean {
  const socket = error instanceof Error && 'socket' in error ? error.socket : undefined;
  const bytes = typeof socket === 'object' && socket !== null && 'bytesRead' in socket ? socket.bytesRead : 0;
  return typeof bytes === 'number' && bytes > 0;
}

/** Reads Retry-After, in seconds or as a date; returns ms. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

/** Returns the body of a good answer, undefined where there is none. A body too long for a status object is ignored. */
async function textOf({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<string | undefined> {
  const good = statusCode >= 200 && statusCode <= 299;
  if (!good || statusCode === 204 || headers['content-length'] === '0') {
    await body.dump({ limit: ANSWER_LIMIT_BYTES });
    return undefined;
  }
  const bytes = await readBody(body, ANSWER_LIMIT_BYTES);
  return bytes === undefined ? '' : bytes.toString('utf8');
}
