import { isIP } from 'node:net';
import type { RedisOptions } from 'ioredis';
import type { ConfigProblem } from '../config/config-problem.ts';

type TargetOptions = Omit<RedisOptions, 'replyMapping' | 'protocol'>;

export type StoreTarget =
  | { readonly kind: 'embedded'; readonly directory: string }
  | { readonly kind: 'redis'; readonly options: TargetOptions; readonly prefix: string };

const EMBEDDED = 'embedded:';
const SENTINEL = 'redis+sentinel://';
/** What all keys begin with. */
const PREFIX = /^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$/;
const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;
/** Databases of a Redis server without settings of its own: 0 to 15. */
const DATABASE_MAX = 15;

/**
 * Reads --store:
 *
 *     embedded:DIR
 *     redis://[USER@]HOST[:PORT][/DB]           rediss:// is the same over TLS
 *     redis+sentinel://[USER@]HOST[:PORT],HOST[:PORT],.../NAME
 *
 * `password` comes from a file or the environment, never from the URL: command lines are public.
 */
export function parseStoreUrl(
  value: string,
  prefix: string,
  password: string | undefined,
): StoreTarget | ConfigProblem {
  if (!PREFIX.test(prefix))
    return {
      ...problem('is not a plain name', 'use letters, digits and : . _ - , at most 64'),
      field: '--store-prefix',
    };
  if (value.startsWith(EMBEDDED)) return embeddedTarget(value.slice(EMBEDDED.length));
  const url = serverUrl(value);
  if (url === undefined)
    return problem(
      'has an unknown form',
      'use redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST:PORT,HOST:PORT/NAME or embedded:DIR',
    );
  const misplaced = misplacedPart(value, url);
  if (misplaced !== undefined) return misplaced;
  const user = userOf(url);
  if ('rule' in user) return user;
  const server = value.startsWith(SENTINEL) ? sentinelOptions(value, url) : serverOptions(url);
  if ('rule' in server) return server;
  return {
    kind: 'redis',
    prefix,
    options: { ...server, ...user, ...(password === undefined ? {} : { password }) },
  };
}

function problem(rule: string, remedy: string): ConfigProblem {
  return { code: 'HF_CONFIG_OPTION', field: '--store', rule, remedy };
}

/** Reads DIR. */
function embeddedTarget(directory: string): StoreTarget | ConfigProblem {
  return directory === ''
    ? problem('names no directory', 'write --store embedded:DIR')
    : { kind: 'embedded', directory };
}

/** Returns the value as a URL. A URL has one host, so the first sentinel of a list stands for all of them. */
function serverUrl(value: string): URL | undefined {
  if (!/^(redis|rediss|redis\+sentinel):\/\//.test(value)) return undefined;
  const ofOne = value.startsWith(SENTINEL)
    ? value.replace(/^redis\+sentinel:\/\/([^/]*)/, (_, hosts: string) => `redis://${hosts.split(',')[0] ?? ''}`)
    : value;
  return URL.canParse(ofOne) ? new URL(ofOne) : undefined;
}

/** Returns what is wrong with the parts that every form has: a query, no host, a password. */
function misplacedPart(value: string, url: URL): ConfigProblem | undefined {
  if (url.search !== '' || url.hash !== '')
    return problem('has a query or fragment', 'remove it; options are flags of their own');
  if (url.hostname === '') return problem('names no host', 'write redis://HOST:PORT/DB');
  const furtherHosts = value.replace(/^[^,]*/, '');
  if (url.password !== '' || furtherHosts.includes('@'))
    return problem('contains a password', 'remove it; use --store-password-file FILE or HOLDFAST_STORE_PASSWORD');
  return undefined;
}

/** Reads USER. */
function userOf(url: URL): { readonly username?: string } | ConfigProblem {
  try {
    const username = decodeURIComponent(url.username);
    return username === '' ? {} : { username };
  } catch {
    return problem('has a user name that cannot be read', 'write % as %25');
  }
}

/** Reads HOST[:PORT][/DB]. */
function serverOptions(url: URL): TargetOptions | ConfigProblem {
  const db = databaseOf(url);
  if (typeof db !== 'number') return db;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || REDIS_PORT);
  return { host, port, db, ...(url.protocol === 'rediss:' ? { tls: tlsOptions(host) } : {}) };
}

/** Reads DB. */
function databaseOf(url: URL): number | ConfigProblem {
  const db = url.pathname.replace('/', '');
  if (db !== '' && !/^\d{1,2}$/.test(db))
    return problem('has a database that is not a number from 0 to 15', 'write redis://HOST:PORT/0');
  return Number(db) > DATABASE_MAX
    ? problem('has a database above 15', 'write a number from 0 to 15')
    : Number(db || 0);
}

/** Returns TLS options. Only a name can be asked for in the handshake, an address cannot (RFC 6066). */
function tlsOptions(host: string): NonNullable<TargetOptions['tls']> {
  return { minVersion: 'TLSv1.2', ...(isIP(host) === 0 ? { servername: host } : {}) };
}

/** Reads HOST[:PORT],HOST[:PORT],.../NAME. */
function sentinelOptions(value: string, url: URL): TargetOptions | ConfigProblem {
  const name = url.pathname.replace(/^\//, '');
  if (name === '') return problem('names no master', 'write redis+sentinel://HOST:PORT,HOST:PORT/NAME');
  const hosts = (/^redis\+sentinel:\/\/(?:[^@/]*@)?([^/]*)/.exec(value)?.[1] ?? '').split(',');
  const sentinels = hosts.map(sentinelAt);
  return sentinels.every(isSound)
    ? { sentinels, name }
    : problem('has a sentinel that is not HOST:PORT', 'write redis+sentinel://HOST:PORT,HOST:PORT/NAME');
}

interface Sentinel {
  readonly host: string;
  readonly port: number;
}

/** Reads one HOST[:PORT] of the list; a malformed port is NaN or out of bounds. */
function sentinelAt(text: string): Sentinel {
  const [host = '', port] = text.split(':');
  return { host, port: Number(port ?? SENTINEL_PORT) };
}

function isSound({ host, port }: Sentinel): boolean {
  return host !== '' && Number.isInteger(port) && port >= 1 && port <= 65_535;
}
