import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import {
  awaitConfiguration,
  changedConfiguration,
  configHash,
  problemsOr,
  requireFile,
  type Configuration,
} from './await-configuration.ts';
import { parseStoreUrl, type StoreTarget } from '../coordination/store-url.ts';
import { ConfigError, type ConfigProblem } from '../config/config-problem.ts';
import { ATTACHED, BY_HAND, networkOf, type Installation } from '../config/installation.ts';
import type { ClientPlan } from '../config/plan.ts';
import { openStore, type Coordination } from '../coordination/open-store.ts';
import { RedisStore } from '../coordination/redis/redis-store.ts';
import type { RegistryPolicy } from '../coordination/redis/connection-registry.ts';
import { DeliveryServer } from '../delivery/delivery-server.ts';
import { AdminServer } from '../sidecar/replica/admin-server.ts';
import type { Identity, Environment } from '../sidecar/runtime/environment.ts';
import { HEARTBEAT_EVERY_MS } from '../sidecar/replica/connection-heartbeats.ts';
import { Watchdog } from '../sidecar/leadership/watchdog.ts';
import { StatusReporter } from '../sidecar/replica/status-reporter.ts';
import { systemScheduler } from '../sidecar/runtime/scheduler.ts';
import { StoreWatch } from '../sidecar/replica/store-watch.ts';
import { Supervisor } from '../sidecar/replica/supervisor.ts';
import { SYSTEM_TRANSPORTS } from '../sidecar/runtime/transports.ts';
import { AuditLog } from '../telemetry/audit-log.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { createSecrets } from '../telemetry/secrets.ts';
import { LineSink, openDescriptor } from '../telemetry/line-sink.ts';
import { environmentProblems, EXIT_INTERNAL, EXIT_OK, guarded, portOf, secondsOf, storePassword } from './options.ts';
import { readPlans } from './read-plans.ts';

const USAGE = `holdfast run -f FILE... [options]

  -f, --file FILE              configuration: StreamClient and EventStream documents (repeatable)
      --store STORE            embedded:DIR (default embedded:.holdfast; one replica), redis://HOST:PORT/DB,
                               rediss://…, redis+sentinel://HOST:PORT,…/NAME
      --store-password-file F  the store's password (or HOLDFAST_STORE_PASSWORD)
      --store-prefix NAME      prefix of all keys (default hf)
      --lock-adapter NAME      redlock (default) or plain: the same scripts without the redlock package
      --admin-host ADDRESS     default 127.0.0.1; elsewhere only /healthz, /readyz and /metrics answer
      --admin-port N           default 9464; 0 = any free port
      --delivery-port N        default 9465, on 127.0.0.1 only; 0 = any free port
      --allow-private CIDRS    private networks that hosts of documents may lie in, such as 10.20.0.0/16,fd12:3456::/32
      --allowed-hosts HOSTS    hosts outside the vendors' domains that credentials of a Secret may be sent to
      --attached               as a sidecar: wait for a configuration that is missing or wrong,
                               and begin anew when it changes
      --drain-seconds N        budget for a clean stop (default 10)
      --log-level LEVEL        trace, debug, info (default), warn, error, silent

Writes {"listening":{…}} to stdout when ready, then audit records; logs go to stderr. SIGTERM and SIGINT drain and stop.
Exit codes: 0 stopped on request, 70 internal fault, 78 bad configuration.
`;

/** After the drain budget the process ends whatever still hangs (a reader that stopped must not keep it). */
const EXIT_MARGIN_MS = 2000;
/** S4: hashes live 120 s; a connection without a sign of life for 35 s is dead; the reaper comes every 10 s. */
const REGISTRY: RegistryPolicy = { lifeMs: 120_000, deadAfterMs: 35_000, sweepEveryMs: 10_000 };
/** Another replica's report that is older says nothing of it now. */
const OTHERS_FRESH_MS = 5000;
/** The store is waited for so long before its absence is said. */
const FIRST_LOOK_MS = 2000;
const NOTHING: Configuration = { plans: [], warnings: [] };
/** How often the count of dropped lines is carried into the metrics. */
const DROPPED_EVERY_MS = 1000;

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
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
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return EXIT_OK;
    }
    const problems: ConfigProblem[] = [...environmentProblems(process.env)];
    const number = (
      read: (field: string, text: string) => number,
      field: 'admin-port' | 'delivery-port' | 'drain-seconds',
    ): number => collected(problems, 0, () => read(`--${field}`, values[field]));
    const ports = {
      adminHost: values['admin-host'],
      admin: number(portOf, 'admin-port'),
      delivery: number(portOf, 'delivery-port'),
    };
    const drainMs = number(secondsOf, 'drain-seconds') * 1000;
    const lockAdapter = values['lock-adapter'] === 'plain' ? 'plain' : 'redlock';
    if (values['lock-adapter'] !== lockAdapter)
      problems.push({
        code: 'HF_CONFIG_OPTION',
        field: '--lock-adapter',
        rule: 'is neither redlock nor plain',
        remedy: 'leave it out for redlock',
      });
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
    // What is wrong with the command line is not waited for.
    if ('code' in store || (values.attached && problems.length > 0)) return refuseAll(read, problems);
    const { plans, warnings } = values.attached ? await awaitConfiguration({ ...waiting, store, read }) : await read();
    return runUntilSignal({
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
      drainMs,
      lockAdapter,
      level: values['log-level'],
    });
  });
}

/** What is wrong with the files is said together with the rest. */
async function refuseAll(read: () => Promise<Configuration>, problems: readonly ConfigProblem[]): Promise<never> {
  await read();
  throw new ConfigError(problems);
}

/** The rules of the command line; what is wrong with it joins the other problems. */
function installationOf(
  values: { readonly attached: boolean; readonly 'allow-private': string; readonly 'allowed-hosts': string },
  problems: ConfigProblem[],
): Installation {
  const base = values.attached ? ATTACHED : BY_HAND;
  return collected(problems, base, () => ({ ...base, ...networkOf(values['allow-private'], values['allowed-hosts']) }));
}

/** A value of the command line; what is wrong with it joins the other problems. */
function collected<T>(problems: ConfigProblem[], fallback: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return fallback;
  }
}

interface RunSettings {
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
  readonly ports: { readonly adminHost: string; readonly admin: number; readonly delivery: number };
  readonly drainMs: number;
  readonly lockAdapter: 'redlock' | 'plain';
  readonly level: string;
}

/** Who this replica is, by the environment of its pod. */
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

async function runUntilSignal(settings: RunSettings): Promise<number> {
  const secrets = createSecrets();
  if (settings.password !== undefined) secrets.add(settings.password);
  const stdout = new LineSink(openDescriptor(1), secrets);
  const stderr = new LineSink(openDescriptor(2), secrets);
  const { identity } = settings;
  const log = createLogger(settings.level, stderr, { pod: identity.pod });
  const onTrouble = troubleLogger(log, settings.store.kind === 'redis' && settings.store.options.tls !== undefined);
  const nowMs = (): number => performance.now();
  const ttlMs = Math.min(...settings.plans.map((plan) => plan.leasePolicy.ttlMs));
  const coordination = openStore(settings.store, {
    lockAdapter: settings.lockAdapter,
    nowMs,
    ttlMs,
    registry: REGISTRY,
    onTrouble,
  });
  const deps: Environment = {
    identity,
    store: coordination.store,
    leases: coordination.leases,
    limits: coordination.limits,
    pool: coordination.pool,
    registry: coordination.registry,
    reports: coordination.reports,
    schedule: systemScheduler(nowMs),
    transports: SYSTEM_TRANSPORTS,
    registryEveryMs: { beat: HEARTBEAT_EVERY_MS, sweep: REGISTRY.sweepEveryMs },
    metrics: createMetrics(),
    audit: new AuditLog(stdout, () => Date.now()),
    log,
    secrets,
    nowMs,
    nowEpochMs: () => Date.now(),
    random: () => Math.random(),
    randomId: () => randomBytes(8).toString('hex'),
  };
  setInterval(() => {
    deps.metrics.droppedLines.inc({ sink: 'audit' }, stdout.takeDropped());
    deps.metrics.droppedLines.inc({ sink: 'log' }, stderr.takeDropped());
  }, DROPPED_EVERY_MS).unref();
  for (const warning of settings.warnings) log.warn(warning);
  const ended = untilSignal(log);
  if (process.env['POD_NAME'] === undefined || process.env['POD_UID'] === undefined)
    log.info('POD_NAME or POD_UID is not set; this replica has a random identity');
  const supervisor = new Supervisor(settings.plans, deps);
  const admin = new AdminServer(supervisor, deps, settings.drainMs);
  const delivery = new DeliveryServer(() => supervisor.served());
  const adminPort = await admin.listen(settings.ports.adminHost, settings.ports.admin);
  const deliveryPort = await delivery.listen(settings.ports.delivery);
  const watch = watchStore(coordination, log, supervisor);
  // Where nobody else could lead there is nobody to protect from us.
  const guard = coordination.link === undefined ? undefined : new Watchdog(nowMs);
  if (guard !== undefined)
    supervisor.election.onDeadline = (deadlineMs) => {
      guard.watch(deadlineMs);
    };
  supervisor.start();
  const reporter = new StatusReporter(deps, {
    clients: settings.plans.map((plan) => plan.name),
    configHash: configHash(settings.files),
    status: () => supervisor.status(),
  });
  stdout.write(JSON.stringify({ listening: { admin: adminPort, delivery: deliveryPort } }));
  const code = await (settings.attached ? Promise.race([ended, renewed(settings, deps, supervisor)]) : ended);
  const forced = setTimeout(() => process.kill(process.pid, 'SIGKILL'), settings.drainMs + EXIT_MARGIN_MS);
  forced.unref();
  await supervisor.stop(settings.drainMs);
  await reporter.stop();
  watch?.stop();
  await guard?.close();
  admin.close();
  delivery.close();
  await coordination.close();
  log.info('stopped');
  await Promise.all([stdout.flush(500), stderr.flush(500)]);
  // Whatever a library still holds open must not keep a drained process.
  process.exit(code);
}

/** A store of this process's own needs no watching. */
function watchStore({ link }: Coordination, log: Environment['log'], supervisor: Supervisor): StoreWatch | undefined {
  if (link === undefined) return undefined;
  const store = new RedisStore(link);
  const watched = { ready: (limitMs: number) => link.ready(limitMs), condition: () => store.condition() };
  const watch = new StoreWatch(watched, log, (condition) => {
    supervisor.storeCondition = condition;
  });
  void watch.begin(FIRST_LOOK_MS);
  return watch;
}

/** Resolves when this replica is to end and be started again with another configuration. */
async function renewed(
  { files, also, plans, read }: RunSettings,
  deps: Environment,
  supervisor: Supervisor,
): Promise<number> {
  const { namespace, pod, uid } = deps.identity;
  const othersRun = async (hash: string): Promise<boolean> => {
    const reports = await Promise.all(
      plans.map(async ({ name }) => (await deps.reports?.read({ namespace, name })) ?? []),
    );
    return reports.every((all) => {
      const others = all.filter((one) => one.replica !== `${pod}/${uid}` && one.ageMs < OTHERS_FRESH_MS);
      return (
        others.length === 0 ||
        others.some((one) => one.content?.['configHash'] === hash && one.content['ready'] === true)
      );
    });
  };
  await changedConfiguration({
    files,
    also,
    usable: async () => {
      const found = await problemsOr(read);
      return 'plans' in found ? [] : found;
    },
    told: (problems) => {
      for (const { code, field, rule, remedy } of problems)
        deps.log.warn(
          { code, field, rule, hint: remedy },
          'the changed configuration cannot be used; the old one goes on',
        );
    },
    random: deps.random,
    leads: () => supervisor.leads,
    othersRun: (hash) => othersRun(hash).catch(() => false),
  });
  deps.log.info('the configuration changed; handing over and beginning anew');
  return EXIT_OK;
}

/** Each kind of trouble once as a warning (a wrong password must be seen), repeats at debug. */
function troubleLogger(log: Environment['log'], tls: boolean): (error: NodeJS.ErrnoException) => void {
  const troubles = new Set<string>();
  return (error) => {
    const word = /^[A-Z]{3,20}\b/.exec(error.message)?.[0] ?? ('code' in error ? String(error.code) : error.name);
    const hint =
      tls && word === 'ETIMEDOUT'
        ? {
            hint:
              'a server that speaks no TLS on this port does not answer either: check the port, or write ' +
              'redis:// in --store',
          }
        : {};
    log[troubles.has(word) ? 'debug' : 'warn']({ err: error, word, ...hint }, 'redis connection');
    troubles.add(word);
  };
}

/** Resolves with the exit code: 0 on SIGTERM or SIGINT, 70 on a fault of ours. */
function untilSignal(log: Environment['log']): Promise<number> {
  return new Promise((resolve) => {
    const stop = (signal: string): void => {
      log.info({ signal }, 'draining');
      resolve(EXIT_OK);
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
    const fault = (error: unknown): void => {
      log.fatal({ err: error }, 'internal fault');
      resolve(EXIT_INTERNAL);
    };
    process.on('uncaughtException', fault);
    process.on('unhandledRejection', fault);
  });
}
