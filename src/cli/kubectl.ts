import { spawnSync } from 'node:child_process';

/** Largest answer of kubectl that is read: a list holds all objects of a kind in the cluster. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** Carries a sentence for the user instead of a result. */
export class Failed extends Error {}

/** Runs kubectl, which asks the API server: contexts, logins and proxies work as everywhere. */
export class Kubectl {
  readonly #flags: readonly string[];
  readonly #scope: readonly string[];

  constructor(flags: readonly string[], scope: readonly string[]) {
    this.#flags = flags;
    this.#scope = scope;
  }

  run(args: readonly string[], input?: string): string {
    const done = spawnSync('kubectl', [...args, ...this.#flags], {
      encoding: 'utf8',
      maxBuffer: MAX_ANSWER_BYTES,
      ...(input === undefined ? {} : { input }),
    });
    if (done.error !== undefined) throw new Failed('kubectl is not on the PATH');
    if (done.status !== 0) throw new Failed(done.stderr.trim());
    return done.stdout;
  }

  list(what: string, ...more: readonly string[]): readonly unknown[] {
    return (
      JSON.parse(this.run(['get', what, '-o', 'json', ...this.#scope, ...more])) as {
        readonly items: readonly unknown[];
      }
    ).items;
  }

  one(kind: string, name: string): unknown {
    return JSON.parse(this.run(['get', kind, name, '-o', 'json', ...this.#scope]));
  }

  scoped(args: readonly string[]): string {
    return this.run([...args, ...this.#scope]);
  }

  /** Hands the terminal over. @returns the exit code. */
  through(args: readonly string[], own: readonly string[]): number {
    return spawnSync('kubectl', [...args, ...this.#scope, ...this.#flags, ...own], { stdio: 'inherit' }).status ?? 1;
  }
}
