import { readFileSync } from 'node:fs';
import { ConfigError } from '../config/config-problem.ts';
import { DEFAULT_SETTINGS } from '../operator/attach/attach.ts';
import { injectWorkloads } from '../operator/attach/workload-yaml.ts';
import { command } from './command.ts';
import { EXIT_CONFIG, EXIT_OK } from './options.ts';

const USAGE = `holdfast inject -f FILE [--image IMAGE] [--store STORE] [--store-secret NAME]

Attaches the sidecar to every workload of FILE ("-": standard input) whose pod template has the label
holdfast.dev/client, and writes the result to standard output. StreamClients and EventStreams in the same text become
the sidecar's documents. No webhook is needed.
`;

export const main = command(
  {
    usage: USAGE,
    options: {
      file: { type: 'string', short: 'f' },
      image: { type: 'string', default: DEFAULT_SETTINGS.image },
      store: { type: 'string', default: DEFAULT_SETTINGS.storeUrl },
      'store-secret': { type: 'string', default: '' },
    },
  },
  (values) => {
    const { file } = values;
    if (file === undefined)
      throw new ConfigError([
        { code: 'HF_CONFIG_OPTION', field: '-f', rule: 'is missing', remedy: 'name a file, or - for standard input' },
      ]);
    let text: string;
    try {
      text = readFileSync(file === '-' ? 0 : file, 'utf8');
    } catch {
      throw new ConfigError([
        {
          code: 'HF_CONFIG_UNREADABLE',
          field: file,
          rule: 'cannot be read',
          remedy: 'check the path and the permissions',
        },
      ]);
    }
    const done = injectWorkloads(text, {
      ...DEFAULT_SETTINGS,
      image: values.image,
      storeUrl: values.store,
      storeSecret: values['store-secret'],
    });
    if (done.problems.length > 0)
      throw new ConfigError(
        done.problems.map((rule) => ({ code: 'HF_CONFIG_SCHEMA' as const, field: file, rule, remedy: 'correct it' })),
      );
    for (const warning of done.warnings) process.stderr.write(`warning: ${warning}\n`);
    process.stderr.write(
      done.attached.length === 0
        ? 'nothing to attach to: no pod template has the label holdfast.dev/client\n'
        : `attached to ${done.attached.join(', ')}\n`,
    );
    process.stdout.write(done.text);
    return Promise.resolve(done.attached.length === 0 && text.trim() === '' ? EXIT_CONFIG : EXIT_OK);
  },
);
