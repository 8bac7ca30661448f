import type { Position, Profile } from './profile.ts';

export interface Hosts {
  /** http(s) origin. */
  readonly login: string;
  readonly api: string;
  /** ws(s) origin. */
  readonly streaming: string;
}

export interface DialFacts {
  readonly hosts: Hosts;
  readonly path: string | undefined;
  readonly topics: readonly string[];
  readonly token: string;
  readonly position: Position | undefined;
  readonly reconnect: boolean;
}

export interface DialTarget {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly subprotocols: readonly string[];
}

/** Returns the hosts of a profile for a region's domain; overrides win one by one. */
export function hostsOf(
  profile: Profile,
  region: { readonly name: string; readonly domain: string },
  overrides: Partial<Hosts>,
): Hosts {
  const fill = (template: string): string =>
    template.replaceAll('{domain}', region.domain).replaceAll('{region}', region.name);
  const trim = (origin: string): string => origin.replace(/\/+$/, '');
  return {
    login: trim(overrides.login ?? fill(profile.hosts.login)),
    api: trim(overrides.api ?? fill(profile.hosts.api)),
    streaming: trim(overrides.streaming ?? fill(profile.hosts.streaming)),
  };
}

/**
 * Returns URL, headers and subprotocols of one upgrade. The URL may carry the token (where the endpoint has no other
 * way): never log it.
 */
export function dialTarget(profile: Profile, request: DialFacts): DialTarget {
  const url = new URL(request.hosts.streaming + profile.path.replace('{path}', request.path ?? ''));
  const { auth, hello } = profile;
  const headers: Record<string, string> = {};
  if (auth.placement.includes('query')) url.searchParams.set(auth.queryName, request.token);
  if (auth.placement.includes('header')) headers['authorization'] = `Bearer ${request.token}`;
  filterTopics(url, profile, request.topics);
  if (hello?.urlFlag !== undefined && request.reconnect) url.searchParams.set(hello.urlFlag, 'true');
  if (profile.resume.via === 'query' && request.position !== undefined)
    resumeAt(url, profile.resume.param, request.position);
  return { url: url.toString(), headers, subprotocols: profile.subprotocols };
}

function filterTopics(url: URL, { topics }: Profile, configured: readonly string[]): void {
  const types = configured.length > 0 ? configured : topics.defaults;
  if (topics.param !== undefined && types.length > 0) url.searchParams.set(topics.param, types.join(','));
}

function resumeAt(url: URL, param: string, { kind, value }: Position): void {
  const name = kind === 'lastEventId' ? 'lastEventId' : param;
  url.searchParams.set(name, kind === 'since' ? new Date(Number(value)).toISOString() : value);
}
