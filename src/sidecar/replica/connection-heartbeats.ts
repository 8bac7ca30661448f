import type { Heartbeat } from '../../coordination/redis/connection-registry.ts';
import type { Deps } from '../runtime/environment.ts';

/** Connections are reported this often: twice within any time after which they count as dead. */
export const HEARTBEAT_EVERY_MS = 5000;
/** Purged connections of one sweep that have an audit record; the metric counts all. */
const PURGES_AUDITED = 100;
const NOT_WRITTEN = 'heartbeats could not be written: other replicas and kubectl do not see these connections';
const NOT_SWEPT = 'the sweep was cut short: dead connections stay in the registry until they expire';

/**
 * Reports this replica's connections to the registry, takes part in the reaper's rounds, and passes on which were
 * declared dead. Only the view of operators depends on it: a registry that is lost is written again with the next
 * heartbeat.
 */
export class ConnectionHeartbeats {
  readonly #deps: Deps;
  readonly #held: () => readonly Heartbeat[];
  readonly #everyMs: number;
  #known = new Set<string>();
  #beating = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(
    deps: Deps,
    held: () => readonly Heartbeat[],
    everyMs: { readonly beat: number; readonly sweep: number },
  ) {
    this.#deps = deps;
    this.#held = held;
    this.#everyMs = everyMs.beat;
    if (deps.registry === undefined) return;
    this.#timers = [
      setInterval(() => {
        void this.beat();
      }, this.#everyMs),
      setInterval(
        () => {
          void this.#sweep();
        },
        everyMs.sweep * (0.9 + deps.random() * 0.2),
      ),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  /** Reports now, because something changed. */
  async beat(): Promise<void> {
    const { registry } = this.#deps;
    if (registry === undefined || this.#beating) return;
    this.#beating = true;
    try {
      const beats = this.#held();
      const ids = new Set(beats.map((one) => one.connectionId));
      const ended = [...this.#known].filter((id) => !ids.has(id));
      if (ended.length > 0) await registry.remove(ended);
      this.#known = ids;
      if (beats.length > 0) await registry.heartbeat(beats);
      this.#deps.refusals.over(NOT_WRITTEN);
    } catch (error) {
      this.#deps.refusals.note(NOT_WRITTEN, error);
    } finally {
      this.#beating = false;
    }
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#deps.registry?.remove([...this.#known]).catch(() => undefined); // they expire
  }

  async #sweep(): Promise<void> {
    try {
      const dead = (await this.#deps.registry?.sweep()) ?? [];
      this.#deps.refusals.over(NOT_SWEPT);
      if (dead.length > 0) this.#deps.metrics.purged.inc(dead.length);
      for (const connectionId of dead.slice(0, PURGES_AUDITED))
        this.#deps.audit.write('connection.purged', '', { connectionId });
    } catch (error) {
      this.#deps.refusals.note(NOT_SWEPT, error);
    }
  }
}
