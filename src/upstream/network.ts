import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { BlockList, connect, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import { HoldfastError } from '../core/failure.ts';

/** Limits of every REST and token call. */
export const HTTP_TIMEOUT_MS = 10_000;
export const HTTP_BODY_LIMIT_BYTES = 65_536;

const PRIVATE = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  PRIVATE.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
] as const)
  PRIVATE.addSubnet(net, bits, 'ipv6');

/** True for addresses a public platform cannot have: private, link-local, loopback, also when written as mapped IPv6. */
export function isPrivateAddress(address: string, family: number): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped !== undefined ? PRIVATE.check(mapped, 'ipv4') : PRIVATE.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Name resolution that refuses private addresses, at connect time, so that a name cannot be rebound after the check (SSRF). */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '', 4);
    const bad = addresses.find((one) => isPrivateAddress(one.address, one.family));
    if (bad !== undefined)
      return callback(
        Object.assign(new Error(`${hostname} resolves to a private address`), { code: 'HF_PRIVATE_ADDRESS' }),
        '',
        4,
      );
    const first = addresses[0];
    if (first === undefined)
      return callback(Object.assign(new Error(`${hostname} resolves to nothing`), { code: 'ENOTFOUND' }), '', 4);
    if (options.all === true) (callback as unknown as (error: null, all: LookupAddress[]) => void)(null, addresses);
    else callback(null, first.address, first.family);
  });
};

/** A connection pool of its own for one purpose, so that token traffic and REST traffic do not wait for each other (A15). */
export function createAgent(loopback: boolean): Agent {
  return new Agent({
    connections: 4,
    keepAliveTimeout: 5000,
    connect: { timeout: HTTP_TIMEOUT_MS, ...(loopback ? {} : { lookup: publicLookup }) },
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One bounded HTTP call: 10 s in all, 64 KiB of body, no redirect followed, no cookie kept. @throws HoldfastError HF_REST_FAILED */
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
    const body = await readBounded(response.body, options.limitBytes ?? HTTP_BODY_LIMIT_BYTES);
    return { status: response.statusCode, headers: response.headers, body };
  } catch (error) {
    const code =
      error instanceof Error && 'code' in error ? String(error.code) : error instanceof Error ? error.name : 'unknown';
    throw new HoldfastError('HF_REST_FAILED', `${options.method} ${origin} failed: ${code}`, {
      details: { origin, code },
    });
  }
}

async function readBounded(stream: AsyncIterable<Buffer>, limit: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > limit) throw Object.assign(new Error('body too large'), { code: 'HF_BODY_TOO_LARGE' });
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Retry-After as seconds or a date, clamped to 1..900 s; undefined when absent or not readable. */
export function retryAfterMs(header: string | string[] | undefined, nowEpochMs: number): number | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  if (value === undefined) return undefined;
  const seconds = /^\d{1,12}$/.test(value.trim()) ? Number(value) : (Date.parse(value) - nowEpochMs) / 1000;
  return Number.isFinite(seconds) ? Math.min(900, Math.max(1, seconds)) * 1000 : undefined;
}

/** Does a TCP connection to the URL's host come about within `limitMs`? Nothing is sent. */
export async function reachable(url: string, limitMs: number): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({
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
