import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** What the replica sent and the server has not got yet. */
  readonly held: Buffer[];
}

type Direction = 'out' | 'in';

/** Bytes of one write when the link slices; frames and heads are cut anywhere. */
const SLICE_BYTES = 97;
/** A link of limited bandwidth passes its share this often. */
const SHARE_EVERY_MS = 20;
const COMMAND = /\*\d+\r\n\$/g;

/** A TCP proxy of one replica to one server: the network between them, to be cut, slowed, sliced and reset. */
export class TcpProxy {
  readonly #target: () => number;
  readonly #pairs = new Set<Pair>();
  /** Our ports toward the server: who asked, as the server sees it. */
  readonly ports = new Set<number>();
  #server: Server;
  /** Bytes of these directions are swallowed, nobody is told. */
  #cut: ReadonlySet<Direction> = new Set();
  #delay: () => number = () => 0;
  #refusing = false;
  #holding = false;
  #slicing = false;
  #bytesPerSecond = Infinity;
  /** Commands of a Redis client that went through, and connections it made. */
  commands = 0;
  connections = 0;
  /**
   * Told when the replica closed a connection, by our port toward the server, whether or not the server can hear of
   * it.
   */
  onClosed: (port: number) => void = () => undefined;
  port = 0;

  constructor(target: () => number) {
    this.#target = target;
    this.#server = this.#create();
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Packets are dropped: connections stay, new ones hang. `out`: only what the replica sends. */
  cut(on: boolean, directions: readonly Direction[] = ['out', 'in']): void {
    this.#cut = new Set(on ? directions : []);
    // What was swallowed is gone: the connections cannot go on.
    if (!on) this.reset();
  }

  /** As it was at first; what cannot go on is reset. */
  mend(): void {
    const cut = this.#cut.size > 0 || this.#refusing;
    this.#cut = new Set();
    this.#delay = () => 0;
    this.#slicing = false;
    this.#bytesPerSecond = Infinity;
    this.#refusing = false;
    if (cut) this.reset();
  }

  /** @param ms delay of every piece, in order; with `spread` anything up to `upTo`, by `unit` in [0, 1). */
  delay(ms: number, spread?: { readonly upTo: number; readonly unit: () => number }): void {
    this.#delay = () => ms + (spread === undefined ? 0 : (spread.upTo - ms) * spread.unit());
  }

  /** What the replica sends stays under way, even when it closes the connection. */
  hold(): void {
    this.#holding = true;
  }

  /** Bytes under way. */
  get heldBytes(): number {
    return [...this.#pairs].reduce((sum, { held }) => sum + held.reduce((bytes, { length }) => bytes + length, 0), 0);
  }

  /** What was under way arrives, in order. */
  letGo(): void {
    this.#holding = false;
    for (const { near, far, held } of this.#pairs) {
      for (const chunk of held.splice(0)) this.#write(far, chunk);
      if (near.destroyed) far.end();
    }
  }

  slice(on: boolean): void {
    this.#slicing = on;
  }

  /** @param bytesPerSecond toward the replica; Infinity: as before. */
  bandwidth(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
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

  /** Nobody listens any more: ECONNREFUSED. */
  async down(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
    this.reset();
    await closed;
  }

  async up(): Promise<void> {
    this.#server = this.#create();
    await this.listen();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
  }

  #create(): Server {
    return createServer({ allowHalfOpen: false, noDelay: true }, (near) => {
      this.#accept(near);
    });
  }

  #accept(near: Socket): void {
    this.connections += 1;
    near.on('error', () => undefined);
    if (this.#refusing) return void near.resetAndDestroy();
    const far = connect({ port: this.#target(), host: '127.0.0.1', noDelay: true });
    const pair: Pair = { near, far, held: [] };
    this.#pairs.add(pair);
    far.on('error', () => near.resetAndDestroy());
    let port: number | undefined;
    far.once('connect', () => {
      port = far.localPort;
      if (port !== undefined) this.ports.add(port);
    });
    this.#pipe(near, far, { direction: 'out', held: pair.held });
    this.#pipe(far, near, { direction: 'in', held: [] });
    const end = (): void => {
      // A link that is cut tells nobody that the other side has gone, until it is whole again.
      if (this.#cut.size > 0 || pair.held.length > 0) return;
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    near.on('close', () => {
      if (port !== undefined) this.onClosed(port);
      end();
    });
    far.on('close', end);
  }

  #pipe(
    from: Socket,
    to: Socket,
    { direction, held }: { readonly direction: Direction; readonly held: Buffer[] },
  ): void {
    /** When the last delayed piece goes: order is kept whatever the delays are. */
    let freeAt = 0;
    const waiting: Buffer[] = [];
    from.on('data', (chunk: Buffer) => {
      if (direction === 'out') this.commands += chunk.toString('latin1').match(COMMAND)?.length ?? 0;
      if (this.#cut.has(direction)) return;
      if (direction === 'out' && this.#holding) return void held.push(chunk);
      const slow = direction === 'in' && Number.isFinite(this.#bytesPerSecond);
      const now = performance.now();
      if (!slow && waiting.length === 0 && this.#delay() === 0) return this.#write(to, chunk);
      const pieces = slow
        ? cutUp(chunk, Math.max(1, Math.round((this.#bytesPerSecond * SHARE_EVERY_MS) / 1000)))
        : [chunk];
      if (slow) from.pause();
      pieces.forEach((piece, index) => {
        freeAt = Math.max(freeAt, now + this.#delay()) + (slow ? SHARE_EVERY_MS : 0);
        // Timers of unequal lengths may swap; the queue does not.
        waiting.push(piece);
        setTimeout(() => {
          const next = waiting.shift();
          if (next !== undefined) this.#write(to, next);
          if (slow && index === pieces.length - 1) from.resume();
        }, freeAt - now);
      });
    });
  }

  #write(to: Socket, chunk: Buffer): void {
    if (to.destroyed) return;
    if (!this.#slicing) return void to.write(chunk);
    for (const piece of cutUp(chunk, SLICE_BYTES)) to.write(piece);
  }
}

function cutUp(chunk: Buffer, size: number): readonly Buffer[] {
  return Array.from({ length: Math.ceil(chunk.length / size) }, (_, index) =>
    chunk.subarray(index * size, (index + 1) * size),
  );
}
