import type { StreamPlan } from '../../config/plan.ts';
import type { Heartbeat } from '../../coordination/redis/connection-registry.ts';
import type { SessionState } from '../../core/session/session-model.ts';
import type { DialTarget } from '../../platforms/dial-target.ts';
import type { SocketHandlers } from '../../upstream/stream-socket.ts';
import type { Deps } from '../runtime/environment.ts';
import type { PlatformSocket } from '../runtime/transports.ts';

interface OpenSocket {
  readonly socket: PlatformSocket;
  readonly connectionId: string;
}

/**
 * Keeps the sockets of one stream, by the session's generation numbers: at most the main one, its successor, and some
 * that are still closing.
 */
export class StreamSockets {
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

  /** Dials. A dial that cannot even begin is a failed dial: the slot that it has must come back. */
  dial(gen: number, connectionId: string, target: () => DialTarget, handlers: SocketHandlers): void {
    const options = {
      loopback: this.#plan.loopback,
      allowPrivate: this.#plan.allowPrivate,
      closeTimeoutMs: this.#plan.session.closeTimeoutMs,
      nowMs: this.#deps.nowMs,
      nowEpochMs: this.#deps.nowEpochMs,
    };
    try {
      this.#open.set(gen, { socket: this.#deps.transports.link(target(), options, handlers), connectionId });
    } catch (error) {
      this.#deps.log.error({ err: error, stream: this.#plan.name }, 'the dial could not begin');
      queueMicrotask(() => {
        handlers.ended({ stage: 'dial' }, { text: 'the dial could not begin', oldest: undefined });
      });
    }
  }

  of(gen: number): PlatformSocket | undefined {
    return this.#open.get(gen)?.socket;
  }

  /** Returns our id of a connection: 16 hex digits, new for each; empty when the connection is gone. */
  idOf(gen: number): string {
    return this.#open.get(gen)?.connectionId ?? '';
  }

  /** Ends the connection with this id, if it is one of ours. */
  terminate(connectionId: string): void {
    for (const one of this.#open.values()) if (one.connectionId === connectionId) one.socket.terminate();
  }

  /** Returns the open connections of a session, as the registry shows them. */
  heartbeats(session: SessionState): readonly Pick<Heartbeat, 'connectionId' | 'silentMs' | 'state' | 'retryCount'>[] {
    return [session.main, session.next].flatMap((link) => {
      if (link?.liveness === undefined || link.phase !== 'open') return [];
      const { verdict, lastFrameAtMs } = link.liveness;
      // A connection that our own watch calls healthy has given its sign of life, however quiet the endpoint is by
      // nature.
      const silentMs = verdict === 'HEALTHY' ? 0 : Math.max(0, this.#deps.nowMs() - lastFrameAtMs);
      return [
        {
          connectionId: this.idOf(link.gen),
          silentMs,
          state: verdict === 'HEALTHY' ? ('ACTIVE' as const) : ('DEGRADED' as const),
          retryCount: session.attempt,
        },
      ];
    });
  }

  /** Stops or goes on reading from all sockets. */
  pause(paused: boolean): void {
    for (const { socket } of this.#open.values()) socket.pause(paused);
  }

  forget(gen: number): void {
    this.#open.delete(gen);
  }

  /** Ends the remaining sockets without a handshake. */
  terminateAll(): void {
    for (const { socket } of this.#open.values()) socket.terminate();
  }
}
