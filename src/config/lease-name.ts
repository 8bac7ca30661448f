import { hostsOf, type Hosts } from '../platforms/dial-target.ts';
import { GENESYS_DOMAINS, PROFILES } from '../platforms/index.ts';
import { isLoopbackHost } from './hosts.ts';

interface Dialed {
  readonly platform: string;
  readonly region: string;
  readonly hosts: Hosts;
}

/**
 * Returns the name of a client's lease, and of all its records in the store: platform, place, OAuth client. Two clients
 * that dial the same place as the same OAuth client have the same name, however the region is spelled.
 */
export function leaseName(dialed: Dialed, clientId: string): string {
  return `${dialed.platform}:${placeOf(dialed)}:${encodeURIComponent(clientId)}`;
}

/** Login hosts of Genesys Cloud, those of every dialect and of both spellings, and the region each belongs to. */
const REGION_OF_LOGIN: ReadonlyMap<string, string> = new Map(
  Object.entries(GENESYS_DOMAINS).flatMap(([region, domain]) =>
    Object.values(PROFILES)
      .filter((profile) => profile.platform === 'GenesysCloud')
      .flatMap((profile) => [region, domain].map((name) => hostsOf(profile, { name, domain }, {}).login))
      .map((login) => [new URL(login).host, region] as const),
  ),
);

/** Returns the region in the table's spelling; as it is where the table does not have it. */
function regionOf(region: string): string {
  return Object.entries(GENESYS_DOMAINS).find(([, domain]) => domain === region)?.[0] ?? region;
}

/**
 * Returns the place that the login host stands for: with Genesys Cloud the region of the table, else the host itself. A
 * loopback host is only a way out of this machine, another one on each: there the region as configured stands, in the
 * table's spelling.
 */
function placeOf({ platform, region, hosts }: Dialed): string {
  const login = new URL(hosts.login);
  if (isLoopbackHost(login.hostname)) return platform === 'GenesysCloud' ? regionOf(region) : region;
  return (platform === 'GenesysCloud' ? REGION_OF_LOGIN.get(login.host) : undefined) ?? login.host;
}
