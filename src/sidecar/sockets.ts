import type { StreamPlan } from '../config/resolve.ts';
import type { DialTarget } from '../platforms/dial.ts';
import { StreamSocket, type SocketHandlers } from '../upstream/socket.ts';
import type { Deps } from './deps.ts';

interface OpenSocket {
  readonly socket: StreamSocket;
  readonly connectionId: string;
}

/** The sockets of one stream, by the session's generation numbers: at most the main one, its successor, and some that are still closing. */
export class Sockets {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #open = new Map<number, OpenSocket>();

  constructor(plan: StreamPlan, deps: Deps) {
    this.#plan = plan;
    this.#deps = deps;
  }

  get count(): number {
    return this.#open.size;
  }

  /** @throws when the target is no URL; then nothing was opened. */
  dial(gen: number, connectionId: string, target: DialTarget, handlers: SocketHandlers): void {
    const options = { loopback: this.#plan.loopback, closeTimeoutMs: this.#plan.session.closeTimeoutMs, nowMs: this.#deps.nowMs, nowEpochMs: this.#deps.nowEpochMs };
    this.#open.set(gen, { socket: new StreamSocket(target, options, handlers), connectionId });
  }

  of(gen: number): StreamSocket | undefined {
    return this.#open.get(gen)?.socket;
  }

  /** Our id of a connection: 16 hex digits, new for each; empty when it is gone. */
  idOf(gen: number): string {
    return this.#open.get(gen)?.connectionId ?? '';
  }

  /** Stops or goes on reading from all sockets. */
  pause(paused: boolean): void {
    for (const { socket } of this.#open.values()) socket.pause(paused);
  }

  forget(gen: number): void {
    this.#open.delete(gen);
  }

  /** Waits until all have ended, at most `limitMs`; the rest is terminated. */
  async gone(limitMs: number): Promise<void> {
    const endsAt = this.#deps.nowMs() + limitMs;
    while (this.#open.size > 0 && this.#deps.nowMs() < endsAt) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const { socket } of this.#open.values()) socket.terminate();
  }
}
