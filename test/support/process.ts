import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { NODE_FLAG } from '../../src/cli/node-flag.ts';

/** One that is stopped never answers; one that is stuck does in the end. */
const ASK_LIMIT_MS = 30_000;
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** The program as a user starts it: a process of its own, its whole output captured. */
export class Program {
  readonly #child: ChildProcess;
  output = '';
  admin = 0;
  delivery = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString();
    });
  }

  /** `holdfast run`, ready when this resolves. */
  static async run(
    file: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    node: readonly string[] = [],
  ): Promise<Program> {
    const child = spawn(
      process.execPath,
      [NODE_FLAG, ...node, MAIN, 'run', '-f', file, '--admin-port', '0', '--delivery-port', '0', ...args],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
    );
    const program = new Program(child);
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => {
        reject(new Error(`the program ended with code ${String(code)}: ${program.output}`));
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        program.output += `${line}\n`;
        if (program.admin !== 0) return;
        const message = JSON.parse(line) as { listening?: { admin: number; delivery: number } };
        if (message.listening === undefined) return;
        program.admin = message.listening.admin;
        program.delivery = message.listening.delivery;
        resolve();
      });
    });
    return program;
  }

  /** The signal we sent that ends it; SIGUSR2: a planted fault, which may come at any time from then on. */
  told: 'SIGTERM' | 'SIGINT' | 'SIGKILL' | 'SIGUSR2' | undefined;

  onEnd(listener: (code: number | null, signal: NodeJS.Signals | null) => void): void {
    this.#child.once('exit', listener);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async status(): Promise<Record<string, unknown>> {
    return (await this.#ask('/status')).json() as Promise<Record<string, unknown>>;
  }

  async metrics(): Promise<string> {
    return (await this.#ask('/metrics')).text();
  }

  #ask(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${String(this.admin)}${path}`, { signal: AbortSignal.timeout(ASK_LIMIT_MS) });
  }

  /** At once, whatever it does. */
  kill(): void {
    this.told = this.told === 'SIGUSR2' ? this.told : 'SIGKILL';
    this.#child.kill('SIGKILL');
  }

  /** Stops reading what it writes. */
  deaf(on: boolean): void {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (on) stream?.pause();
      else stream?.resume();
    }
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGUSR2'): void {
    this.#child.kill(name);
  }

  /** undefined: it still runs. */
  get ended(): { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined {
    const { exitCode, signalCode } = this.#child;
    return exitCode === null && signalCode === null ? undefined : { code: exitCode, signal: signalCode };
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    this.told = this.told === 'SIGUSR2' ? this.told : signal;
    return new Promise((resolve) => {
      this.#child.once('exit', (code) => {
        resolve(code);
      });
      this.#child.kill(signal);
    });
  }
}

/** Runs one command to its end. */
export async function command(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve) =>
    child.once('close', (ended) => {
      resolve(ended);
    }),
  );
  return { code, out, err };
}
