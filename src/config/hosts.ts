import { CXONE_AREAS, GENESYS_DOMAINS } from '../platforms/index.ts';
import type { Hosts } from '../platforms/dial-target.ts';
import { addressRule, isPrivateAddress, literalAddress, PRIVATE_ADDRESS_REMEDY } from './private-addresses.ts';
import { isAllowedHost, type Installation } from './installation.ts';
import type { ConfigProblem } from './config-problem.ts';
import type { StreamClient } from './schema.ts';

/** Domains that belong to the two vendors. Another name is used as given, with a warning. */
const VENDOR_SUFFIXES = [
  ...Object.values(GENESYS_DOMAINS),
  'pure.cloud',
  'mygenesys.com',
  'nice-incontact.com',
  'niceincontact.com',
  'nicecxone.com',
];

/** Is this host name or address the machine itself? */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || /^127(\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]' || hostname === '::1';
}

/** The domain of a region; undefined when it is neither a known region nor a domain. */
export function domainOf(client: Pick<StreamClient['spec'], 'platform' | 'region'>): string | undefined {
  if (client.platform === 'NiceCXone') return 'nice-incontact.com';
  return GENESYS_DOMAINS[client.region] ?? (client.region.includes('.') ? client.region : undefined);
}

export interface HostFindings {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

/** Checks the region and the host overrides of one client. */
export function checkHosts(where: string, spec: StreamClient['spec'], installation: Installation): HostFindings {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const overrides = Object.entries(spec.hosts).filter(
    (entry): entry is [keyof Hosts, string] => entry[1] !== undefined,
  );
  const domain = domainOf(spec);
  if (domain === undefined && overrides.length < 3) {
    const known = Object.entries(GENESYS_DOMAINS).map(([region, name]) => `${region} (${name})`);
    problems.push({
      code: 'HF_CONFIG_HOST',
      field: `${where}.spec.region`,
      rule: 'is not a known Genesys Cloud region or domain',
      remedy: `use one of: ${known.join(', ')}; or set hosts.login, hosts.api and hosts.streaming`,
    });
  } else if (
    spec.platform === 'GenesysCloud' &&
    domain !== undefined &&
    !Object.values(GENESYS_DOMAINS).includes(domain)
  ) {
    warnings.push(`${where}.spec.region: ${domain} is not a domain of the Genesys Cloud region table; used as given`);
  } else if (spec.platform === 'NiceCXone' && !CXONE_AREAS.includes(spec.region)) {
    warnings.push(`${where}.spec.region: ${spec.region} is not a CXone area known here; used as a label only`);
  }
  // Where the credentials come out of a Secret, whoever writes a StreamClient must not choose who is sent them.
  const secret = installation.attached || spec.credentials.secretRef !== undefined;
  const allowed = (host: string): boolean =>
    !secret || isVendor(host) || isAllowedHost(host, installation.allowedHosts);
  if (domain !== undefined && overrides.length < 3 && !allowed(domain.toLowerCase()))
    problems.push(notAllowed(`${where}.spec.region`, domain));
  for (const [name, value] of overrides) {
    const field = `${where}.spec.hosts.${name}`;
    const finding = checkOrigin(field, value, name === 'streaming' ? 'ws' : 'http', installation.allowPrivate);
    const host = URL.canParse(value) ? new URL(value).hostname : '';
    if (finding.problem !== undefined) problems.push(finding.problem);
    else if (!isLoopbackHost(host) && !allowed(host)) problems.push(notAllowed(field, host));
    else if (finding.warning !== undefined) warnings.push(finding.warning);
  }
  return { problems, warnings };
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

/** One origin: secure unless loopback, no user info, path, query or fragment, no address tricks. */
export function checkOrigin(
  field: string,
  value: string,
  family: 'ws' | 'http',
  allowPrivate: readonly string[] = [],
): { readonly problem?: ConfigProblem; readonly warning?: string } {
  const refuse = (rule: string, remedy: string): { readonly problem: ConfigProblem } => ({
    problem: { code: 'HF_CONFIG_HOST', field, rule, remedy },
  });
  const example = family === 'ws' ? 'wss://streaming.example.com' : 'https://api.example.com';
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    return refuse('is not a URL', `write scheme and host, such as ${example}`);
  }
  const secure = `${family}s:`;
  if (url.protocol !== secure && url.protocol !== `${family}:`)
    return refuse(`has the scheme ${url.protocol}//`, `use ${secure}// (${family}:// toward loopback only)`);
  if (url.username !== '' || url.password !== '')
    return refuse('contains a user name or password', 'remove them; credentials are files in credentials.directory');
  if (url.search !== '' || url.hash !== '' || !['', '/'].includes(url.pathname))
    return refuse('has a path, query or fragment', `write scheme and host only, such as ${example}`);
  const host = url.hostname;
  const loopback = isLoopbackHost(host);
  if (url.protocol !== secure && !loopback)
    return refuse(`uses ${url.protocol}// toward a host that is not loopback`, `use ${secure}//`);
  if (loopback) return {};
  if (host.endsWith('.')) return refuse('ends with a dot', 'remove the trailing dot');
  const address = literalAddress(host);
  if (address !== undefined && addressRule(allowPrivate)(address))
    return refuse(`names the private address ${address}`, PRIVATE_ADDRESS_REMEDY);
  if (address !== undefined && !isPrivateAddress(address))
    return refuse('is an IP address', 'use the host name of the platform');
  if (host.split('.').some((label) => label.startsWith('xn--')))
    return refuse('contains a punycode label, which can imitate another name', 'use the plain ASCII host name');
  return isVendor(host) ? {} : { warning: `${field}: ${host} is not a host name of the vendor; used as given` };
}
