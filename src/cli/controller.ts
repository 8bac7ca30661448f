import { createServer, type Server } from 'node:http';
import type { ParseArgsOptionsConfig } from 'node:util';
import { parseStoreUrl, type StoreTarget } from '../coordination/store-url.ts';
import { ConfigError } from '../config/config-problem.ts';
import { ATTACHED, networkOf } from '../config/installation.ts';
import { LEASELESS_TTL_MS, REGISTRY } from '../config/limits.ts';
import { HOLDFAST_VERSION } from '../config/version.ts';
import { openStore, type Coordination } from '../coordination/open-store.ts';
import { Reconciler, type ReconcilerDeps, type ReconcilerSettings } from '../operator/controller/reconciler.ts';
import { LeaderElection, type LeaderElectionPolicy } from '../operator/controller/leader-election.ts';
import { Kube } from '../operator/api/kube.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createSecrets } from '../telemetry/secrets.ts';
import { LineSink, openDescriptor } from '../telemetry/line-sink.ts';
import { command, type OptionValues } from './command.ts';
import { EXIT_OK, portOf, storePassword } from './options.ts';
import { stopSignal } from './stop-signal.ts';

const USAGE = `holdfast controller --store STORE [options]

Shows in the cluster what the sidecars do: status, conditions and Events of StreamClients and EventStreams, labels of
pods; brings changed documents to their sidecars and passes on orders. Several may run: one writes. Streams never
depend on it.

      --store STORE            as the sidecars have it: redis://HOST:PORT/DB, rediss://…,
                               redis+sentinel://HOST:PORT,…/NAME
      --store-password-file F  the store's password (or HOLDFAST_STORE_PASSWORD)
      --store-prefix NAME      prefix of all keys (default hf)
      --namespace NAME         where its Lease is (default POD_NAMESPACE or default)
      --watch NAME,NAME        namespaces that are watched (default: all)
      --lease NAME             name of its Lease (default holdfast-controller)
      --admin-port N           default 9464: /healthz, /readyz, /metrics
      --status-seconds N       figures that move all the time are written at most this often (default 30)
      --allow-private CIDRS    private networks that hosts may lie in, and
      --allowed-hosts HOSTS    hosts outside the vendors' domains: as the sidecars have them
      --log-level LEVEL        trace, debug, info (default), warn, error, silent

The API server: KUBECONFIG, or the ServiceAccount of its pod.
`;

/** client-go's defaults. */
const ELECTION: LeaderElectionPolicy = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2000 };
/** A status is true within 5 s: sidecars report every 1.5 s. */
const ROUND_EVERY_MS = 1500;
/** A controller that has not finished a round for so long while it leads is broken. */
const STUCK_MS = 60_000;

const nowMs = (): number => performance.now();
const nowEpochMs = (): number => Date.now();

const OPTIONS = {
  store: { type: 'string' },
  'store-password-file': { type: 'string' },
  'store-prefix': { type: 'string', default: 'hf' },
  namespace: { type: 'string', default: process.env['POD_NAMESPACE'] ?? 'default' },
  watch: { type: 'string', default: '' },
  lease: { type: 'string', default: 'holdfast-controller' },
  'admin-port': { type: 'string', default: '9464' },
  'status-seconds': { type: 'string', default: '30' },
  'allow-private': { type: 'string', default: '' },
  'allowed-hosts': { type: 'string', default: '' },
  'log-level': { type: 'string', default: 'info' },
} satisfies ParseArgsOptionsConfig;
type Values = OptionValues<typeof OPTIONS>;

export const main = command({ usage: USAGE, options: OPTIONS }, async (values) => {
  const secrets = createSecrets();
  const password = storePassword(values['store-password-file']);
  if (password !== undefined) secrets.add(password);
  const store = sharedStore(values.store ?? '', values['store-prefix'], password);
  const log = createLogger(values['log-level'], new LineSink(openDescriptor(2), secrets), { part: 'controller' });
  const coordination = openStore(store, {
    lockAdapter: 'plain',
    nowMs,
    ttlMs: LEASELESS_TTL_MS,
    registry: REGISTRY,
    onTrouble: (error) => {
      log.debug({ err: error }, 'redis connection');
    },
  });
  const pod = process.env['POD_NAME'];
  const kube = Kube.fromEnvironment(`holdfast-controller/${HOLDFAST_VERSION} (${pod ?? 'local'})`);
  const identity = `${pod ?? `local-${String(process.pid)}`}_${process.env['POD_UID'] ?? ''}`;
  const elector = electorOf(values, kube, identity);
  elector.onTrouble = (error) => {
    log.warn({ err: error }, 'the Lease cannot be read or renewed');
  };
  const controller = new Reconciler(settingsOf(values, identity), {
    kube,
    ...sharedWithSidecars(coordination),
    leading: () => elector.leading,
    nowMs,
    nowEpochMs,
    random: () => Math.random(),
    log,
  });
  const server = adminServer(controller, elector);
  await new Promise<void>((resolve) => server.listen(portOf('--admin-port', values['admin-port']), resolve));
  elector.start();
  controller.start();
  log.info({ identity, watch: values.watch === '' ? 'all namespaces' : values.watch }, 'the controller runs');
  await stopSignal();
  controller.stop();
  await elector.stop();
  server.close();
  server.closeAllConnections();
  await coordination.close();
  return process.exit(EXIT_OK);
});

function electorOf(values: Values, kube: Kube, identity: string): LeaderElection {
  const lease = { namespace: values.namespace, name: values.lease, id: identity };
  return new LeaderElection(kube, lease, ELECTION, { nowMs, nowEpochMs });
}

function settingsOf(values: Values, identity: string): ReconcilerSettings {
  return {
    namespaces: values.watch === '' ? [] : values.watch.split(','),
    version: HOLDFAST_VERSION,
    everyMs: ROUND_EVERY_MS,
    figuresEveryMs: Number(values['status-seconds']) * 1000,
    identity,
    installation: { ...ATTACHED, ...networkOf(values['allow-private'], values['allowed-hosts']) },
  };
}

/** Returns the sidecars' reports, and the way for orders to them. */
function sharedWithSidecars({ reports, leases }: Coordination): Pick<ReconcilerDeps, 'reports' | 'leases'> {
  if (reports === undefined) throw new Error('a Redis store has reports');
  return { reports, leases };
}

/** Reads the address of a store that sidecars share. @throws ConfigError where it is none */
function sharedStore(text: string, prefix: string, password: string | undefined): StoreTarget {
  const store = parseStoreUrl(text, prefix, password);
  if ('code' in store) throw new ConfigError([store]);
  if (store.kind !== 'embedded') return store;
  throw new ConfigError([
    { code: 'HF_CONFIG_OPTION', field: '--store', rule: 'is embedded', remedy: 'name the Redis that the sidecars use' },
  ]);
}

function adminServer(controller: Reconciler, elector: LeaderElection): Server {
  return createServer((request, response) => {
    request.resume();
    const answers: Readonly<Record<string, () => readonly [number, string]>> = {
      '/healthz': () =>
        elector.leading && controller.rounds > 0 && performance.now() - controller.lastRoundMs > STUCK_MS
          ? [500, 'no round for a minute\n']
          : [200, 'ok\n'],
      '/readyz': () => (controller.ready ? [200, 'ready\n'] : [503, 'the cluster was not read yet\n']),
      '/metrics': () => [
        200,
        [
          '# TYPE holdfast_controller_leading gauge\n',
          `holdfast_controller_leading ${elector.leading ? '1' : '0'}\n`,
          '# TYPE holdfast_controller_rounds_total counter\n',
          `holdfast_controller_rounds_total ${String(controller.rounds)}\n`,
        ].join(''),
      ],
    };
    const [status, text] = answers[request.url ?? '']?.() ?? [404, 'use /healthz, /readyz or /metrics\n'];
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(text);
  });
}
