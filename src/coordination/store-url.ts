import { isIP } from 'node:net';
import type { RedisOptions } from 'ioredis';
import type { ConfigProblem } from '../config/config-problem.ts';

export type StoreTarget =
  | { readonly kind: 'embedded'; readonly directory: string }
  | {
      readonly kind: 'redis';
      readonly options: Omit<RedisOptions, 'replyMapping' | 'protocol'>;
      readonly prefix: string;
    };

/** Reads --store. `password` comes from a file or the environment, never from the URL: command lines are public. */
export function parseStoreUrl(
  value: string,
  prefix: string,
  password: string | undefined,
): StoreTarget | ConfigProblem {
  const problem = (rule: string, remedy: string): ConfigProblem => ({
    code: 'HF_CONFIG_OPTION',
    field: '--store',
    rule,
    remedy,
  });
  if (!/^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$/.test(prefix))
    return {
      ...problem('is not a plain name', 'use letters, digits and : . _ - , at most 64'),
      field: '--store-prefix',
    };
  if (value.startsWith('embedded:')) {
    const directory = value.slice('embedded:'.length);
    return directory === ''
      ? problem('names no directory', 'write --store embedded:DIR')
      : { kind: 'embedded', directory };
  }
  const sentinel = value.startsWith('redis+sentinel://');
  const comparable = sentinel
    ? value.replace(/^redis\+sentinel:\/\/([^/]*)/, (_, hosts: string) => `redis://${hosts.split(',')[0] ?? ''}`)
    : value;
  if (!/^(redis|rediss|redis\+sentinel):\/\//.test(value) || !URL.canParse(comparable))
    return problem(
      'has an unknown form',
      'use redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST:PORT,HOST:PORT/NAME or embedded:DIR',
    );
  const url = new URL(comparable);
  if (url.search !== '' || url.hash !== '')
    return problem('has a query or fragment', 'remove it; options are flags of their own');
  if (url.hostname === '') return problem('names no host', 'write redis://HOST:PORT/DB');
  if (url.password !== '' || value.replace(/^[^,]*/, '').includes('@'))
    return problem('contains a password', 'remove it; use --store-password-file FILE or HOLDFAST_STORE_PASSWORD');
  const username = decoded(url.username);
  if (username === undefined) return problem('has a user name that cannot be read', 'write % as %25');
  const auth = { ...(username === '' ? {} : { username }), ...(password === undefined ? {} : { password }) };
  if (sentinel) return sentinelTarget(value, url, { auth, prefix, problem });
  const db = url.pathname.replace('/', '');
  if (db !== '' && !/^\d{1,2}$/.test(db))
    return problem('has a database that is not a number from 0 to 15', 'write redis://HOST:PORT/0');
  if (Number(db) > 15) return problem('has a database above 15', 'write a number from 0 to 15');
  const tls =
    url.protocol === 'rediss:'
      ? {
          tls: {
            minVersion: 'TLSv1.2' as const,
            ...(isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 ? { servername: url.hostname } : {}),
          },
        }
      : {};
  return {
    kind: 'redis',
    prefix,
    options: {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || 6379),
      db: Number(db || 0),
      ...auth,
      ...tls,
    },
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

interface SentinelParts {
  readonly auth: { readonly username?: string; readonly password?: string };
  readonly prefix: string;
  readonly problem: (rule: string, remedy: string) => ConfigProblem;
}

function sentinelTarget(
  value: string,
  url: URL,
  { auth, prefix, problem }: SentinelParts,
): StoreTarget | ConfigProblem {
  const name = url.pathname.replace(/^\//, '');
  if (name === '') return problem('names no master', 'write redis+sentinel://HOST:PORT,HOST:PORT/NAME');
  const hosts = (/^redis\+sentinel:\/\/(?:[^@/]*@)?([^/]*)/.exec(value)?.[1] ?? '').split(',');
  const sentinels = hosts.map((one) => {
    const [host = '', port] = one.split(':');
    return { host, port: Number(port ?? 26_379) };
  });
  const bad = sentinels.find(({ host, port }) => host === '' || !Number.isInteger(port) || port < 1 || port > 65_535);
  if (bad !== undefined)
    return problem('has a sentinel that is not HOST:PORT', 'write redis+sentinel://HOST:PORT,HOST:PORT/NAME');
  return { kind: 'redis', prefix, options: { sentinels, name, ...auth } };
}
