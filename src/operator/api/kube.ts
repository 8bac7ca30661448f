/**
 * Access to the API server: requests by path, copies of objects that stay fresh (reflector.ts), our kinds and their
 * resource definitions. This folder never retries a request (the reflector alone goes on by itself), and never decides
 * what an object's state means: that is controller's and webhook's. @kubernetes/client-node only locates the server and
 * our credentials.
 */

import { request as plainRequest } from 'node:http';
import { Agent, request } from 'node:https';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { KubeConfig } from '@kubernetes/client-node';

/** A request that has not been answered by then has failed. Not for watches. */
const REQUEST_LIMIT_MS = 10_000;
/** Largest answer of the API server that is read: a list holds all objects of a kind. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Idle time after which the kernel asks whether the API server's host is still there. */
const TCP_KEEP_ALIVE_MS = 10_000;
/** Characters of a refusal that is no Status which an error repeats. */
const REFUSAL_TEXT_CHARS = 200;

/** Carries an answer of the API server that is not a success. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  /** reason of the Status object: NotFound, Conflict, AlreadyExists, Forbidden, Expired, ... */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export type PatchType = 'application/merge-patch+json' | 'application/apply-patch+yaml' | 'application/json-patch+json';

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubeObject;
}

/** Members that every object has; others are read where they are used. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/**
 * Calls the API server by path: KubeConfig has its address and our credentials, everything else is plain HTTP. Nothing
 * is retried inside.
 */
export class Kube {
  readonly #config: KubeConfig;
  readonly #name: string;
  #agent: RequestOptions['agent'];

  /** @param name the caller's name in the API server's audit log. */
  constructor(config: KubeConfig, name: string) {
    this.#name = name;
    this.#config = config;
  }

  /** Returns the access of this process. In a pod: its ServiceAccount. Elsewhere: KUBECONFIG. */
  static fromEnvironment(name: string): Kube {
    const config = new KubeConfig();
    config.loadFromDefault();
    return new Kube(config, name);
  }

  get(path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown> {
    return this.#call('GET', path, { query });
  }

  create(path: string, body: unknown): Promise<unknown> {
    return this.#call('POST', path, { body, type: 'application/json' });
  }

  replace(path: string, body: unknown): Promise<unknown> {
    return this.#call('PUT', path, { body, type: 'application/json' });
  }

  patch(
    path: string,
    body: unknown,
    type: PatchType = 'application/merge-patch+json',
    query: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    return this.#call('PATCH', path, { body, type, query });
  }

  /**
   * Watches until the server closes, the connection breaks, nothing came for `silenceMs`, or `signal` is aborted.
   * Resolves then; rejects when it was refused.
   */
  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    on: (event: WatchEvent) => void,
    { silenceMs, signal }: { readonly silenceMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    // A kept connection whose other end is gone must not keep the request for a quarter of an hour.
    const begun = new AbortController();
    const late = setTimeout(() => {
      begun.abort();
    }, REQUEST_LIMIT_MS * 3);
    const response = await this.#send('GET', path, {
      query: { ...query, watch: 'true' },
      signal: AbortSignal.any([signal, begun.signal]),
    }).finally(() => {
      clearTimeout(late);
    });
    if (response.statusCode !== 200) throw await failure(response);
    response.setTimeout(silenceMs, () => response.destroy());
    try {
      for await (const line of linesOf(response)) on(JSON.parse(line) as WatchEvent);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      // The connection broke: the caller begins again where it was.
    }
  }

  async #call(
    method: string,
    path: string,
    {
      body,
      type,
      query,
    }: { readonly body?: unknown; readonly type?: string; readonly query?: Readonly<Record<string, string>> },
  ): Promise<unknown> {
    const response = await this.#send(method, path, {
      query: query ?? {},
      body,
      type,
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    });
    if ((response.statusCode ?? 500) >= 300) throw await failure(response);
    return JSON.parse(await textOf(response)) as unknown;
  }

  async #send(
    method: string,
    path: string,
    {
      query,
      body,
      type,
      signal,
    }: {
      readonly query: Readonly<Record<string, string>>;
      readonly body?: unknown;
      readonly type?: string | undefined;
      readonly signal: AbortSignal;
    },
  ): Promise<IncomingMessage> {
    const server = this.#config.getCurrentCluster()?.server;
    if (server === undefined) throw new ApiError(0, 'NoCluster', 'no cluster: set KUBECONFIG, or run in a pod');
    const url = new URL(path, server);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const options: RequestOptions = {
      method,
      headers: {
        accept: 'application/json',
        'user-agent': this.#name,
        ...(type === undefined ? {} : { 'content-type': type }),
      },
    };
    await this.#config.applyToHTTPSOptions(options);
    // One agent for all: each new one would be a new connection.
    this.#agent ??= keptAlive(options.agent);
    return new Promise((resolve, reject) => {
      // Plain HTTP only where the kubeconfig demands it (kubectl proxy, tests).
      const begin = url.protocol === 'http:' ? plainRequest : request;
      const asked = begin(url, { ...options, agent: this.#agent, signal }, resolve);
      asked.once('error', reject);
      asked.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
    });
  }
}

function keptAlive(agent: RequestOptions['agent']): RequestOptions['agent'] {
  return agent instanceof Agent
    ? new Agent({ ...agent.options, keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS })
    : agent;
}

/** Yields whole lines only: the last one of a broken connection is a half. */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines.filter((line) => line !== '');
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      throw new ApiError(0, 'TooLarge', `the answer is larger than ${String(MAX_ANSWER_BYTES)} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function failure(response: IncomingMessage): Promise<ApiError> {
  const text = await textOf(response).catch(() => '');
  try {
    const status = JSON.parse(text) as { readonly reason?: string; readonly message?: string };
    return new ApiError(response.statusCode ?? 0, status.reason ?? '', status.message ?? text);
  } catch {
    return new ApiError(response.statusCode ?? 0, '', text.slice(0, REFUSAL_TEXT_CHARS));
  }
}

/** Returns a time as Leases and Events take it: microseconds. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}
