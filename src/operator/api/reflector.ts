import { backoffDelay } from '../../core/dialing/backoff.ts';
import { ApiError, type Kube, type KubeObject, type WatchEvent } from './kube.ts';

/** Spaces lists and watches that failed; a watch that ends at once waits for the first delay, too. */
const BACKOFF = { baseMs: 200, multiplier: 2, maxMs: 15_000, jitterLow: 0.5, jitterHigh: 1.5 };
/** The server ends a watch after this; a little before the silence limit. */
const WATCH_SECONDS = 240;
/** A watch on which nothing came for this long, not even a bookmark, is given up. */
const SILENCE_MS = 300_000;
/** A watch that lasted less is one of a server that is going down: it is not asked again in a hurry. */
const SHORT_WATCH_MS = 1000;
/** However well the watch seems to go: the list is read anew after this. */
const RELIST_MS = 600_000;

export interface ReflectorHost {
  /** Takes the object as it is now; undefined: gone. Errors are the host's own. */
  changed(key: string, object: KubeObject | undefined): void;
  /** Takes a failure; the reflector goes on by itself. */
  trouble(error: unknown): void;
}

export interface ReflectorClock {
  readonly nowMs: () => number;
  readonly random: () => number;
}

/**
 * Keeps a copy of all objects of one path: list, then watch with bookmarks; again from the last version after a break,
 * anew after 410 or RELIST_MS. Written for this program because the library's informer ends for good after one HTTP 500
 * and never asks for bookmarks.
 */
export class Reflector {
  readonly #kube: Kube;
  readonly #path: string;
  readonly #selector: string;
  readonly #host: ReflectorHost;
  readonly #clock: ReflectorClock;
  readonly #objects = new Map<string, KubeObject>();
  readonly #stopped = new AbortController();
  #version = '';
  /** True once all objects were listed: the copy may be old after a break, but it is complete. */
  #everListed = false;
  #listedAtMs = -Infinity;
  /** Time of the server's last sign of life. */
  lastHeardMs = -Infinity;

  /** @param selector label selector; empty: all. */
  constructor(
    kube: Kube,
    what: { readonly path: string; readonly selector?: string },
    host: ReflectorHost,
    clock: ReflectorClock,
  ) {
    this.#kube = kube;
    this.#path = what.path;
    this.#selector = what.selector ?? '';
    this.#host = host;
    this.#clock = clock;
  }

  get objects(): ReadonlyMap<string, KubeObject> {
    return this.#objects;
  }

  get listed(): boolean {
    return this.#everListed;
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Goes on until `stop`. Never throws. */
  async run(): Promise<void> {
    for (let failures = 0; !this.#over();) {
      try {
        if (this.#version === '' || this.#clock.nowMs() - this.#listedAtMs > RELIST_MS) await this.#list();
        await this.#watch();
        failures = 0;
      } catch (error) {
        if (this.#over()) return;
        if (error instanceof ApiError && (error.status === 410 || error.reason === 'Expired')) this.#version = '';
        else this.#host.trouble(error);
        await this.#pause(backoffDelay(BACKOFF, failures, this.#clock.random()));
        failures += 1;
      }
    }
  }

  #over(): boolean {
    return this.#stopped.signal.aborted;
  }

  async #list(): Promise<void> {
    const list = (await this.#kube.get(this.#path, this.#selector === '' ? {} : { labelSelector: this.#selector })) as {
      readonly metadata: { readonly resourceVersion: string };
      readonly items: readonly KubeObject[];
    };
    const there = new Set<string>();
    for (const object of list.items) {
      const key = keyOf(object);
      there.add(key);
      if (this.#objects.get(key)?.metadata.resourceVersion !== object.metadata.resourceVersion) this.#set(key, object);
    }
    for (const key of [...this.#objects.keys()]) if (!there.has(key)) this.#set(key, undefined);
    this.#version = list.metadata.resourceVersion;
    this.#everListed = true;
    this.#listedAtMs = this.#clock.nowMs();
    this.lastHeardMs = this.#listedAtMs;
  }

  async #watch(): Promise<void> {
    const began = this.#clock.nowMs();
    await this.#kube.watch(
      this.#path,
      {
        resourceVersion: this.#version,
        allowWatchBookmarks: 'true',
        timeoutSeconds: String(WATCH_SECONDS),
        ...(this.#selector === '' ? {} : { labelSelector: this.#selector }),
      },
      (event) => {
        this.#on(event);
      },
      { silenceMs: SILENCE_MS, signal: this.#stopped.signal },
    );
    if (this.#clock.nowMs() - began < SHORT_WATCH_MS) await this.#pause(backoffDelay(BACKOFF, 0, this.#clock.random()));
  }

  #on({ type, object }: WatchEvent): void {
    this.lastHeardMs = this.#clock.nowMs();
    if (type === 'ERROR') {
      const { code, reason, message } = object as unknown as {
        readonly code?: number;
        readonly reason?: string;
        readonly message?: string;
      };
      throw new ApiError(code ?? 0, reason ?? '', message ?? 'the watch ended with an error');
    }
    this.#version = object.metadata.resourceVersion ?? this.#version;
    if (type !== 'BOOKMARK') this.#set(keyOf(object), type === 'DELETED' ? undefined : object);
  }

  #set(key: string, object: KubeObject | undefined): void {
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    try {
      this.#host.changed(key, object);
    } catch (error) {
      this.#host.trouble(error);
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#stopped.signal.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });
  }
}

/** Returns namespace/name of an object. */
function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
