import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** A TCP proxy of one replica to one server: the network between them, to be cut, slowed and reset. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: () => number;
  readonly #pairs = new Set<Pair>();
  /** Our ports toward the server: who asked, as the server sees it. */
  readonly ports = new Set<number>();
  /** Bytes are swallowed both ways, nobody is told. */
  #cut = false;
  #delayMs = 0;
  #refusing = false;
  port = 0;

  constructor(target: () => number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: false }, (near) => { this.#accept(near); });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Packets are dropped: connections stay, new ones hang. */
  cut(on: boolean): void {
    this.#cut = on;
    // What was swallowed is gone: the connections cannot go on.
    if (!on) this.reset();
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** All connections end with a reset; with `refuse`, new ones are reset at once too. */
  reset(refuse = false): void {
    this.#refusing = refuse;
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) => this.#server.close(() => { resolve(); }));
  }

  #accept(near: Socket): void {
    near.on('error', () => undefined);
    if (this.#refusing) return void near.resetAndDestroy();
    const far = connect(this.#target(), '127.0.0.1');
    const pair: Pair = { near, far };
    this.#pairs.add(pair);
    far.on('error', () => near.resetAndDestroy());
    far.once('connect', () => { if (far.localPort !== undefined) this.ports.add(far.localPort); });
    this.#pipe(near, far);
    this.#pipe(far, near);
    const end = (): void => {
      // A link that is cut tells nobody that the other side has gone, until it is whole again.
      if (this.#cut) return;
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    near.on('close', end);
    far.on('close', end);
  }

  #pipe(from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (this.#cut) return;
      if (this.#delayMs === 0) return void to.write(chunk);
      setTimeout(() => { if (!to.destroyed) to.write(chunk); }, this.#delayMs);
    });
  }
}
