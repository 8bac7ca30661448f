import { readFileSync } from 'node:fs';
import { ConfigError, type ConfigProblem } from '../config/config-problem.ts';
import { HoldfastError } from '../core/errors.ts';

export const EXIT_OK = 0;
export const EXIT_INTERNAL = 70;
export const EXIT_CONFIG = 78;

/** Writes problems as one JSON line each and returns the exit code for a bad configuration. */
export function refuse(problems: readonly ConfigProblem[]): number {
  for (const { code, field, rule, remedy } of problems)
    process.stderr.write(`${JSON.stringify({ level: 'fatal', code, field, rule, hint: remedy })}\n`);
  return EXIT_CONFIG;
}

/** Runs a command's body; configuration problems become exit 78, everything else exit 70, each with one line. */
export async function guarded(body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof ConfigError) return refuse(error.problems);
    if (error instanceof HoldfastError) {
      process.stderr.write(`${JSON.stringify({ level: 'fatal', code: error.code, message: error.message })}\n`);
      return error.disposition === 'refuse-to-start' ? EXIT_CONFIG : EXIT_INTERNAL;
    }
    const option = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
    if (option)
      return refuse([{ code: 'HF_CONFIG_OPTION', field: 'command line', rule: error.message, remedy: 'see --help' }]);
    const message = error instanceof Error ? error.message : 'unknown';
    process.stderr.write(`${JSON.stringify({ level: 'fatal', code: 'internal', message })}\n`);
    return EXIT_INTERNAL;
  }
}

/** Reads a TCP port from the command line. @throws ConfigError */
export function portOf(field: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port >= 0 && port <= 65_535) return port;
  throw new ConfigError([
    {
      code: 'HF_CONFIG_OPTION',
      field,
      rule: 'is not a port',
      remedy: 'write a number from 0 (any free port) to 65535',
    },
  ]);
}

/** Reads a plain number from the command line. @param least the smallest one allowed. @throws ConfigError */
export function numberOf(field: string, text: string, least: number): number {
  const number = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least) return number;
  throw new ConfigError([
    {
      code: 'HF_CONFIG_OPTION',
      field,
      rule: `is not a number of at least ${String(least)}`,
      remedy: 'write it in digits, such as 50 or 1.5',
    },
  ]);
}

/** Reads a positive number of seconds from the command line, at most an hour. @throws ConfigError */
export function secondsOf(field: string, text: string): number {
  const seconds = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new ConfigError([
    {
      code: 'HF_CONFIG_OPTION',
      field,
      rule: 'is not a number of seconds',
      remedy: 'write a number above 0 and at most 3600',
    },
  ]);
}

/** Reads the store's password from a file or from the environment, which then forgets it. */
export function storePassword(file: string | undefined): string | undefined {
  if (file !== undefined) {
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    } catch {
      throw new ConfigError([
        {
          code: 'HF_CONFIG_OPTION',
          field: '--store-password-file',
          rule: 'cannot be read',
          remedy: 'check the path and the permissions',
        },
      ]);
    }
  }
  const value = process.env['HOLDFAST_STORE_PASSWORD'];
  delete process.env['HOLDFAST_STORE_PASSWORD'];
  return value;
}

/** Returns settings of the environment under which no secret and no stream is safe, as problems. */
export function environmentProblems(env: NodeJS.ProcessEnv): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const say = (field: string, rule: string, remedy: string): void =>
    void problems.push({ code: 'HF_CONFIG_ENVIRONMENT', field, rule, remedy });
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    say(
      'NODE_TLS_REJECT_UNAUTHORIZED',
      'turns certificate checks off',
      'unset it; use NODE_EXTRA_CA_CERTS for a private authority',
    );
  if (/--(inspect|require|import|loader|experimental-loader)|(^|\s)-r(\s|$)/.test(env['NODE_OPTIONS'] ?? ''))
    say('NODE_OPTIONS', 'loads foreign code or opens a debugger', 'unset it');
  return problems;
}
