import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';

/** Limits of connections to the admin port: of probes, Prometheus, and any other client in the cluster. */
export interface ConnectionLimits {
  readonly total: number;
  /** Limit for one remote address; loopback has none. */
  readonly perAddress: number;
}
/** Connections of the admin port at one time, so that strangers leave room for probes. */
const ADMIN_LIMITS: ConnectionLimits = { total: 128, perAddress: 16 };

/** Headers come at once or never. */
const HEADERS_TIMEOUT_MS = 2000;
/** How often connections are looked at that exceed HEADERS_TIMEOUT_MS or REQUEST_TIMEOUT_MS. */
const CHECK_EVERY_MS = 1000;
/** Time in which a request to the admin port must have come whole. */
const REQUEST_TIMEOUT_MS = 10_000;
/** A stranger who does not read his answer is let go; an order from loopback may take long. */
const STALLED_MS = 10_000;
/** Largest header of a request to the admin port. */
const MAX_HEADER_BYTES = 16_384;

/**
 * Makes the server of an admin port: no number of connections that a client keeps open keeps a probe from its answer.
 */
export function createAdminServer(route: RequestListener): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
    },
    route,
  );
  limitConnections(server, ADMIN_LIMITS);
  return server;
}

/**
 * Keeps a server within its limits by closing the connection that has been idle longest: of the same address when that
 * has too many, else of all. Refuses the new one only when all are at work.
 */
export function limitConnections(server: Server, limits: ConnectionLimits): void {
  /** Connections from the one used longest ago to the newest, with the number of requests under way. */
  const open = new Map<Socket, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const local = isLoopback(address);
    const mine = [...open.keys()].filter((one) => one.remoteAddress === address);
    const crowd = !local && mine.length >= limits.perAddress ? mine : open.size >= limits.total ? [...open.keys()] : [];
    if (crowd.length > 0) {
      const idle = crowd.find((one) => open.get(one) === 0);
      (idle ?? socket).destroy();
      if (idle === undefined) return;
      open.delete(idle);
    }
    open.set(socket, 0);
    socket.once('close', () => open.delete(socket));
    if (!local) socket.setTimeout(STALLED_MS, () => socket.destroy());
  });
  server.on('request', ({ socket }, response) => {
    const use = (change: number): void => {
      const count = open.get(socket);
      if (count === undefined) return;
      open.delete(socket);
      open.set(socket, count + change);
    };
    use(1);
    response.once('close', () => {
      use(-1);
    });
  });
}

function isLoopback(address: string): boolean {
  return address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1';
}
