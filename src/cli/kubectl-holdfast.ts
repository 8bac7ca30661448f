#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { HOLDFAST_VERSION } from '../config/version.ts';
import { DEFAULT_SETTINGS, type AttachSettings } from '../operator/attach/attach.ts';
import { injectWorkloads } from '../operator/attach/workload-yaml.ts';
import {
  auditLines,
  gapTables,
  installationsIn,
  outdated,
  statusTables,
  troubles,
  type EventObject,
  type PodObject,
} from '../operator/plugin-tables.ts';
import { ANNOTATIONS, LABELS, type ClientObject, type StreamObject } from '../operator/api/resources.ts';
import { Failed, Kubectl } from './kubectl.ts';
import { columns } from './status.ts';

const USAGE = `kubectl holdfast COMMAND [-n NAMESPACE | -A] [--context NAME] [--kubeconfig FILE]

  status [CLIENT] [--watch]      who leads what, how the streams are, and what is wrong
  handover CLIENT                ask the leader to give its lease to another pod, and wait until it did
  gaps [STREAM]                  what was announced as missing
  audit CLIENT [--since 1h]      audit records of all its sidecars, in order
  outdated                       pods with a sidecar of another version, and the commands that renew them
  dlq CLIENT [list|show|redrive|purge ...]   dead letters, by the leader
  inject -f FILE [--installation NAMESPACE]   attach the sidecar to workloads in YAML, with the cluster's StreamClients
`;

interface Options {
  readonly words: readonly string[];
  readonly kubectl: Kubectl;
  readonly all: boolean;
  readonly watch: boolean;
  readonly since: string;
  readonly file: string | undefined;
  readonly installation: string | undefined;
}

/** Waits this long for another leader after a hand-over was asked for. */
const MOVE_LIMIT_MS = 30_000;
/** Time between two looks at a status: with --watch, and while a hand-over is awaited. */
const LOOK_EVERY_MS = 1000;
/** Our own options, by the setting they make. */
const SWITCHES: ReadonlyMap<string, 'all' | 'watch'> = new Map([
  ['-A', 'all'],
  ['--all-namespaces', 'all'],
  ['-w', 'watch'],
  ['--watch', 'watch'],
]);
const SETTINGS: ReadonlyMap<string, 'since' | 'file' | 'installation'> = new Map([
  ['--since', 'since'],
  ['-f', 'file'],
  ['--file', 'file'],
  ['--installation', 'installation'],
]);
const HELP: ReadonlySet<string> = new Set(['--help', '-h']);
const NAMESPACE: ReadonlySet<string> = new Set(['-n', '--namespace']);
/** Options of kubectl that have a value. */
const WITH_VALUE: ReadonlySet<string> = new Set([
  '--context',
  '--kubeconfig',
  '--cluster',
  '--user',
  '--as',
  '-s',
  '--server',
  '--token',
  '--request-timeout',
]);

/** Reads our own options, and kubectl's, which are passed on as they are. */
function read(args: readonly string[]): Options {
  const rest = [...args];
  const words: string[] = [];
  const flags: string[] = [];
  const scope: string[] = [];
  const switches = { all: false, watch: false };
  const settings: { since: string; file?: string; installation?: string } = { since: '1h' };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const { name, inline } = optionIn(word);
    const value = (): string => inline ?? rest.shift() ?? '';
    const [switched, set] = [SWITCHES.get(name), SETTINGS.get(name)];
    if (switched !== undefined) switches[switched] = true;
    else if (set !== undefined) settings[set] = value();
    else if (NAMESPACE.has(name)) scope.push('-n', value());
    else if (WITH_VALUE.has(name)) flags.push(name, value());
    else if (name === '--') words.push(...rest.splice(0));
    else if (name.startsWith('-') && words[0] !== 'dlq') throw new Failed(`unknown option ${name}\n\n${USAGE}`);
    else words.push(word);
  }
  const { file, installation, since } = settings;
  const kubectl = new Kubectl(flags, switches.all ? ['-A'] : scope);
  return { words, kubectl, ...switches, since, file, installation };
}

/** Splits --name=value. */
function optionIn(word: string): { readonly name: string; readonly inline: string | undefined } {
  const [name = '', inline] = word.startsWith('--') ? word.split(/=(.*)/s) : [word];
  return { name, inline };
}

const COMMANDS: Readonly<Record<string, (options: Options) => Promise<number> | number>> = {
  status,
  handover,
  gaps,
  audit,
  outdated: renew,
  dlq,
  inject: attach,
};

async function status({ words, kubectl, watch }: Options): Promise<number> {
  const [, client] = words;
  for (;;) {
    const { text, well } = statusOf(kubectl, client);
    process.stdout.write(watch && process.stdout.isTTY ? `\u001b[H\u001b[2J${text}` : text);
    if (!watch) return well ? 0 : 1;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** @param client undefined: all of them. */
function statusOf(kubectl: Kubectl, client: string | undefined): { readonly text: string; readonly well: boolean } {
  const shown = (name: string): boolean => client === undefined || name === client;
  const clients = (kubectl.list('streamclients') as readonly ClientObject[]).filter((one) => shown(one.metadata.name));
  if (client !== undefined && clients.length === 0)
    throw new Failed(`there is no StreamClient ${client} here: kubectl get streamclients -A lists them`);
  const streams = (kubectl.list('eventstreams') as readonly StreamObject[]).filter((one) =>
    shown(one.spec.clientRef.name),
  );
  const selector = client === undefined ? LABELS.client : `${LABELS.client}=${client}`;
  const pods = kubectl.list('pods', '-l', selector) as readonly PodObject[];
  const tables = statusTables(clients, streams, pods).map(columns);
  const notes = troubles([...clients, ...streams]);
  const well = notes.length === 0;
  if (tables.length === 0) return { text: 'no StreamClients here: kubectl get holdfast -A looks everywhere\n', well };
  return { text: [...tables, ...(well ? [] : [notes.map((one) => `${one}\n`).join('')])].join('\n'), well };
}

async function handover({ words, kubectl }: Options): Promise<number> {
  const client = named(words[1], 'handover CLIENT');
  const before = (kubectl.one('streamclient', client) as ClientObject).status?.leader;
  if (before === undefined)
    throw new Failed(`nobody leads ${client} at the moment: kubectl describe streamclient ${client} says why`);
  kubectl.scoped([
    'annotate',
    'streamclient',
    client,
    `${ANNOTATIONS.handOver}=${new Date().toISOString()}`,
    '--overwrite',
  ]);
  process.stdout.write(`asked ${before.podName} (epoch ${String(before.epoch)}) to hand over\n`);
  for (const endMs = performance.now() + MOVE_LIMIT_MS; performance.now() < endMs;) {
    const { status: now } = kubectl.one('streamclient', client) as ClientObject;
    if (now?.leader !== undefined && now.leader.epoch > before.epoch) {
      process.stdout.write(`${now.leader.podName} leads with epoch ${String(now.leader.epoch)}\n`);
      return 0;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  throw new Failed(
    `${before.podName} still leads: is there another pod with a ready sidecar, and does the controller run?`,
  );
}

function gaps({ words, kubectl }: Options): number {
  const streams = (kubectl.list('eventstreams') as readonly StreamObject[]).filter(
    (one) => words[1] === undefined || one.metadata.name === words[1],
  );
  const events = kubectl.list('events.events.k8s.io') as readonly EventObject[];
  process.stdout.write(
    streams.length === 0 ? 'no such EventStream here\n' : gapTables(streams, events).map(columns).join('\n'),
  );
  return streams.length === 0 ? 1 : 0;
}

function audit({ words, kubectl, since }: Options): number {
  const client = named(words[1], 'audit CLIENT');
  const lines = auditLines(
    kubectl.scoped([
      'logs',
      '-l',
      `${LABELS.client}=${client}`,
      '-c',
      'holdfast',
      '--since',
      since,
      '--tail',
      '-1',
      '--prefix=false',
    ]),
  );
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  return 0;
}

function renew({ kubectl }: Options): number {
  const pods = kubectl.list('pods', '-l', LABELS.client) as readonly PodObject[];
  const sets = kubectl.list('replicasets') as readonly PodObject[];
  const ownerOf = (pod: PodObject): string | undefined => {
    const owner = pod.metadata.ownerReferences?.[0];
    const above =
      owner?.kind === 'ReplicaSet'
        ? sets.find((set) => set.metadata.name === owner.name && set.metadata.namespace === pod.metadata.namespace)
            ?.metadata.ownerReferences?.[0]
        : owner;
    return above === undefined ? undefined : `${above.kind.toLowerCase()}/${above.name}`;
  };
  const { rows, commands } = outdated(pods, HOLDFAST_VERSION, ownerOf);
  process.stdout.write(
    rows.length === 0
      ? `all ${String(pods.length)} sidecars are of version ${HOLDFAST_VERSION}\n`
      : `${columns([['NAMESPACE', 'POD', 'VERSION', 'WANTED'], ...rows])}\n` +
          commands.map((one) => `${one}\n`).join(''),
  );
  return 0;
}

function dlq({ words, kubectl }: Options): number {
  const client = named(words[1], 'dlq CLIENT [list|show|redrive|purge ...]');
  const leader = (kubectl.one('streamclient', client) as ClientObject).status?.leader;
  if (leader === undefined)
    throw new Failed(`nobody leads ${client} at the moment, and dead letters are shown by the leader`);
  return kubectl.through(
    ['exec', leader.podName, '-c', 'holdfast'],
    ['--', 'holdfast', 'dlq', ...(words.length > 2 ? words.slice(2) : ['list'])],
  );
}

function attach({ file, kubectl, installation }: Options): number {
  const text = readFileSync(file === undefined || file === '-' ? 0 : file, 'utf8');
  const known = ((): readonly unknown[] => {
    try {
      return [...kubectl.list('streamclients'), ...kubectl.list('eventstreams')];
    } catch {
      return []; // without a cluster what stands in the text must do
    }
  })();
  const settings = installed(kubectl, installation);
  const { image, storeUrl } = { ...DEFAULT_SETTINGS, ...settings?.values };
  process.stderr.write(
    settings === undefined
      ? 'warning: no installation was found in this cluster (or it is not yours to read): image and store are ' +
          'the defaults\n'
      : '',
  );
  process.stderr.write(
    `image ${image}, store ${storeUrl}${settings === undefined ? '' : ` (installation ${settings.from})`}\n`,
  );
  const done = injectWorkloads(text, { ...DEFAULT_SETTINGS, ...settings?.values }, known);
  for (const one of [...done.problems, ...done.warnings.map((warning) => `warning: ${warning}`)])
    process.stderr.write(`${one}\n`);
  if (done.problems.length > 0) return 1;
  process.stderr.write(
    done.attached.length === 0
      ? `nothing to attach to: no pod template has the label ${LABELS.client}\n`
      : `attached to ${done.attached.join(', ')}\n`,
  );
  process.stdout.write(done.text);
  return 0;
}

interface Installed {
  readonly values: Partial<AttachSettings>;
  /** Namespace and name of the ConfigMap. */
  readonly from: string;
}

/** Kinds of which every installation has one, at least. */
const CLUSTER_SCOPED = ['mutatingwebhookconfigurations', 'validatingadmissionpolicies', 'mutatingadmissionpolicies'];
const PART_OF = ['-l', 'app.kubernetes.io/part-of=holdfast', '-o', 'json'];

/**
 * Returns how this cluster's installation attaches sidecars: the one that cluster-scoped objects name, or the one of a
 * namespace that was asked for. A ConfigMap of any other namespace counts for nothing: its image would get this
 * workload's credentials.
 */
function installed(kubectl: Kubectl, namespace: string | undefined): Installed | undefined {
  return namespace === undefined ? installedInCluster(kubectl) : installedIn(kubectl, namespace);
}

function installedInCluster(kubectl: Kubectl): Installed | undefined {
  const found = installationsIn(CLUSTER_SCOPED.flatMap((kind) => labelled(kubectl, kind)));
  if (found.length > 1)
    throw new Failed(
      `there are several installations here (${found.map((one) => one.namespace).join(', ')}): choose one ` +
        'with --installation NAMESPACE',
    );
  const [one] = found;
  if (one === undefined) return undefined;
  const map = settingsMaps(kubectl, one.namespace).find(({ metadata }) => metadata.name === one.name);
  return map === undefined ? undefined : settingsOf(map, one.namespace);
}

function installedIn(kubectl: Kubectl, namespace: string): Installed {
  const maps = settingsMaps(kubectl, namespace);
  const [only] = maps;
  if (only === undefined)
    throw new Failed(`there is no installation in namespace ${namespace}, or it is not yours to read`);
  if (maps.length > 1)
    throw new Failed(
      `there are several installations in namespace ${namespace}: ` +
        maps.map(({ metadata }) => metadata.name).join(', '),
    );
  return settingsOf(only, namespace);
}

interface SettingsMap {
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
}

/** Returns the ConfigMaps of ours in a namespace that hold settings. */
function settingsMaps(kubectl: Kubectl, namespace: string): readonly SettingsMap[] {
  const maps = labelled(kubectl, 'configmaps', '-n', namespace) as readonly SettingsMap[];
  return maps.filter(({ data }) => data?.['settings.json'] !== undefined);
}

function settingsOf({ metadata, data }: SettingsMap, namespace: string): Installed {
  return {
    values: JSON.parse(data?.['settings.json'] ?? '{}') as Partial<AttachSettings>,
    from: `${namespace}/${metadata.name}`,
  };
}

/** Returns our objects of one kind; none where the kind is not served or not ours to read. */
function labelled(kubectl: Kubectl, kind: string, ...scope: readonly string[]): readonly unknown[] {
  try {
    return (JSON.parse(kubectl.run(['get', kind, ...scope, ...PART_OF])) as { readonly items: readonly unknown[] })
      .items;
  } catch {
    return [];
  }
}

function named(word: string | undefined, usage: string): string {
  if (word === undefined) throw new Failed(`kubectl holdfast ${usage}`);
  return word;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    if (wantsHelp(args)) return help('');
    const options = read(args);
    const [name = ''] = options.words;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    return command === undefined ? help(name) : await command(options);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

/** Returns whether the usage is asked for; behind `dlq` and `--` words belong to others. */
function wantsHelp(args: readonly string[]): boolean {
  const end = args.findIndex((word) => word === 'dlq' || word === '--');
  return args.slice(0, end === -1 ? args.length : end).some((word) => HELP.has(word));
}

/** Answers a word that is no command. @returns the exit code: 0 when help was asked for. */
function help(word: string): number {
  if (word === '' || word === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  process.stderr.write(`unknown command "${word}"\n\n${USAGE}`);
  return 1;
}

process.exitCode = await main(process.argv.slice(2));
