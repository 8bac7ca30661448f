import { type PoolRequest, POOL_PLACE_MS } from '../../coordination/stream-pool.ts';
import type { ClientPlan, StreamPlan } from '../../config/plan.ts';
import type { Deps } from '../runtime/environment.ts';

/** A polite close takes no longer. */
const LEAVE_AFTER_MS = 1000;
/** A held slot is renewed this often. */
const RENEW_EVERY_MS = POOL_PLACE_MS / 3;

/** `revoked`: a more important stream of the tenant needs the place, or the store forgot it. */
interface QuotaNote {
  readonly kind: 'granted' | 'revoked';
  readonly stream: string;
}

/**
 * Keeps the places of one client's streams in their tenant's pool. A store that does not answer takes nothing away:
 * slots outlast it for a while.
 */
export class StreamQuota {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #wake: () => void;
  #notes: QuotaNote[] = [];
  readonly #held = new Set<string>();
  readonly #asking = new Map<string, NodeJS.Timeout | undefined>();
  #renewer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(plan: ClientPlan, deps: Deps, wake: () => void) {
    this.#plan = plan;
    this.#deps = deps;
    this.#wake = wake;
  }

  /** Returns what changed for the places since the last call. */
  takeNotes(): readonly QuotaNote[] {
    return this.#notes.length === 0 ? this.#notes : this.#notes.splice(0);
  }

  /** Notes `granted` at once, or as soon as there is a place; never once the term has ended. */
  want(stream: string): void {
    if (this.#stopped) return;
    this.#renewer ??= setInterval(() => {
      for (const one of this.#held) this.#ask(one);
    }, RENEW_EVERY_MS).unref();
    if (this.#held.has(stream)) return this.#note('granted', stream);
    if (this.#asking.has(stream)) return;
    this.#asking.set(stream, undefined);
    this.#ask(stream);
  }

  /** Waits no longer. A slot that the stream has stays: the stream will want it again. */
  cancel(stream: string): void {
    clearTimeout(this.#asking.get(stream));
    this.#asking.delete(stream);
    this.#notes = this.#notes.filter((note) => note.stream !== stream || note.kind === 'revoked');
  }

  /** Gives the place back. */
  leave(stream: string): void {
    this.cancel(stream);
    if (!this.#held.delete(stream)) return;
    this.#deps.pool.leave(this.#request(stream)).catch(() => undefined); // it expires
  }

  /** @param keep the streams go on under another leader: their places stay. */
  stop(keep: boolean): void {
    this.#stopped = true;
    clearInterval(this.#renewer);
    for (const timer of this.#asking.values()) clearTimeout(timer);
    if (!keep) for (const stream of [...this.#held]) this.leave(stream);
  }

  get waiting(): readonly string[] {
    return [...this.#asking.keys()];
  }

  #ask(stream: string): void {
    this.#deps.pool.admit(this.#request(stream)).then(
      (slot) => {
        if (this.#stopped) return;
        if (slot.kind === 'granted') this.#onGranted(stream);
        // The store forgot our place, or gave it away while it was not renewed: the stream closes and queues like any
        // other.
        else if (slot.kind === 'queued' && this.#held.delete(stream)) this.#note('revoked', stream);
        else if (slot.kind === 'revoked' && this.#held.delete(stream)) this.#onRevoked(stream, slot.withinMs);
        else this.#later(stream, slot.kind === 'queued' ? slot.retryMs : slot.withinMs);
      },
      () => {
        if (!this.#held.has(stream)) this.#onGranted(stream);
      }, // without the store the client's own gate must do
    );
  }

  #onGranted(stream: string): void {
    const asked = this.#asking.delete(stream);
    // Granted to a stream that no longer waits: the place is given back.
    if (!asked && !this.#held.has(stream))
      return void this.#deps.pool.leave(this.#request(stream)).catch(() => undefined);
    this.#held.add(stream);
    if (asked) this.#note('granted', stream);
  }

  /** Has the stream close now; its place is given on as soon as that is certain. */
  #onRevoked(stream: string, withinMs: number): void {
    this.#note('revoked', stream);
    setTimeout(
      () => {
        this.#deps.pool.leave(this.#request(stream)).catch(() => undefined);
      },
      Math.min(withinMs, LEAVE_AFTER_MS),
    ).unref();
  }

  #later(stream: string, ms: number): void {
    if (!this.#asking.has(stream)) return;
    this.#asking.set(
      stream,
      setTimeout(() => {
        this.#ask(stream);
      }, ms).unref(),
    );
  }

  #note(kind: QuotaNote['kind'], stream: string): void {
    this.#notes.push({ kind, stream });
    this.#wake();
  }

  #request(name: string): PoolRequest {
    const stream: StreamPlan | undefined = this.#plan.streams.find((one) => one.name === name);
    return {
      tenant: `${this.#plan.platform}:${this.#plan.tenantId}`,
      stream: `${this.#plan.lease}/${name}`,
      priority: stream?.priority ?? 1,
      limit: this.#plan.dialing.maxStreams,
    };
  }
}
