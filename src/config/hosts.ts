import { CXONE_AREAS, GENESYS_DOMAINS } from '../platforms/index.ts';
import type { Hosts } from '../platforms/dial-target.ts';
import { addressRule, isPrivateAddress, literalAddress, PRIVATE_ADDRESS_REMEDY } from './private-addresses.ts';
import { isAllowedHost, type Installation } from './installation.ts';
import type { ConfigProblem } from './config-problem.ts';
import type { StreamClient } from './schema.ts';

/** With so many overrides the region's domain makes no host. */
const ALL_HOSTS = 3;

/** Domains that belong to the two vendors. Another name is used as given, with a warning. */
const VENDOR_SUFFIXES = [
  ...Object.values(GENESYS_DOMAINS),
  'pure.cloud',
  'mygenesys.com',
  'nice-incontact.com',
  'niceincontact.com',
  'nicecxone.com',
];

/** Returns whether this host name or address is the machine itself. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || /^127(\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]' || hostname === '::1';
}

/** Returns the domain of a region; undefined when it is neither a known region nor a domain. */
export function domainOf(client: Pick<StreamClient['spec'], 'platform' | 'region'>): string | undefined {
  if (client.platform === 'NiceCXone') return 'nice-incontact.com';
  return GENESYS_DOMAINS[client.region] ?? (client.region.includes('.') ? client.region : undefined);
}

export interface HostFindings {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

type Spec = StreamClient['spec'];

/** Finding about one field. */
interface Finding {
  readonly problem?: ConfigProblem;
  readonly warning?: string;
}

/** Checks the region and the host overrides of one client. */
export function checkHosts(where: string, spec: Spec, installation: Installation): HostFindings {
  const overrides = Object.entries(spec.hosts).filter(
    (entry): entry is [keyof Hosts, string] => entry[1] !== undefined,
  );
  const domain = overrides.length < ALL_HOSTS ? domainOf(spec) : undefined;
  const field = `${where}.spec.region`;
  const findings: Finding[] = [checkRegion(field, spec, overrides.length < ALL_HOSTS)];
  if (domain !== undefined && !mayReceiveSecret(domain.toLowerCase(), spec, installation))
    findings.push({ problem: notAllowed(field, domain) });
  for (const override of overrides) findings.push(checkOverride(where, override, spec, installation));
  return {
    problems: findings.flatMap(({ problem }) => problem ?? []),
    warnings: findings.flatMap(({ warning }) => warning ?? []),
  };
}

/** Checks the region. An unknown one makes no hosts; where it is used as given, that becomes a warning. */
function checkRegion(field: string, spec: Spec, makesHosts: boolean): Finding {
  if (spec.platform === 'NiceCXone')
    return CXONE_AREAS.includes(spec.region)
      ? {}
      : { warning: `${field}: ${spec.region} is not a CXone area known here; used as a label only` };
  const domain = domainOf(spec);
  if (domain === undefined) return makesHosts ? { problem: unknownRegion(field) } : {};
  return Object.values(GENESYS_DOMAINS).includes(domain)
    ? {}
    : { warning: `${field}: ${domain} is not a domain of the Genesys Cloud region table; used as given` };
}

function unknownRegion(field: string): ConfigProblem {
  const known = Object.entries(GENESYS_DOMAINS).map(([region, name]) => `${region} (${name})`);
  return {
    code: 'HF_CONFIG_HOST',
    field,
    rule: 'is not a known Genesys Cloud region or domain',
    remedy: `use one of: ${known.join(', ')}; or set hosts.login, hosts.api and hosts.streaming`,
  };
}

function checkOverride(
  where: string,
  [name, value]: readonly [keyof Hosts, string],
  spec: Spec,
  installation: Installation,
): Finding {
  const field = `${where}.spec.hosts.${name}`;
  const finding = checkOrigin(field, value, name === 'streaming' ? 'ws' : 'http', installation.allowPrivate);
  if (finding.problem !== undefined) return finding;
  const host = new URL(value).hostname;
  return isLoopbackHost(host) || mayReceiveSecret(host, spec, installation)
    ? finding
    : { problem: notAllowed(field, host) };
}

/** Returns whether a host may get credentials out of a Secret: the author of a StreamClient must not choose it. */
function mayReceiveSecret(host: string, spec: Spec, installation: Installation): boolean {
  const secret = installation.attached || spec.credentials.secretRef !== undefined;
  return !secret || isVendor(host) || isAllowedHost(host, installation.allowedHosts);
}

function notAllowed(field: string, host: string): ConfigProblem {
  return {
    code: 'HF_CONFIG_HOST',
    field,
    rule:
      `would send the credentials of a Secret to ${host}, which is neither a host of the vendor nor an allowed ` +
      'one of this installation',
    remedy: 'list the host in network.allowedHosts of the chart (--allowed-hosts)',
  };
}

function isVendor(host: string): boolean {
  return VENDOR_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
}

type Family = 'ws' | 'http';
type Refusal = Pick<ConfigProblem, 'rule' | 'remedy'>;

/** Checks one origin: secure unless loopback, no user info, path, query or fragment, no address tricks. */
function checkOrigin(field: string, value: string, family: Family, allowPrivate: readonly string[]): Finding {
  if (!URL.canParse(value))
    return refused(field, { rule: 'is not a URL', remedy: `write scheme and host, such as ${exampleOf(family)}` });
  const url = new URL(value);
  const host = url.hostname;
  const refusal = refusedForm(url, family) ?? refusedHost(host, allowPrivate);
  if (refusal !== undefined) return refused(field, refusal);
  return isLoopbackHost(host) || isVendor(host)
    ? {}
    : { warning: `${field}: ${host} is not a host name of the vendor; used as given` };
}

function refused(field: string, refusal: Refusal): Finding {
  return { problem: { code: 'HF_CONFIG_HOST', field, ...refusal } };
}

function exampleOf(family: Family): string {
  return family === 'ws' ? 'wss://streaming.example.com' : 'https://api.example.com';
}

function refusedForm(url: URL, family: Family): Refusal | undefined {
  const secure = `${family}s:`;
  if (url.protocol !== secure && url.protocol !== `${family}:`)
    return {
      rule: `has the scheme ${url.protocol}//`,
      remedy: `use ${secure}// (${family}:// toward loopback only)`,
    };
  if (url.username !== '' || url.password !== '')
    return {
      rule: 'contains a user name or password',
      remedy: 'remove them; credentials are files in credentials.directory',
    };
  if (url.search !== '' || url.hash !== '' || !['', '/'].includes(url.pathname))
    return {
      rule: 'has a path, query or fragment',
      remedy: `write scheme and host only, such as ${exampleOf(family)}`,
    };
  return url.protocol === secure || isLoopbackHost(url.hostname)
    ? undefined
    : { rule: `uses ${url.protocol}// toward a host that is not loopback`, remedy: `use ${secure}//` };
}

function refusedHost(host: string, allowPrivate: readonly string[]): Refusal | undefined {
  if (isLoopbackHost(host)) return undefined;
  if (host.endsWith('.')) return { rule: 'ends with a dot', remedy: 'remove the trailing dot' };
  const address = literalAddress(host);
  if (address !== undefined && addressRule(allowPrivate)(address))
    return { rule: `names the private address ${address}`, remedy: PRIVATE_ADDRESS_REMEDY };
  if (address !== undefined && !isPrivateAddress(address))
    return { rule: 'is an IP address', remedy: 'use the host name of the platform' };
  return host.split('.').some((label) => label.startsWith('xn--'))
    ? {
        rule: 'contains a punycode label, which can imitate another name',
        remedy: 'use the plain ASCII host name',
      }
    : undefined;
}
