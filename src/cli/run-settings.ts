import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { ParseArgsOptionsConfig } from 'node:util';
import { ConfigError, type ConfigProblem } from '../config/config-problem.ts';
import { ATTACHED, BY_HAND, networkOf, type Installation } from '../config/installation.ts';
import type { ClientPlan } from '../config/plan.ts';
import { parseStoreUrl, type StoreTarget } from '../coordination/store-url.ts';
import type { Identity } from '../sidecar/runtime/environment.ts';
import { awaitConfiguration, requireFile, type Configuration } from './await-configuration.ts';
import type { OptionValues } from './command.ts';
import { environmentProblems, portOf, secondsOf, storePassword } from './options.ts';
import { readPlans } from './read-plans.ts';

export const RUN_OPTIONS = {
  file: { type: 'string', short: 'f', multiple: true, default: [] },
  store: { type: 'string', default: 'embedded:.holdfast' },
  'store-password-file': { type: 'string' },
  'store-prefix': { type: 'string', default: 'hf' },
  'lock-adapter': { type: 'string', default: 'redlock' },
  'admin-host': { type: 'string', default: '127.0.0.1' },
  'admin-port': { type: 'string', default: '9464' },
  'delivery-port': { type: 'string', default: '9465' },
  'drain-seconds': { type: 'string', default: '10' },
  'allow-private': { type: 'string', default: '' },
  'allowed-hosts': { type: 'string', default: '' },
  attached: { type: 'boolean', default: false },
  'log-level': { type: 'string', default: 'info' },
} satisfies ParseArgsOptionsConfig;
type Values = OptionValues<typeof RUN_OPTIONS>;

/** Settings of a sidecar. */
export interface RunSettings {
  /** Reads the configuration anew. */
  readonly read: () => Promise<Configuration>;
  readonly files: readonly string[];
  readonly attached: boolean;
  /** Files beside the documents whose change is one of the configuration. */
  readonly also: readonly string[];
  readonly identity: Identity;
  readonly plans: readonly ClientPlan[];
  readonly warnings: readonly string[];
  readonly store: StoreTarget;
  readonly password: string | undefined;
  readonly ports: Ports;
  readonly drainMs: number;
  readonly lockAdapter: 'redlock' | 'plain';
  readonly level: string;
}

interface Ports {
  readonly adminHost: string;
  readonly admin: number;
  readonly delivery: number;
}

const NOTHING: Configuration = { plans: [], warnings: [] };

/**
 * Reads the command line of `holdfast run` and the configuration; an attached sidecar waits for what is missing.
 * @throws ConfigError with all that is wrong
 */
export async function readRunSettings(values: Values): Promise<RunSettings> {
  const problems: ConfigProblem[] = [...environmentProblems(process.env)];
  const ports = portsOf(values, problems);
  const drainSeconds = collected(problems, 0, () => secondsOf('--drain-seconds', values['drain-seconds']));
  const lockAdapter = lockAdapterOf(values['lock-adapter'], problems);
  const identity = identityOf(process.env);
  const passwordFile = values['store-password-file'];
  const waiting = { files: values.file, adminHost: ports.adminHost, adminPort: ports.admin, identity };
  if (values.attached && passwordFile !== undefined && problems.length === 0)
    await awaitConfiguration({
      ...waiting,
      store: undefined,
      read: () => Promise.resolve(requireFile(passwordFile)).then(() => NOTHING),
    });
  const password = storePassword(passwordFile);
  const store = parseStoreUrl(values.store, values['store-prefix'], password);
  if ('code' in store) problems.push(store);
  const rules = { installation: installationOf(values, problems), passwordFile };
  const read = (): Promise<Configuration> => readPlans(values.file, problems, rules);
  // Problems of the command line are not waited for.
  if ('code' in store || (values.attached && problems.length > 0)) return refuseAll(read, problems);
  const { plans, warnings } = values.attached ? await awaitConfiguration({ ...waiting, store, read }) : await read();
  return {
    read,
    plans,
    warnings,
    files: values.file,
    attached: values.attached,
    also: passwordFile === undefined ? [] : [passwordFile],
    identity,
    store,
    password,
    ports,
    drainMs: drainSeconds * 1000,
    lockAdapter,
    level: values['log-level'],
  };
}

function portsOf(values: Values, problems: ConfigProblem[]): Ports {
  const port = (name: 'admin-port' | 'delivery-port'): number =>
    collected(problems, 0, () => portOf(`--${name}`, values[name]));
  return { adminHost: values['admin-host'], admin: port('admin-port'), delivery: port('delivery-port') };
}

function lockAdapterOf(text: string, problems: ConfigProblem[]): RunSettings['lockAdapter'] {
  if (text === 'plain' || text === 'redlock') return text;
  problems.push({
    code: 'HF_CONFIG_OPTION',
    field: '--lock-adapter',
    rule: 'is neither redlock nor plain',
    remedy: 'leave it out for redlock',
  });
  return 'redlock';
}

/** Refuses with the problems of the files together with the others. */
async function refuseAll(read: () => Promise<Configuration>, problems: readonly ConfigProblem[]): Promise<never> {
  await read();
  throw new ConfigError(problems);
}

/** Returns the rules of the command line; its problems join the others. */
function installationOf(values: Values, problems: ConfigProblem[]): Installation {
  const base = values.attached ? ATTACHED : BY_HAND;
  return collected(problems, base, () => ({ ...base, ...networkOf(values['allow-private'], values['allowed-hosts']) }));
}

/** Reads a value of the command line; its problems join the others. */
function collected<T>(problems: ConfigProblem[], fallback: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return fallback;
  }
}

/** Returns the identity of this replica, by the environment of its pod. */
export function identityOf(env: NodeJS.ProcessEnv): Identity {
  const uid = env['POD_UID'] ?? randomUUID();
  return {
    pod: env['POD_NAME'] ?? `${hostname()}-${randomBytes(3).toString('hex')}`,
    namespace: env['POD_NAMESPACE'] ?? 'default',
    uid,
    revision:
      [env['HOLDFAST_REVISION'], env['HOLDFAST_CONTROLLER_REVISION']].find((one) => one !== undefined && one !== '') ??
      '',
    egress: env['HOLDFAST_EGRESS'] ?? 'default',
    salt: Number.parseInt(randomBytes(4).toString('hex'), 16) / 2 ** 32,
  };
}
