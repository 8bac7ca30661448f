import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ParseArgsOptionsConfig } from 'node:util';
import { ConfigError } from '../config/config-problem.ts';
import type { Known } from '../operator/webhook/admission-review.ts';
import { DEFAULT_SETTINGS, installationOf, type AttachSettings } from '../operator/attach/attach.ts';
import { CertificateRotation } from '../operator/webhook/certificate-rotation.ts';
import { WebhookServer, type WebhookState } from '../operator/webhook/webhook-server.ts';
import { Kube } from '../operator/api/kube.ts';
import { Reflector } from '../operator/api/reflector.ts';
import { GROUP, VERSION, type ClientObject, type StreamObject } from '../operator/api/resources.ts';
import { HOLDFAST_VERSION } from '../config/version.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createSecrets } from '../telemetry/secrets.ts';
import { LineSink, openDescriptor } from '../telemetry/line-sink.ts';
import { command, type OptionValues } from './command.ts';
import { EXIT_OK, portOf } from './options.ts';
import { stopSignal } from './stop-signal.ts';

const USAGE = `holdfast injector --settings FILE [options]

The admission webhook that attaches the sidecar to pods with the label holdfast.dev/client.

      --settings FILE          how sidecars are attached, JSON (the chart writes it)
      --watch NAME,NAME        namespaces it serves (default: all)
      --host ADDRESS           default ::
      --port N                 of the webhook, default 10250
      --admin-port N           of /healthz, /readyz and /metrics, default 9464
      --namespace NAME         where its Secret is (default POD_NAMESPACE or default)
      --tls-secret NAME        keep certificates in this Secret and rotate them (default holdfast-injector-tls)
      --tls-names NAME,NAME    names and addresses under which the API server calls
      --tls-days N             life of a certificate, default 90; another one after two thirds of it
      --webhook NAME           the MutatingWebhookConfiguration that is to trust them (default holdfast-injector)
      --tls-dir DIR            instead: serve with DIR/tls.crt and DIR/tls.key, read again when they change
      --log-level LEVEL        trace, debug, info (default), warn, error, silent
`;

const LOOK_EVERY_MS = Number(process.env['HOLDFAST_CERTIFICATES_EVERY_MS'] ?? 30_000);
const DAY_MS = 86_400_000;
/** Gives requests that are under way this long to end when the injector stops; then their connections are closed. */
const CLOSE_LIMIT_MS = 5000;

const OPTIONS = {
  settings: { type: 'string' },
  watch: { type: 'string', default: '' },
  host: { type: 'string', default: '::' },
  port: { type: 'string', default: '10250' },
  'admin-port': { type: 'string', default: '9464' },
  namespace: { type: 'string', default: process.env['POD_NAMESPACE'] ?? 'default' },
  'tls-secret': { type: 'string', default: 'holdfast-injector-tls' },
  'tls-names': { type: 'string', default: '127.0.0.1,localhost' },
  'tls-days': { type: 'string', default: '90' },
  webhook: { type: 'string', default: 'holdfast-injector' },
  'tls-dir': { type: 'string' },
  'log-level': { type: 'string', default: 'info' },
} satisfies ParseArgsOptionsConfig;

export const main = command({ usage: USAGE, options: OPTIONS }, (values) =>
  serveUntilStopped(values, settingsOf(values.settings)),
);

/** Keeps the injector's knowledge: every StreamClient and EventStream that it may see. */
class View implements Known {
  readonly #clients: readonly Reflector[];
  readonly #streams: readonly Reflector[];

  constructor(kube: Kube, watch: string, trouble: (error: unknown) => void) {
    const scopes = watch === '' ? [''] : watch.split(',').map((one) => `/namespaces/${one}`);
    const reflect = (plural: string): Reflector[] =>
      scopes.map(
        (scope) =>
          new Reflector(
            kube,
            { path: `/apis/${GROUP}/${VERSION}${scope}/${plural}` },
            { changed: () => undefined, trouble },
            { nowMs: () => performance.now(), random: () => Math.random() },
          ),
      );
    this.#clients = reflect('streamclients');
    this.#streams = reflect('eventstreams');
    for (const reflector of [...this.#clients, ...this.#streams]) void reflector.run();
  }

  get complete(): boolean {
    return [...this.#clients, ...this.#streams].every((one) => one.listed);
  }

  client(namespace: string, name: string): ClientObject | undefined {
    return this.#clients.map((one) => one.objects.get(`${namespace}/${name}`)).find((one) => one !== undefined) as
      ClientObject | undefined;
  }

  streamsOf(namespace: string, client: string): readonly StreamObject[] {
    const all = this.#streams.flatMap((one) => [...one.objects.values()]) as unknown as readonly StreamObject[];
    return all.filter((one) => one.metadata.namespace === namespace && one.spec.clientRef.name === client);
  }

  stop(): void {
    for (const reflector of [...this.#clients, ...this.#streams]) reflector.stop();
  }
}

/** What the webhook asks of this process: whether it can answer, and what it has answered. */
class InjectorState implements WebhookState {
  readonly #view: View;
  readonly #counts = { attached: 0, unchanged: 0, denied: 0, failed: 0 };
  /** A certificate is served. */
  served = false;
  keeper: CertificateRotation | undefined;

  constructor(view: View) {
    this.#view = view;
  }

  get ready(): boolean {
    return this.served && this.#view.complete;
  }

  answered(outcome: 'attached' | 'unchanged' | 'denied' | 'failed'): void {
    this.#counts[outcome] += 1;
  }

  metrics(): string {
    return metricsText(this.#counts, this.keeper?.notAfterMs ?? 0);
  }
}

async function serveUntilStopped(values: OptionValues<typeof OPTIONS>, settings: AttachSettings): Promise<number> {
  const log = createLogger(values['log-level'], new LineSink(openDescriptor(2), createSecrets()), { part: 'injector' });
  const kube = Kube.fromEnvironment(`holdfast-injector/${HOLDFAST_VERSION} (${process.env['POD_NAME'] ?? 'local'})`);
  const view = new View(kube, values.watch, (error) => {
    log.warn({ err: error }, 'the API server cannot be watched; trying again');
  });
  const state = new InjectorState(view);
  const injector = new WebhookServer({ known: view, settings, state, nowMs: () => performance.now() });
  const serve = (pair: { readonly cert: string; readonly key: string }): void => {
    injector.serve(pair);
    state.served = true;
    log.info({}, 'serving with a new certificate');
  };
  const keeper = new CertificateRotation(
    kube,
    {
      namespace: values.namespace,
      secret: values['tls-secret'],
      webhook: values.webhook,
      names: values['tls-names'].split(','),
      lifeMs: Number(values['tls-days']) * DAY_MS,
      everyMs: LOOK_EVERY_MS,
    },
    { nowEpochMs: () => Date.now() },
    serve,
  );
  state.keeper = keeper;
  keeper.onTrouble = (error) => {
    log.warn({ err: error }, 'the certificates cannot be kept; trying again');
  };
  if (values['tls-dir'] === undefined) void keeper.start();
  else
    follow(values['tls-dir'], serve, (error) => {
      log.warn({ err: error }, 'the certificate files cannot be read; trying again');
    });
  const ports = await injector.listen({
    host: values.host,
    webhook: portOf('--port', values.port),
    admin: portOf('--admin-port', values['admin-port']),
  });
  process.stdout.write(`${JSON.stringify({ listening: ports })}\n`);
  await stopSignal();
  keeper.stop();
  view.stop();
  await injector.close(CLOSE_LIMIT_MS);
  return process.exit(EXIT_OK);
}

function settingsOf(file: string | undefined): AttachSettings {
  const refuse = (rule: string): ConfigError =>
    new ConfigError([
      {
        code: 'HF_CONFIG_OPTION',
        field: '--settings',
        rule,
        remedy: 'name the JSON file that the chart writes (values sidecar and redis)',
      },
    ]);
  if (file === undefined) throw refuse('is missing');
  let read: unknown;
  try {
    read = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    throw refuse('cannot be read as JSON');
  }
  const given = read as Record<string, unknown>;
  const unknown = Object.keys(given).find((name) => !(name in DEFAULT_SETTINGS));
  if (unknown !== undefined) throw refuse(`holds "${unknown}", which is no setting`);
  const wrong = Object.entries(given).find(
    ([name, value]) => typeof value !== typeof DEFAULT_SETTINGS[name as keyof AttachSettings],
  );
  if (wrong !== undefined) throw refuse(`holds "${wrong[0]}" of the wrong type`);
  const settings = { ...DEFAULT_SETTINGS, ...given };
  installationOf(settings); // a wrong list is reported at the start, not for each pod
  return settings;
}

/** Serves certificates that are kept elsewhere (cert-manager): again when the files change. */
function follow(
  directory: string,
  serve: (pair: { readonly cert: string; readonly key: string }) => void,
  trouble: (error: unknown) => void,
): void {
  let last = '';
  const look = (): void => {
    try {
      const cert = readFileSync(join(directory, 'tls.crt'), 'utf8');
      if (cert === last) return;
      serve({ cert, key: readFileSync(join(directory, 'tls.key'), 'utf8') });
      last = cert;
    } catch (error) {
      trouble(error);
    }
  };
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
}

function metricsText(counts: Readonly<Record<string, number>>, notAfterMs: number): string {
  const answers = Object.entries(counts)
    .map(([outcome, count]) => `holdfast_injector_reviews_total{outcome="${outcome}"} ${String(count)}\n`)
    .join('');
  return [
    '# TYPE holdfast_injector_reviews_total counter\n',
    answers,
    '# TYPE holdfast_injector_certificate_expiry_seconds gauge\n',
    `holdfast_injector_certificate_expiry_seconds ${String(notAfterMs / 1000)}\n`,
  ].join('');
}
