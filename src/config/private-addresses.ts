import { lookup as dnsLookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

type Subnet = readonly [net: string, bits: number];

/**
 * Addresses that only this machine, its link or its cloud's metadata service answers: no list of an installation
 * allows them.
 */
const NEVER = blockList([
  ['0.0.0.0', 8],
  ['100.100.100.200', 32],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 96],
  ['fd00:ec2::254', 128],
  ['fe80::', 10],
  ['ff00::', 8],
]);
/**
 * Addresses of private networks, and those that carry such an address inside (NAT64, 6to4): an installation may allow
 * them.
 */
const PRIVATE = blockList([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['64:ff9b::', 96],
  ['2002::', 16],
  ['fc00::', 7],
  ['fec0::', 10],
]);

/** Error code of a name that resolves to a private address. */
export const PRIVATE_ADDRESS = 'HF_PRIVATE_ADDRESS';
/** What a person does about it. */
export const PRIVATE_ADDRESS_REMEDY =
  'use a public address, or list its network in network.allowPrivate of the chart (--allow-private)';

/**
 * Returns true for addresses that a public platform cannot have, also when written as IPv4 inside IPv6, and for text
 * that is no address.
 */
export function isPrivateAddress(address: string): boolean {
  return within(NEVER, address) || within(PRIVATE, address);
}

/** Returns why a text is no network that `network.allowPrivate` may hold; undefined: it is one. */
export function networkProblem(text: string): string | undefined {
  const subnet = subnetOf(text);
  if (subnet === undefined)
    return `holds "${text.slice(0, 60)}", which is no network such as 10.20.0.0/16 or fd12:3456::/32`;
  return within(NEVER, subnet[0]) && subnet[1] > 0
    ? `holds ${text}: loopback, link-local, metadata and multicast addresses are never allowed`
    : undefined;
}

/**
 * Returns a function that tells which addresses are refused where `allowPrivate` are the networks that an installation
 * allows.
 */
export function addressRule(allowPrivate: readonly string[]): (address: string) => boolean {
  const allowed = blockList(allowPrivate.map(subnetOf).filter((one) => one !== undefined));
  return (address) => within(NEVER, address) || (within(PRIVATE, address) && !within(allowed, address));
}

/**
 * Returns the address that a URL's host name is, without brackets; undefined when it is a name. Decimal and octal
 * spellings were resolved by the URL parser.
 */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? undefined : bare;
}

/** The resolver of the system, in the form that gives every address. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Returns a name resolution that refuses private addresses at connect time, so that a name cannot be rebound after a
 * check (SSRF).
 */
export function guardedLookup(allowPrivate: readonly string[], resolve: Resolve = dnsLookup): LookupFunction {
  const refused = addressRule(allowPrivate);
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 4);
      const bad = addresses.find((one) => refused(one.address));
      if (bad !== undefined) return callback(refusal(hostname, bad.address), '', 4);
      const [first] = addresses;
      if (first === undefined)
        return callback(Object.assign(new Error(`${hostname} resolves to nothing`), { code: 'ENOTFOUND' }), '', 4);
      if (options.all === true) (callback as unknown as (error: null, all: LookupAddress[]) => void)(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function refusal(hostname: string, address: string): Error {
  const text = `${hostname} resolves to the private address ${address}: ${PRIVATE_ADDRESS_REMEDY}`;
  return Object.assign(new Error(text), { code: PRIVATE_ADDRESS });
}

function within(list: BlockList, address: string): boolean {
  const bare = address.split('%')[0] ?? '';
  const family = isIP(bare);
  // A text that is no address is on every list of refused ones; `allowed` is asked only after one of them.
  return family === 0 || list.check(bare, family === 6 ? 'ipv6' : 'ipv4');
}

function blockList(subnets: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [net, bits] of subnets) list.addSubnet(net, bits, isIP(net) === 6 ? 'ipv6' : 'ipv4');
  return list;
}

function subnetOf(text: string): Subnet | undefined {
  const match = /^([0-9a-fA-F:.]{2,45})\/(\d{1,3})$/.exec(text);
  const [, net = '', bits = ''] = match ?? [];
  const family = isIP(net);
  return family === 0 || Number(bits) > (family === 6 ? 128 : 32) ? undefined : [net, Number(bits)];
}
