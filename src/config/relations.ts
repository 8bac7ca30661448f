import { posix } from 'node:path';
import { PROFILES } from '../platforms/index.ts';
import { addressRule, literalAddress, PRIVATE_ADDRESS_REMEDY } from './private-addresses.ts';
import { checkHosts, isLoopbackHost } from './hosts.ts';
import { isAllowedHost, type Installation } from './installation.ts';
import type { ConfigProblem } from './config-problem.ts';
import { MAX_STREAMS } from './limits.ts';
import type { EventStream, StreamClient } from './schema.ts';

interface Placed<T> {
  readonly where: string;
  readonly value: T;
}

/** Checks the rules that concern several fields or several documents. */
export function checkRelations(
  clients: readonly Placed<StreamClient>[],
  streams: readonly Placed<EventStream>[],
  installation: Installation,
): { readonly problems: readonly ConfigProblem[]; readonly warnings: readonly string[] } {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const say = (field: string, rule: string, remedy: string): void =>
    void problems.push({ code: 'HF_CONFIG_RELATION', field, rule, remedy });
  if (streams.length > MAX_STREAMS)
    say(
      'EventStream',
      `${String(streams.length)} streams in one process; the limit is ${String(MAX_STREAMS)}`,
      'spread them over several processes',
    );
  duplicates(clients, 'StreamClient', say);
  duplicates(streams, 'EventStream', say);
  sameCredentials(clients, say);
  for (const { where, value } of clients) {
    const hosts = checkHosts(where, value.spec, installation);
    problems.push(...hosts.problems);
    warnings.push(...hosts.warnings);
    checkClient(where, value.spec, say);
    if (!streams.some((stream) => stream.value.spec.clientRef.name === value.metadata.name))
      warnings.push(`${where}: no EventStream refers to StreamClient ${value.metadata.name}; it will hold nothing`);
  }
  for (const { where, value } of streams) {
    const client = clients.find((one) => one.value.metadata.name === value.spec.clientRef.name)?.value;
    if (client === undefined)
      say(
        `${where}.spec.clientRef.name`,
        `names no StreamClient of these files (${value.spec.clientRef.name})`,
        `add that StreamClient, or use one of: ${clients.map((one) => one.value.metadata.name).join(', ') || '(none)'}`,
      );
    else checkStream(where, value.spec, client.spec, say);
    checkPush((path) => `${where}.spec.delivery.push.${path}`, value.spec.delivery.push, installation, say);
  }
  for (const { where, value } of clients) {
    const mine = streams.filter((stream) => stream.value.spec.clientRef.name === value.metadata.name);
    if (mine.length > value.spec.pool.maxStreams)
      say(
        `${where}.spec.pool.maxStreams`,
        `${String(mine.length)} streams refer to this client; the pool holds ${String(value.spec.pool.maxStreams)}`,
        'raise maxStreams (and the limit at the platform), or remove streams',
      );
  }
  return { problems, warnings };
}

type Say = (field: string, rule: string, remedy: string) => void;

function duplicates(documents: readonly Placed<{ metadata: { name: string } }>[], kind: string, say: Say): void {
  const seen = new Map<string, string>();
  for (const { where, value } of documents) {
    const name = value.metadata.name;
    const first = seen.get(name);
    if (first !== undefined)
      say(
        `${where}.metadata.name`,
        `${kind} ${name} is defined already in ${first}`,
        'give it another name, or remove one of the two',
      );
    else seen.set(name, where);
  }
}

/**
 * Refuses two StreamClients on one OAuth client: each would open its streams and refresh its token, and the platform
 * would see one client at twice its limits.
 */
function sameCredentials(clients: readonly Placed<StreamClient>[], say: Say): void {
  const seen = new Map<string, string>();
  for (const { where, value } of clients) {
    const { directory, keys } = value.spec.credentials;
    if (directory === undefined) continue;
    const key = `${directory}\u0000${keys.clientId}`;
    const first = seen.get(key);
    if (first !== undefined)
      say(
        `${where}.spec.credentials`,
        `is the OAuth client of StreamClient ${first} already`,
        'let the streams of one OAuth client refer to one StreamClient',
      );
    seen.set(key, value.metadata.name);
  }
}

/** Returns whether all overridden hosts of this client are loopback. Then bounds that protect a platform are lifted. */
export function onlyLoopback(spec: StreamClient['spec']): boolean {
  const hosts = [spec.hosts.login, spec.hosts.api, spec.hosts.streaming];
  return hosts.every((host) => host !== undefined && URL.canParse(host) && isLoopbackHost(new URL(host).hostname));
}

/** Returns the path of a field of one document's spec. */
type At = (path: string) => string;

function checkClient(where: string, spec: StreamClient['spec'], say: Say): void {
  const at: At = (path) => `${where}.spec.${path}`;
  checkReconnect(at, spec, say);
  checkLease(at, spec.lease, say);
  spec.maintenance.forEach((window, index) => {
    if ('from' in window && Date.parse(window.to) <= Date.parse(window.from))
      say(at(`maintenance.${String(index)}.to`), 'is not after from', 'put the end after the beginning');
  });
  if (spec.credentials.directory === undefined && spec.credentials.secretRef === undefined)
    say(
      at('credentials'),
      'names neither directory nor secretRef',
      'set credentials.directory to the directory that holds the files clientId and clientSecret',
    );
}

function checkReconnect(at: At, spec: StreamClient['spec'], say: Say): void {
  const { reconnect } = spec;
  if (reconnect.maxDelay < reconnect.baseDelay)
    say(at('reconnect.maxDelay'), 'is less than baseDelay', 'make maxDelay >= baseDelay');
  if (reconnect.extendedMaxDelay < reconnect.extendedBaseDelay)
    say(
      at('reconnect.extendedMaxDelay'),
      'is less than extendedBaseDelay',
      'make extendedMaxDelay >= extendedBaseDelay',
    );
  if (reconnect.jitterHigh < reconnect.jitterLow)
    say(at('reconnect.jitterHigh'), 'is less than jitterLow', 'make jitterHigh >= jitterLow');
  if (!onlyLoopback(spec) && reconnect.baseDelay < 1000)
    say(
      at('reconnect.baseDelay'),
      'is less than 1s',
      'use 1s or more toward a real platform: shorter delays get the OAuth client locked out',
    );
}

function checkLease(at: At, lease: StreamClient['spec']['lease'], say: Say): void {
  if (lease.renewEvery * 2 >= lease.ttl)
    say(at('lease.renewEvery'), 'must be less than half of ttl', 'keep renewEvery < ttl / 2');
  if (lease.margin * 2 >= lease.ttl) say(at('lease.margin'), 'must be less than half of ttl', 'keep margin < ttl / 2');
  if (lease.ttl < lease.renewEvery * 2 + lease.margin)
    say(at('lease.ttl'), 'must exceed 2 * renewEvery + margin', 'lengthen ttl or shorten renewEvery');
}

function checkStream(where: string, spec: EventStream['spec'], client: StreamClient['spec'], say: Say): void {
  const profile = PROFILES[spec.dialect];
  const at: At = (path) => `${where}.spec.${path}`;
  if (profile.platform !== client.platform)
    say(
      at('dialect'),
      `${spec.dialect} belongs to ${profile.platform}, the StreamClient to ${client.platform}`,
      "choose a dialect of the client's platform",
    );
  if (profile.paths.length > 0 && (spec.path === undefined || !profile.paths.includes(spec.path)))
    say(at('path'), `must be one of: ${profile.paths.join(', ')}`, `set path for the dialect ${spec.dialect}`);
  if (profile.paths.length === 0 && spec.path !== undefined)
    say(at('path'), `is not used by the dialect ${spec.dialect}`, 'remove it');
  checkPing(at, spec, onlyLoopback(client), say);
  checkPong(at, spec, say);
  checkResume(at, spec, say);
  checkDelivery(at, spec.delivery, say);
}

function checkPing(at: At, spec: EventStream['spec'], loopback: boolean, say: Say): void {
  const ping = spec.heartbeat.pingEvery;
  if (ping === undefined) return;
  if (!loopback && (ping < 5000 || ping > 45_000))
    say(
      at('heartbeat.pingEvery'),
      'must lie between 5s and 45s',
      'shorter annoys the platform, longer is cut off by proxies',
    );
  if (PROFILES[spec.dialect].liveness.ping === undefined)
    say(
      at('heartbeat.pingEvery'),
      `the dialect ${spec.dialect} allows no keep-alive from the client`,
      'remove it; use heartbeat.silence',
    );
}

function checkPong(at: At, { dialect, heartbeat }: EventStream['spec'], say: Say): void {
  const { ping } = PROFILES[dialect].liveness;
  const pong = heartbeat.pongTimeout ?? ping?.timeoutMs;
  const every = heartbeat.pingEvery ?? ping?.everyMs;
  if (pong !== undefined && every !== undefined && pong >= every)
    say(at('heartbeat.pongTimeout'), 'must be less than pingEvery', 'shorten pongTimeout or lengthen pingEvery');
}

function checkResume(at: At, { dialect, resume, fields }: EventStream['spec'], say: Say): void {
  const native = PROFILES[dialect].resume.kind;
  const asked = { Auto: native, None: undefined, Sequence: 'sequence', Since: 'since', Cursor: 'cursor' }[resume.mode];
  if (asked === undefined || asked === native) return;
  if (native !== undefined) return say(at('resume.mode'), `the dialect ${dialect} resumes by ${native}`, 'use Auto');
  if (resume.param === undefined)
    say(
      at('resume.param'),
      `the dialect ${dialect} has no resume parameter of its own`,
      'name the query parameter that your endpoint takes',
    );
  if ((fields.position ?? []).length === 0)
    say(at('fields.position'), 'is needed to resume', 'name the member that carries the position');
}

function checkDelivery(at: At, delivery: EventStream['spec']['delivery'], say: Say): void {
  if (delivery.retryMaxDelay < delivery.retryBaseDelay)
    say(at('delivery.retryMaxDelay'), 'is less than retryBaseDelay', 'make retryMaxDelay >= retryBaseDelay');
  if (delivery.mode === 'Pull')
    return delivery.push === undefined
      ? undefined
      : say(at('delivery.push'), 'is not used with mode Pull', 'set mode: Push, or remove push');
  if (delivery.push === undefined) return say(at('delivery.push'), 'is needed with mode Push', 'set delivery.push.url');
}

type Push = NonNullable<EventStream['spec']['delivery']['push']>;

function checkPush(at: At, push: Push | undefined, installation: Installation, say: Say): void {
  if (push === undefined) return;
  if (!URL.canParse(push.url)) return say(at('url'), 'is not a URL', 'write it like http://127.0.0.1:8080/events');
  const url = new URL(push.url);
  checkPushForm(at, url, say);
  if (!isLoopbackHost(url.hostname)) checkRemote(at, push, installation.allowPrivate, say);
  checkToken(at, push, installation, say);
}

function checkPushForm(at: At, url: URL, say: Say): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    say(at('url'), `has the scheme ${url.protocol}//`, 'use http:// (loopback) or https://');
  if (url.username !== '' || url.password !== '')
    say(at('url'), 'contains a user name or password', 'use delivery.push.tokenFile');
  if ([...url.searchParams.keys()].some((name) => /token|secret|password|key|auth/i.test(name)))
    say(at('url'), 'carries something like a credential in its query', 'use delivery.push.tokenFile');
}

/** Checks a consumer that is not beside the sidecar. */
function checkRemote(at: At, push: Push, allowPrivate: readonly string[], say: Say): void {
  const { protocol, hostname } = new URL(push.url);
  if (!push.allowRemote)
    say(
      at('url'),
      'is not loopback',
      'deliver to the container beside this one, or set delivery.push.allowRemote: true',
    );
  if (protocol === 'http:') say(at('url'), 'uses http toward a host that is not loopback', 'use https://');
  const address = literalAddress(hostname);
  if (address !== undefined && addressRule(allowPrivate)(address))
    say(at('url'), `names the private address ${address}`, PRIVATE_ADDRESS_REMEDY);
}

/**
 * Checks the consumer's token, a file of the sidecar: the author of an EventStream must not choose among the sidecar's
 * other files, nor send one anywhere.
 */
function checkToken(at: At, push: Push, installation: Installation, say: Say): void {
  const { tokenFile, tokenSecretRef } = push;
  if (tokenFile !== undefined && tokenSecretRef !== undefined)
    return say(at('tokenSecretRef'), 'stands beside tokenFile', 'keep one of the two');
  if (tokenSecretRef !== undefined)
    say(
      at('tokenSecretRef'),
      'is for an attached sidecar, whose pod mounts the Secret',
      'use tokenFile in a file of your own',
    );
  const { tokensDirectory } = installation;
  if (tokenFile === undefined || tokensDirectory === undefined) return;
  if (!posix.normalize(tokenFile).startsWith(`${tokensDirectory}/`))
    say(at('tokenFile'), `is not below ${tokensDirectory}`, 'name the Secret with tokenSecretRef');
  const { hostname } = new URL(push.url);
  if (!isLoopbackHost(hostname) && !isAllowedHost(hostname, installation.allowedHosts))
    say(
      at('url'),
      `would send the token of a Secret to ${hostname}, which is no allowed host of this installation`,
      'list the host in network.allowedHosts of the chart (--allowed-hosts), or deliver without a token',
    );
}
