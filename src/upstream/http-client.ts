import { connect } from 'node:net';
import { Agent, request } from 'undici';
import { RETRY_AFTER_MAX_MS } from '../config/limits.ts';
import { guardedLookup, PRIVATE_ADDRESS } from '../config/private-addresses.ts';
import { readBody } from '../config/read-body.ts';
import { HoldfastError } from '../core/errors.ts';

/** Time in which a REST or token call must be answered, and in which its connection must be open. */
const HTTP_TIMEOUT_MS = 10_000;
/** Largest answer of a REST or token call that is read, where the caller names no other limit. */
const HTTP_BODY_LIMIT_BYTES = 65_536;
/** Connections of one pool at one time. */
const POOL_CONNECTIONS = 4;
/** Keeps an idle connection of a pool open for this long. */
const KEEP_ALIVE_MS = 5000;
/** Shortest Retry-After that is believed: a platform that says 0 is not asked at once. */
const RETRY_AFTER_MIN_MS = 1000;

/**
 * Bounds of where connections may go: anywhere on this machine, or to public addresses and the private networks that
 * are allowed.
 */
export interface NetworkRules {
  readonly loopback: boolean;
  readonly allowPrivate: readonly string[];
}

/**
 * Returns a connection pool of its own for one purpose, so that token traffic and REST traffic do not wait for each
 * other (A15).
 */
export function createAgent(plan: NetworkRules): Agent {
  return new Agent({
    connections: POOL_CONNECTIONS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: HTTP_TIMEOUT_MS, ...(plan.loopback ? {} : { lookup: guardedLookup(plan.allowPrivate) }) },
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/**
 * Makes one bounded HTTP call: 10 s in all, 64 KiB of body, no redirect followed, no cookie kept. @throws HoldfastError
 * HF_REST_FAILED, HF_PRIVATE_ADDRESS
 */
export async function call(
  agent: Agent,
  url: string,
  options: {
    readonly method: 'GET' | 'POST' | 'HEAD';
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly limitBytes?: number;
  },
): Promise<HttpAnswer> {
  const origin = new URL(url).origin;
  try {
    const response = await request(url, {
      method: options.method,
      headers: { accept: 'application/json', ...options.headers },
      body: options.body ?? null,
      dispatcher: agent,
      signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
    });
    const body = await readBody(response.body, options.limitBytes ?? HTTP_BODY_LIMIT_BYTES);
    if (body === undefined) throw Object.assign(new Error('body too large'), { code: 'HF_BODY_TOO_LARGE' });
    return { status: response.statusCode, headers: response.headers, body: body.toString('utf8') };
  } catch (error) {
    const code =
      error instanceof Error && 'code' in error ? String(error.code) : error instanceof Error ? error.name : 'unknown';
    if (code === PRIVATE_ADDRESS && error instanceof Error)
      throw new HoldfastError(PRIVATE_ADDRESS, error.message, { details: { origin } });
    throw new HoldfastError('HF_REST_FAILED', `${options.method} ${origin} failed: ${code}`, {
      details: { origin, code },
    });
  }
}

/** Reads Retry-After in ms, from seconds or a date, clamped to its bounds; undefined when absent or not readable. */
export function retryAfterMs(header: string | string[] | undefined, nowEpochMs: number): number | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  if (value === undefined) return undefined;
  const ms = /^\d{1,12}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - nowEpochMs;
  return Number.isFinite(ms) ? Math.min(RETRY_AFTER_MAX_MS, Math.max(RETRY_AFTER_MIN_MS, ms)) : undefined;
}

/**
 * Returns whether a TCP connection to the URL's host comes about within `limitMs`, where the rules let it go there.
 * Nothing is sent.
 */
export async function reachable(url: string, limitMs: number, rules: NetworkRules): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({
      ...(rules.loopback ? {} : { lookup: guardedLookup(rules.allowPrivate) }),
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || (protocol === 'ws:' || protocol === 'http:' ? 80 : 443)),
    });
    const done = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(limitMs, done(false));
    socket.once('connect', done(true));
    socket.once('error', done(false));
  });
}
