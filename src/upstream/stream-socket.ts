/**
 * Toward the platform: one WebSocket, token requests, REST calls, credential files. This folder never decides when to
 * connect, retry or renew, and never reads an event: core decides, src/sidecar calls, platforms reads frames. Its
 * errors are HoldfastErrors with a code.
 */

import type { ClientRequest, IncomingMessage } from 'node:http';
import { WebSocket, type ClientOptions } from 'ws';
import { guardedLookup } from '../config/private-addresses.ts';
import type { Failure } from '../core/session/classify-failure.ts';
import type { DialTarget } from '../platforms/dial-target.ts';
import { retryAfterMs, type NetworkRules } from './http-client.ts';

/** Largest message of the platform; the library's own default is far wider (100 MiB). */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Fragments of one message, and a quarter of the chunks that wait to be read (the library's own default: 262,144). */
const MAX_FRAGMENTS = 1024;
/** Bytes of a refusal that are read: it may name the oldest position on offer. */
const REFUSAL_LIMIT_BYTES = 4096;
/** Time without a byte after which the rest of a refusal is not waited for. */
const REFUSAL_LIMIT_MS = 2000;
/** Idle time after which the kernel asks whether the peer's host is still there. */
const TCP_KEEP_ALIVE_MS = 30_000;
/** How often the age of an unfinished message is looked at (MESSAGE_AGE_LIMIT_MS). */
const AGE_CHECK_EVERY_MS = 5000;
/** Characters of a failure's text that are passed on to log and audit. */
const FAILURE_TEXT_CHARS = 200;
/** A message whose fragments never end is given up after this. */
const MESSAGE_AGE_LIMIT_MS = 30_000;
/** Header of an unmasked control frame. */
const CONTROL_HEADER_BYTES = 2;

export interface SocketHandlers {
  opened(): void;
  message(data: Buffer, isBinary: boolean): void;
  serverPing(): void;
  pong(payload: string): void;
  /**
   * Called once, last: the dial failed or the link is gone. `oldest`: the oldest position on offer, when the refusal
   * named one.
   */
  ended(failure: Failure, detail: { readonly text: string; readonly oldest: string | undefined }): void;
}

export interface SocketOptions extends NetworkRules {
  readonly closeTimeoutMs: number;
  readonly nowMs: () => number;
  readonly nowEpochMs: () => number;
}

/** Holds one WebSocket toward the platform. The library answers pings at once, whatever the consumer does. */
export class StreamSocket {
  readonly #ws: WebSocket;
  readonly #handlers: SocketHandlers;
  readonly #options: SocketOptions;
  #opened = false;
  #ended = false;
  #error: Error | undefined;
  #bytesRead: () => number = () => 0;
  #bytesAtMessage = 0;
  #controlBytes = 0;
  #partialSinceMs: number | undefined;
  #ageTimer: NodeJS.Timeout | undefined;

  constructor(target: DialTarget, options: SocketOptions, handlers: SocketHandlers) {
    this.#handlers = handlers;
    this.#options = options;
    const settings: ClientOptions & { closeTimeout: number } = {
      headers: { ...target.headers, 'user-agent': 'holdfast' },
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: MAX_MESSAGE_BYTES,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MAX_FRAGMENTS * 4,
      closeTimeout: options.closeTimeoutMs,
      minVersion: 'TLSv1.2',
      ...(options.loopback ? {} : { lookup: guardedLookup(options.allowPrivate) }),
    };
    this.#ws = new WebSocket(target.url, [...target.subprotocols], settings);
    this.#listen();
  }

  send(text: string): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.send(text);
  }

  /** Pauses reading, or goes on. While paused nothing is read, pings included. */
  pause(paused: boolean): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    if (paused) this.#ws.pause();
    else this.#ws.resume();
  }

  ping(payload: string): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.ping(payload);
  }

  /** Closes with a handshake; the library terminates after `closeTimeoutMs` when the peer does not answer. */
  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
  }

  /** Ends a dead link: no handshake, the descriptor is free at once. */
  terminate(): void {
    this.#ws.terminate();
  }

  #listen(): void {
    const ws = this.#ws;
    ws.on('upgrade', (response) => {
      response.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      this.#bytesRead = () => response.socket.bytesRead;
      this.#ageTimer = setInterval(() => {
        this.#checkAge();
      }, AGE_CHECK_EVERY_MS);
      this.#ageTimer.unref();
    });
    ws.on('open', () => {
      this.#opened = true;
      this.#bytesAtMessage = this.#bytesRead();
      this.#handlers.opened();
    });
    ws.on('message', (data: Buffer, isBinary) => {
      this.#bytesAtMessage = this.#bytesRead();
      this.#controlBytes = 0;
      this.#partialSinceMs = undefined;
      this.#handlers.message(data, isBinary);
    });
    ws.on('ping', (payload: Buffer) => {
      this.#controlBytes += payload.length + CONTROL_HEADER_BYTES;
      this.#handlers.serverPing();
    });
    ws.on('pong', (payload: Buffer) => {
      this.#controlBytes += payload.length + CONTROL_HEADER_BYTES;
      this.#handlers.pong(payload.toString('latin1'));
    });
    ws.on('error', (error) => {
      this.#error ??= error;
    });
    ws.on('close', (code, reason) => {
      this.#onClose(code, reason.toString('utf8'));
    });
    ws.on('unexpected-response', (request, response) => {
      this.#onRefusal(request, response);
    });
  }

  /** Takes a refusal of the upgrade with a status; the body may name the oldest position on offer. */
  #onRefusal(request: ClientRequest, response: IncomingMessage): void {
    const parts: Buffer[] = [];
    let size = 0;
    const finish = (): void => {
      request.destroy();
      const after = retryAfterMs(response.headers['retry-after'], this.#options.nowEpochMs());
      const body = Buffer.concat(parts).toString('utf8');
      this.#end(
        {
          stage: 'upgrade',
          status: response.statusCode ?? 0,
          ...(after === undefined ? {} : { retryAfterMs: after }),
        },
        `HTTP ${String(response.statusCode)}`,
        oldestIn(body),
      );
      this.#ws.terminate();
    };
    response.on('data', (part: Buffer) => {
      size += part.length;
      if (size <= REFUSAL_LIMIT_BYTES) parts.push(part);
      else finish();
    });
    response.on('end', finish);
    response.on('error', finish);
    response.setTimeout(REFUSAL_LIMIT_MS, finish);
  }

  /**
   * Checks the age of an unfinished message. Bytes beyond the last whole message that are no control frames belong to a
   * message that is still coming. Control frames do not make it younger.
   */
  #checkAge(): void {
    const now = this.#options.nowMs();
    if (this.#bytesRead() - this.#bytesAtMessage - this.#controlBytes <= 0) {
      this.#partialSinceMs = undefined;
      return;
    }
    this.#partialSinceMs ??= now;
    if (now - this.#partialSinceMs < MESSAGE_AGE_LIMIT_MS) return;
    this.#error = Object.assign(new Error('a message did not end in time'), { code: 'HF_MESSAGE_AGE' });
    this.#ws.terminate();
  }

  #onClose(code: number, reason: string): void {
    const text = this.#error === undefined ? reason : `${codeOf(this.#error)} ${this.#error.message}`.trim();
    this.#end(this.#failureOf(code), text, undefined);
  }

  #failureOf(code: number): Failure {
    const error = this.#error === undefined ? {} : { error: codeOf(this.#error) };
    if (!this.#opened) return { stage: 'dial', ...error };
    const illegal = illegalCodeIn(this.#error);
    return illegal === undefined
      ? { stage: 'stream', closeCode: code, ...error }
      : { stage: 'stream', closeCode: illegal };
  }

  #end(failure: Failure, text: string, oldest: string | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#ageTimer);
    this.#handlers.ended(failure, { text: text.slice(0, FAILURE_TEXT_CHARS), oldest });
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/**
 * Returns the illegal close code that an error names. The library refuses such a code and reports 1006; its error has
 * the number (S1's 401). The only text that is ever read.
 */
function illegalCodeIn(error: Error | undefined): number | undefined {
  if (error === undefined || codeOf(error) !== 'WS_ERR_INVALID_CLOSE_CODE') return undefined;
  const code = /status code (\d{1,5})/.exec(error.message)?.[1];
  return code === undefined ? undefined : Number(code);
}

/** Reads `oldest` in the JSON body of a refusal: the first position that the platform still has. */
function oldestIn(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    const oldest = typeof value === 'object' && value !== null && 'oldest' in value ? value.oldest : undefined;
    return typeof oldest === 'string' || typeof oldest === 'number' ? String(oldest) : undefined;
  } catch {
    return undefined; // most refusals are not JSON
  }
}
