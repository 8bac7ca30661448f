/** Class C: how long a socket is held while the lease is in doubt. There the platform itself evicts the older of two. */
const HOLD_MS = 30_000;

/** Whether the lease allows a socket. */
export class Bar {
  readonly #park: () => void;
  readonly #holdMs: number;
  #down = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param park closes the sockets politely; the stream goes on from its position later. */
  constructor(streamClass: 'A' | 'B' | 'C', park: () => void) {
    this.#park = park;
    this.#holdMs = streamClass === 'C' ? HOLD_MS : 0;
  }

  get down(): boolean {
    return this.#down;
  }

  lower(): void {
    if (this.#down) return;
    this.#down = true;
    if (this.#holdMs === 0) this.#park();
    else this.#timer = setTimeout(this.#park, this.#holdMs).unref();
  }

  lift(): void {
    clearTimeout(this.#timer);
    this.#down = false;
  }
}
