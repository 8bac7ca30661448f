import { isLoopbackHost } from '../../config/hosts.ts';
import type { ClientPlan } from '../../config/plan.ts';
import { reachable } from '../../upstream/http-client.ts';
import type { Deps } from '../runtime/environment.ts';
import type { StreamDriver } from '../stream/stream-driver.ts';

/** A leader whose consumer takes nothing for this long gives the lease away, if somebody can take it. */
const CONSUMER_DOWN_MS = 10_000;
/** The same for a platform that cannot be reached from here. */
const PLATFORM_DOWN_MS = 20_000;
/** The same for credentials that the token endpoint refuses: another replica may have others. */
const CREDENTIALS_REFUSED_MS = 20_000;
/** How often a standby looks whether its consumer is there. */
const PROBE_EVERY_MS = 5000;
/** A consumer that takes no connection within this time is not there. */
const PROBE_LIMIT_MS = 1000;

export type Unfit = 'consumer' | 'platform' | 'store' | 'credentials';

/** Reasons of a stream that is not open which another replica would share: giving the lease away would not help. */
const SHARED: ReadonlySet<string> = new Set([
  'rate_limited',
  'overloaded',
  'auth_failed',
  'forbidden',
  'position_expired',
  'private_address',
  'parked',
  'shutdown',
]);

/** Judges whether this replica can lead a client: its consumer must be there; its own way to the platform must work. */
export class Fitness {
  readonly #plan: ClientPlan;
  readonly #deps: Deps;
  readonly #pullersThere: () => boolean;
  #consumerThere = true;
  #downSinceMs: number | undefined;
  #cutSinceMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param pullersThere tells whether every consumer that pulls is connected. */
  constructor(plan: ClientPlan, deps: Deps, pullersThere: () => boolean) {
    this.#pullersThere = pullersThere;
    this.#plan = plan;
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setInterval(() => {
      void this.#probe();
    }, PROBE_EVERY_MS);
    this.#timer.unref();
    void this.#probe();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Begins another term: the obstacles of the last one prove nothing. */
  reset(): void {
    this.#downSinceMs = undefined;
    this.#cutSinceMs = undefined;
  }

  /** True, for a standby, while there is a consumer to hand events to. */
  get consumerThere(): boolean {
    return this.#consumerThere && this.#pullersThere();
  }

  /**
   * Returns what keeps this leader from its work although another replica might do it. To be called regularly.
   * @param refusedForMs how long the token endpoint has refused our credentials; undefined: it does not.
   */
  judge(streams: ReadonlyMap<string, StreamDriver>, refusedForMs: number | undefined): Unfit | undefined {
    const nowMs = this.#deps.nowMs();
    const facts = [...streams.values()].flatMap((stream) => standing(stream) ?? []);
    const cut = facts.length > 0 && facts.every((one) => one.failing !== undefined && !SHARED.has(one.failing));
    this.#downSinceMs = since(
      this.#downSinceMs,
      facts.some((one) => one.consumerDown),
      nowMs,
    );
    this.#cutSinceMs = since(this.#cutSinceMs, cut, nowMs);
    // Refused for good in this term; the next one reads anew where the store stands.
    if ([...streams.values()].some((stream) => stream.fencedForGood)) return 'store';
    if ((refusedForMs ?? 0) >= CREDENTIALS_REFUSED_MS) return 'credentials';
    if (nowMs - (this.#downSinceMs ?? nowMs) >= CONSUMER_DOWN_MS) return 'consumer';
    if (nowMs - (this.#cutSinceMs ?? nowMs) >= PLATFORM_DOWN_MS) return 'platform';
    return undefined;
  }

  /** Asks whether the push consumers are there; a pull consumer shows itself by connecting. */
  async #probe(): Promise<void> {
    const urls = new Set(
      this.#plan.streams.flatMap((stream) =>
        stream.suspend || stream.delivery.push === undefined ? [] : [new URL(stream.delivery.push.url).origin],
      ),
    );
    const { allowPrivate } = this.#plan;
    const answers = await Promise.all(
      [...urls].map((url) =>
        reachable(url, PROBE_LIMIT_MS, { loopback: isLoopbackHost(new URL(url).hostname), allowPrivate }),
      ),
    );
    this.#consumerThere = answers.every(Boolean);
  }
}

/** Returns since when a state has lasted; undefined while it does not. */
function since(beganMs: number | undefined, lasts: boolean, nowMs: number): number | undefined {
  return lasts ? (beganMs ?? nowMs) : undefined;
}

/**
 * Returns whether a stream does its work, and if not, why; undefined: it is not meant to (suspended, or stopped on
 * purpose).
 */
function standing({
  connection,
  delivery,
  client,
}: StreamDriver): { readonly consumerDown: boolean; readonly failing: string | undefined } | undefined {
  const { phase, attempt, main, goal } = connection.state;
  if (goal === 'stop') return undefined;
  const consumerDown = delivery.hold === 'consumer_down' || (delivery.kind === 'pull' && !delivery.ready);
  if (client.restrained) return { consumerDown, failing: undefined };
  return {
    consumerDown,
    failing:
      phase.kind === 'backoff' ? phase.reason : attempt > 0 && main?.phase !== 'open' ? 'connect_failed' : undefined,
  };
}
