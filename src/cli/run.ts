import { randomBytes } from 'node:crypto';
import { changedConfiguration, configHash, problemsOr } from './await-configuration.ts';
import { command } from './command.ts';
import { REGISTRY, REPORT_FRESH_MS } from '../config/limits.ts';
import { openStore, type Coordination } from '../coordination/open-store.ts';
import { RedisStore } from '../coordination/redis/redis-store.ts';
import { DeliveryServer } from '../delivery/delivery-server.ts';
import { AdminServer } from '../sidecar/replica/admin-server.ts';
import type { Environment } from '../sidecar/runtime/environment.ts';
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
import { EXIT_INTERNAL, EXIT_OK } from './options.ts';
import { readRunSettings, RUN_OPTIONS, type RunSettings } from './run-settings.ts';

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
/** The store is waited for so long before its absence is said. */
const FIRST_LOOK_MS = 2000;
/** How often the count of dropped lines is carried into the metrics. */
const DROPPED_EVERY_MS = 1000;
/** The last lines are waited for so long. */
const FLUSH_LIMIT_MS = 500;

const nowMs = (): number => performance.now();

export const main = command({ usage: USAGE, options: RUN_OPTIONS }, async (values) =>
  runUntilSignal(await readRunSettings(values)),
);

/** Runs a sidecar for its whole life. The order of its start and of its end is the contract. */
async function runUntilSignal(settings: RunSettings): Promise<number> {
  const output = openOutput(settings);
  const { log } = output;
  const coordination = openCoordination(settings, log);
  const environment = environmentOf(settings, coordination, output);
  countDroppedLines(environment.metrics, output);
  for (const warning of settings.warnings) log.warn(warning);
  // From here on a signal is not lost: parts that have begun are ended in order.
  const ended = untilSignal(log);
  if (process.env['POD_NAME'] === undefined || process.env['POD_UID'] === undefined)
    log.info('POD_NAME or POD_UID is not set; this replica has a random identity');

  const replica = await startReplica(settings, coordination, environment);
  output.stdout.write(JSON.stringify({ listening: replica.listening }));
  const { supervisor } = replica;
  const code = await (settings.attached ? Promise.race([ended, renewed(settings, environment, supervisor)]) : ended);

  killAfter(settings.drainMs + EXIT_MARGIN_MS);
  await stopReplica(replica, settings.drainMs);
  await coordination.close();
  log.info('stopped');
  await Promise.all([output.stdout.flush(FLUSH_LIMIT_MS), output.stderr.flush(FLUSH_LIMIT_MS)]);
  // Handles that a library still holds open must not keep a drained process.
  process.exit(code);
}

/** The parts of a running sidecar. */
interface Replica {
  readonly supervisor: Supervisor;
  readonly admin: AdminServer;
  readonly delivery: DeliveryServer;
  readonly listening: { readonly admin: number; readonly delivery: number };
  /** undefined: the store is this process's own. */
  readonly watch: StoreWatch | undefined;
  readonly watchdog: Watchdog | undefined;
  readonly reporter: StatusReporter;
}

/**
 * Starts a replica: the servers answer first, the watchdog stands ready, then the election begins, and reports follow.
 */
async function startReplica(
  settings: RunSettings,
  coordination: Coordination,
  environment: Environment,
): Promise<Replica> {
  const supervisor = new Supervisor(settings.plans, environment);
  const admin = new AdminServer(supervisor, environment, settings.drainMs);
  const delivery = new DeliveryServer(() => supervisor.served());
  const listening = {
    admin: await admin.listen(settings.ports.adminHost, settings.ports.admin),
    delivery: await delivery.listen(settings.ports.delivery),
  };
  const watch = watchStore(coordination, environment.log, supervisor);
  const watchdog = watchLeases(coordination, supervisor);
  supervisor.start();
  const reporter = new StatusReporter(environment, {
    clients: settings.plans.map((plan) => plan.name),
    configHash: configHash(settings.files),
    status: () => supervisor.status(),
  });
  return { supervisor, admin, delivery, listening, watch, watchdog, reporter };
}

/** Stops a replica: leases are given away first; the watchdog stays until then, and the servers answer to the end. */
async function stopReplica(replica: Replica, drainMs: number): Promise<void> {
  await replica.supervisor.stop(drainMs);
  await replica.reporter.stop();
  replica.watch?.stop();
  await replica.watchdog?.close();
  replica.admin.close();
  replica.delivery.close();
}

interface Output {
  readonly stdout: LineSink;
  readonly stderr: LineSink;
  readonly secrets: Environment['secrets'];
  readonly log: Environment['log'];
}

function openOutput({ password, level, identity }: RunSettings): Output {
  const secrets = createSecrets();
  if (password !== undefined) secrets.add(password);
  const stdout = new LineSink(openDescriptor(1), secrets);
  const stderr = new LineSink(openDescriptor(2), secrets);
  return { stdout, stderr, secrets, log: createLogger(level, stderr, { pod: identity.pod }) };
}

function openCoordination({ store, plans, lockAdapter }: RunSettings, log: Environment['log']): Coordination {
  return openStore(store, {
    lockAdapter,
    nowMs,
    ttlMs: Math.min(...plans.map((plan) => plan.leasePolicy.ttlMs)),
    registry: REGISTRY,
    onTrouble: troubleLogger(log, store.kind === 'redis' && store.options.tls !== undefined),
  });
}

function environmentOf(
  { identity }: RunSettings,
  coordination: Coordination,
  { stdout, log, secrets }: Output,
): Environment {
  return {
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
}

function countDroppedLines({ droppedLines }: Environment['metrics'], { stdout, stderr }: Output): void {
  setInterval(() => {
    droppedLines.inc({ sink: 'audit' }, stdout.takeDropped());
    droppedLines.inc({ sink: 'log' }, stderr.takeDropped());
  }, DROPPED_EVERY_MS).unref();
}

function killAfter(limitMs: number): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), limitMs).unref();
}

/** Watches a shared store; a store of this process's own needs no watching. */
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

/** Starts the watchdog; where no other replica could lead, none has to be protected from this one. */
function watchLeases({ link }: Coordination, supervisor: Supervisor): Watchdog | undefined {
  if (link === undefined) return undefined;
  const watchdog = new Watchdog(nowMs);
  supervisor.election.onDeadline = (deadlineMs) => {
    watchdog.watch(deadlineMs);
  };
  return watchdog;
}

/** Resolves when this replica is to end and be started again with another configuration. */
async function renewed(settings: RunSettings, environment: Environment, supervisor: Supervisor): Promise<number> {
  const { log, random } = environment;
  await changedConfiguration({
    files: settings.files,
    also: settings.also,
    usable: async () => {
      const found = await problemsOr(settings.read);
      return 'plans' in found ? [] : found;
    },
    told: (problems) => {
      for (const { code, field, rule, remedy } of problems)
        log.warn({ code, field, rule, hint: remedy }, 'the changed configuration cannot be used; the old one goes on');
    },
    random,
    leads: () => supervisor.leads,
    othersRun: (hash) => othersRun(hash, settings, environment).catch(() => false),
  });
  log.info('the configuration changed; handing over and beginning anew');
  return EXIT_OK;
}

/** Returns whether another replica of each client runs the configuration `hash`, or there is no other one. */
async function othersRun(hash: string, { plans }: RunSettings, { identity, reports }: Environment): Promise<boolean> {
  const { namespace, pod, uid } = identity;
  const all = await Promise.all(plans.map(async ({ name }) => (await reports?.read({ namespace, name })) ?? []));
  return all.every((ofClient) => {
    const others = ofClient.filter((one) => one.replica !== `${pod}/${uid}` && one.ageMs < REPORT_FRESH_MS);
    return (
      others.length === 0 || others.some(({ content }) => content?.['configHash'] === hash && content['ready'] === true)
    );
  });
}

/** Logs each kind of trouble once as a warning (a wrong password must be seen), repeats at debug. */
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
