import { networkProblem } from './private-addresses.ts';
import { ConfigError, type ConfigProblem } from './config-problem.ts';

/** Where an attached sidecar finds the consumers' tokens: STREAM/token. */
export const TOKENS_DIR = '/etc/holdfast/tokens';

/** Decisions of the operator who installed Holdfast, for every document; no document can change them. */
export interface Installation {
  /** True when the documents' authors are not the operator who started this process: they may read and reach less. */
  readonly attached: boolean;
  /** The only directory that consumers' tokens are read from; undefined: any. */
  readonly tokensDirectory: string | undefined;
  /** True where unknown fields are warnings: the documents may come from a newer version than this one. */
  readonly tolerant: boolean;
  /** Private networks that names and addresses may lie in: CIDRs. */
  readonly allowPrivate: readonly string[];
  /** Hosts outside the vendors' domains that may be sent a credential out of a Secret: names, or `*.` and a domain. */
  readonly allowedHosts: readonly string[];
}

/** Run by hand, nothing allowed beyond the rules. */
export const BY_HAND: Installation = {
  attached: false,
  tokensDirectory: undefined,
  tolerant: false,
  allowPrivate: [],
  allowedHosts: [],
};

/** Beside an application, nothing allowed beyond the rules. */
export const ATTACHED: Installation = { ...BY_HAND, attached: true, tokensDirectory: TOKENS_DIR, tolerant: true };

/** Returns the items of a comma-separated option. */
function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

const HOST = /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads the two lists as they stand on a command line.
 * @throws ConfigError naming every item that is wrong
 */
export function networkOf(
  allowPrivate: string,
  allowedHosts: string,
): Pick<Installation, 'allowPrivate' | 'allowedHosts'> {
  const lists = { allowPrivate: listOf(allowPrivate), allowedHosts: listOf(allowedHosts.toLowerCase()) };
  const problems: ConfigProblem[] = [];
  const say = (field: string, rule: string, remedy: string): void =>
    void problems.push({ code: 'HF_CONFIG_OPTION', field, rule, remedy });
  for (const one of lists.allowPrivate) {
    const rule = networkProblem(one);
    if (rule !== undefined)
      say('--allow-private', rule, 'write networks, separated by commas: 10.20.0.0/16,fd12:3456::/32');
  }
  for (const one of lists.allowedHosts)
    if (!HOST.test(one) || one.length > 253)
      say(
        '--allowed-hosts',
        `holds "${one.slice(0, 60)}", which is no host name`,
        'write names: login.example.com,*.example.org',
      );
  if (problems.length > 0) throw new ConfigError(problems);
  return lists;
}

/** Returns whether a host is on a list of names and `*.` domains. */
export function isAllowedHost(hostname: string, allowedHosts: readonly string[]): boolean {
  return allowedHosts.some((one) => (one.startsWith('*.') ? hostname.endsWith(one.slice(1)) : hostname === one));
}
