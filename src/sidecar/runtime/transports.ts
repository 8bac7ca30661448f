import type { StreamPlan } from '../../config/plan.ts';
import { HttpPushTransport, type Push, type PushTransport } from '../../delivery/push-transport.ts';
import type { DialTarget } from '../../platforms/dial-target.ts';
import { StreamSocket, type SocketHandlers, type SocketOptions } from '../../upstream/stream-socket.ts';

/** One connection to the platform, as the stream uses it. */
export type PlatformSocket = Pick<StreamSocket, 'send' | 'pause' | 'ping' | 'close' | 'terminate'>;

/** Opens the ways out of the process. The simulation replaces it by its own. */
export interface Transports {
  /** Dials the platform; the handlers get what happens. */
  link(target: DialTarget, options: SocketOptions, handlers: SocketHandlers): PlatformSocket;
  /** Returns the way to the consumer of one stream. */
  push(plan: StreamPlan, push: Push): PushTransport;
}

/** Real sockets. */
export const SYSTEM_TRANSPORTS: Transports = {
  link: (target, options, handlers) => new StreamSocket(target, options, handlers),
  push: (plan, push) =>
    new HttpPushTransport(push, {
      limitMs: plan.delivery.ackTimeout,
      allowPrivate: plan.allowPrivate,
      connections: push.contentMode === 'batch' ? 1 : push.concurrency,
    }),
};
