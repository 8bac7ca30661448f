import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { StoreTarget } from '../coordination/store-url.ts';
import { clientNames } from '../config/load-documents.ts';
import { listenOn } from '../config/listen-on.ts';
import { ConfigError, type ConfigProblem } from '../config/config-problem.ts';
import { LEASELESS_TTL_MS } from '../config/limits.ts';
import type { ClientPlan } from '../config/plan.ts';
import { RedisConnection } from '../coordination/redis/redis-connection.ts';
import { ReportStore } from '../coordination/redis/report-store.ts';
import { createAdminServer } from '../sidecar/replica/connection-limits.ts';
import type { Identity } from '../sidecar/runtime/environment.ts';
import { REPORT_EVERY_MS, reportHead } from '../sidecar/replica/status-reporter.ts';
import { EXIT_OK } from './options.ts';

/**
 * How often the files are looked at. The kubelet writes a changed annotation within seconds, a changed Secret within a
 * minute or two.
 */
const LOOK_EVERY_MS = 1000;
/** Spreads the new beginning of standbys over this time after a change: they go before the leader. */
const STANDBY_SPREAD_MS = 3000;
/**
 * Lets the leader wait this long after a change for a replica that runs the new configuration; then it begins anew all
 * the same.
 */
const LEADER_WAITS_MS = 120_000;
/** Looks without a further change before anything is done. */
const STABLE_LOOKS = 2;

export interface Configuration {
  readonly plans: readonly ClientPlan[];
  readonly warnings: readonly string[];
}

export interface Waiting {
  readonly files: readonly string[];
  readonly adminHost: string;
  readonly adminPort: number;
  /** Store for reports; undefined: its password is not there yet either. */
  readonly store: StoreTarget | undefined;
  readonly identity: Identity;
  readonly read: () => Promise<Configuration>;
}

/**
 * Returns a short name of the files' present content: the revision that compiled documents state, else a hash of the
 * content. Empty when one cannot be read.
 */
export function configHash(files: readonly string[]): string {
  try {
    const texts = files.map((file) => readFileSync(file, 'utf8'));
    const stated = REVISION.exec(texts.join('\n'))?.[1];
    return stated ?? createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 16);
  } catch {
    return '';
  }
}

const REVISION = /"holdfast\.dev\/revision":"([0-9a-f]{16})"/;

/**
 * Reads the configuration of an attached sidecar. Waits for what is missing or wrong instead of ending: meanwhile the
 * process is healthy, its log and its report name the obstacle, and the application beside it starts.
 */
export async function awaitConfiguration(waiting: Waiting): Promise<Configuration> {
  let room: WaitingRoom | undefined;
  for (;;) {
    const found = await problemsOr(waiting.read);
    if ('plans' in found) {
      await room?.close();
      return found;
    }
    room ??= await WaitingRoom.open(waiting);
    room.tell(found);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Returns the configuration, or its problems. */
export async function problemsOr(
  read: () => Promise<Configuration>,
): Promise<Configuration | readonly ConfigProblem[]> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** Refuses a file that the kubelet has not written yet as a problem like any other. @throws ConfigError */
export function requireFile(file: string): void {
  if (existsSync(file)) return;
  throw new ConfigError([
    {
      code: 'HF_CONFIG_SECRET',
      field: file,
      rule: 'is missing',
      remedy: 'make the Secret with the password of the store, key "password", in the namespace of this pod',
    },
  ]);
}

export interface Renewal {
  readonly files: readonly string[];
  /** Files whose change counts too, and which hold no documents. */
  readonly also: readonly string[];
  /** Returns the problems that keep the files from being used as they are now; empty: none. */
  readonly usable: () => Promise<readonly ConfigProblem[]>;
  /** Called once for each change that cannot be used. */
  readonly told: (problems: readonly ConfigProblem[]) => void;
  readonly random: () => number;
  readonly leads: () => boolean;
  /** Returns whether another replica runs this configuration already, or there is no other one. */
  readonly othersRun: (hash: string) => Promise<boolean>;
}

/**
 * Resolves when the files hold another, readable configuration and it is this replica's turn to begin anew: standbys
 * first, the leader when one of them is ready to take over.
 */
export async function changedConfiguration(renewal: Renewal): Promise<void> {
  const { files, also } = renewal;
  const name = (): string => `${configHash(files)} ${configHash(also)}`;
  const running = name();
  let refused = '';
  for (let seen = running, stable = 0; ; stable += 1) {
    await pause(LOOK_EVERY_MS);
    const now = name();
    if (now !== seen) stable = 0;
    seen = now;
    // Several edits in a row are one change.
    if (now === running || configHash(files) === '' || stable < STABLE_LOOKS) continue;
    // A replica that begins anew with unusable files would hold nothing: a Secret that is not mounted here, a field
    // that is wrong.
    const problems = await renewal.usable();
    if (problems.length > 0) {
      if (refused !== now) renewal.told(problems);
      refused = now;
      continue;
    }
    await ownTurn(renewal);
    // It may have been taken back meanwhile.
    if (name() !== running) return;
  }
}

/** Waits until this replica is to begin anew: standbys spread out, the leader until one of them is ready. */
async function ownTurn({ files, random, leads, othersRun }: Renewal): Promise<void> {
  await pause(random() * STANDBY_SPREAD_MS);
  for (let waitedMs = 0; leads() && waitedMs < LEADER_WAITS_MS; waitedMs += LOOK_EVERY_MS) {
    if (await othersRun(configHash(files))) return;
    await pause(LOOK_EVERY_MS);
  }
}

/** Resolves after a pause that keeps no process from ending. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

/** Stands in for the sidecar while that waits for its configuration: answers probes, reports problems. */
class WaitingRoom {
  readonly #waiting: Waiting;
  readonly #server: Server;
  readonly #link: RedisConnection | undefined;
  readonly #reporting: NodeJS.Timeout;
  #problems: readonly ConfigProblem[] = [];
  #told = '';
  readonly #leave = (): void => {
    process.exit(EXIT_OK);
  };

  private constructor(waiting: Waiting) {
    this.#waiting = waiting;
    this.#server = createAdminServer((request, response) => {
      request.resume();
      const ready = request.url !== '/readyz';
      response.writeHead(ready ? 200 : 503, { 'content-type': 'text/plain; version=0.0.4' });
      // A waiting replica does not lead: without this an alert on "no leader" would have nothing to count.
      if (request.url === '/metrics')
        return void response.end(
          clientNames(waiting.files)
            .map((name) => `holdfast_leader{client="${name}"} 0\n`)
            .join(''),
        );
      response.end(ready ? 'ok\n' : `waiting for its configuration:\n${this.#problems.map(sentence).join('\n')}\n`);
    });
    this.#link =
      waiting.store?.kind === 'redis'
        ? new RedisConnection(waiting.store, { ttlMs: LEASELESS_TTL_MS, onTrouble: () => undefined })
        : undefined;
    this.#link?.open();
    this.#reporting = setInterval(() => {
      void this.#report();
    }, REPORT_EVERY_MS);
    process.once('SIGTERM', this.#leave);
    process.once('SIGINT', this.#leave);
  }

  static async open(waiting: Waiting): Promise<WaitingRoom> {
    const room = new WaitingRoom(waiting);
    await listenOn(room.#server, waiting.adminPort, waiting.adminHost);
    return room;
  }

  /** Reports each change of the problems once. */
  tell(problems: readonly ConfigProblem[]): void {
    this.#problems = problems;
    const text = problems
      .map(
        ({ remedy: hint, ...what }) =>
          `${JSON.stringify({ level: 'warn', msg: 'waiting for the configuration', ...what, hint })}\n`,
      )
      .join('');
    if (text === this.#told) return;
    this.#told = text;
    process.stderr.write(text);
  }

  async #report(): Promise<void> {
    if (this.#link === undefined) return;
    const { identity, files } = this.#waiting;
    const text = JSON.stringify({
      ...reportHead(identity, configHash(files)),
      ready: false,
      problems: this.#problems.map(({ code, field, rule, remedy }) => ({ code, field, rule, remedy })),
    });
    try {
      for (const name of clientNames(files))
        await new ReportStore(this.#link).write(
          { namespace: identity.namespace, name },
          `${identity.pod}/${identity.uid}`,
          text,
        );
    } catch {
      // Told again in a moment.
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#reporting);
    process.off('SIGTERM', this.#leave);
    process.off('SIGINT', this.#leave);
    this.#link?.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function sentence({ field, rule, remedy }: ConfigProblem): string {
  return `${field} ${rule}: ${remedy}`;
}
