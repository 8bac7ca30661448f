import type { ServerResponse } from 'node:http';
import type { OutboxEntry } from '../core/events/outbox.ts';
import type { Parcel } from './envelope.ts';
import type { PullConsumer } from './pull-delivery.ts';
import type { PullEndpoint } from './pull-endpoint.ts';

/** Comment lines that keep proxies and half-open detection going. */
const COMMENT_EVERY_MS = 15_000;
/** Tells a consumer how soon to connect again after a break (the field `retry` of Server-Sent Events). */
const RETRY_MS = 1000;
const LF = 0x0a;
const CR = 0x0d;

/** Sends events to one consumer on Server-Sent Events; acknowledgements come by POST. */
export class PullSse implements PullConsumer {
  readonly #response: ServerResponse;
  readonly #comments: NodeJS.Timeout;
  readonly credit: number;

  constructor(response: ServerResponse, delivery: PullEndpoint, options: { readonly credit: number }) {
    this.#response = response;
    this.credit = options.credit;
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      connection: 'keep-alive',
    });
    response.write(`retry: ${String(RETRY_MS)}\n\n`);
    response.on('drain', () => {
      delivery.pump();
    });
    response.on('close', () => {
      clearInterval(this.#comments);
      delivery.detach(this, 'lost');
    });
    response.on('error', () => undefined); // 'close' follows
    this.#comments = setInterval(() => response.write(':\n\n'), COMMENT_EVERY_MS);
    this.#comments.unref();
  }

  get bufferedBytes(): number {
    return this.#response.writableLength;
  }

  deliver(epoch: number, entries: readonly OutboxEntry<Parcel>[]): void {
    const parts: Buffer[] = [];
    for (const entry of entries) {
      parts.push(Buffer.from(`id: ${String(epoch)}.${String(entry.ord)}\n`, 'latin1'));
      pushData(parts, entry.item.ce);
    }
    this.#response.write(Buffer.concat(parts));
  }

  /** Sends the first event to a consumer whose cursor has no meaning here: never a silent jump. */
  resync(epoch: number, reason: string): void {
    const ce = {
      specversion: '1.0',
      id: `hf-resync-${String(epoch)}`,
      source: '/holdfast',
      type: 'dev.holdfast.resync.required',
      datacontenttype: 'application/json',
      data: { reason },
    };
    this.#response.write(`event: resync\ndata: ${JSON.stringify(ce)}\n\n`);
  }

  durable(upTo: string): void {
    this.#response.write(`event: ackok\ndata: ${JSON.stringify({ upTo, durable: true })}\n\n`);
  }

  dismiss(): void {
    this.#response.end();
  }
}

const DATA = Buffer.from('data: ');
const NEXT = Buffer.from('\n');
const END = Buffer.from('\n\n');

/**
 * Writes the data lines. A line break inside the JSON (white space only) becomes a further data line; the client puts a
 * line feed back.
 */
function pushData(parts: Buffer[], ce: Buffer): void {
  parts.push(DATA);
  if (ce.indexOf(LF) === -1 && ce.indexOf(CR) === -1) {
    parts.push(ce, END);
    return;
  }
  const lines = ce.toString('latin1').split(/\r\n|\r|\n/);
  lines.forEach((line, index) => {
    if (index > 0) parts.push(NEXT, DATA);
    parts.push(Buffer.from(line, 'latin1'));
  });
  parts.push(END);
}
