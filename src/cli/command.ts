import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { EXIT_OK, guarded } from './options.ts';

/** The values of some options as `parseArgs` types them. */
export type OptionValues<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

interface CommandShape<T extends ParseArgsOptionsConfig> {
  readonly usage: string;
  readonly options: T;
  /** True when the command takes words beside its options. */
  readonly words?: boolean;
}

/**
 * Makes the `main` of a command: it reads the command line, answers --help with the usage, runs, and turns an error
 * into one line and an exit code.
 */
export function command<T extends ParseArgsOptionsConfig>(
  { usage, options, words = false }: CommandShape<T>,
  run: (values: OptionValues<T>, words: readonly string[]) => Promise<number>,
): (args: readonly string[]) => Promise<number> {
  const all: ParseArgsOptionsConfig = { ...options, help: { type: 'boolean', short: 'h', default: false } };
  return (args) =>
    guarded(() => {
      const { values, positionals } = parseArgs({ args: [...args], allowPositionals: words, options: all });
      if (values['help'] !== true) return run(values as OptionValues<T>, positionals);
      process.stdout.write(usage);
      return Promise.resolve(EXIT_OK);
    });
}
