import { createWriteStream, fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import type { SecretRegistry } from '../core/secret-registry.ts';

/**
 * Bytes of lines that wait for a slow reader; more are dropped and counted. A log collector must never stall the
 * streams.
 */
export const SINK_LIMIT_BYTES = 1024 * 1024;

/** Writes lines: scrubs them, never blocks, and drops lines rather than grows. */
export class LineSink {
  readonly #out: Writable;
  readonly #secrets: SecretRegistry;
  #dropped = 0;

  constructor(out: Writable, secrets: SecretRegistry) {
    this.#out = out;
    this.#secrets = secrets;
    // A reader that is gone is not our failure; lines for it are dropped.
    out.on('error', () => undefined);
  }

  write(line: string): void {
    if (this.#out.writableLength > SINK_LIMIT_BYTES || this.#out.destroyed) {
      this.#dropped += 1;
      return;
    }
    const text = this.#secrets.scrub(line);
    this.#out.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** Returns how many lines were dropped since the last call. */
  takeDropped(): number {
    const count = this.#dropped;
    this.#dropped = 0;
    return count;
  }

  /** Waits until the written lines have left, at most `limitMs`. */
  async flush(limitMs: number): Promise<void> {
    if (this.#out.writableLength === 0 || this.#out.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#out.once('drain', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#out.write('', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/**
 * Returns a writable on one of our own descriptors that does not block the process: Node's own stdout and stderr are
 * synchronous on pipes.
 */
export function openDescriptor(fd: 1 | 2): Writable {
  const info = fstatSync(fd);
  if (info.isFIFO() || info.isSocket()) {
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.unref();
    return socket;
  }
  return info.isFile() ? createWriteStream('', { fd, autoClose: false }) : fd === 1 ? process.stdout : process.stderr;
}
