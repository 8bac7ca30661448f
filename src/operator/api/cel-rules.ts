import type { Kind } from '../../config/spec-schema.ts';
import { TOKENS_DIR } from '../../config/installation.ts';
import { PROFILES } from '../../platforms/index.ts';

/**
 * A rule that concerns several fields. Each stands in src/config/relations.ts, too; test/kubernetes/crd.k8s.ts compares
 * the two.
 */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

const LOOPBACK = String.raw`^(https?|wss?)://(127\\.|localhost([:/]|$)|\\[::1\\])`;
const onlyLoopback = ['login', 'api', 'streaming']
  .map((host) => `has(self.hosts.${host}) && self.hosts.${host}.matches('${LOOPBACK}')`)
  .join(' && ');

const CLIENT_RULES: readonly CelRule[] = [
  {
    rule: 'has(self.credentials.secretRef)',
    message: 'credentials.secretRef is needed in a cluster: name the Secret that holds clientId and clientSecret',
  },
  {
    rule: '!has(self.credentials.directory)',
    message: 'credentials.directory belongs to configuration files: use credentials.secretRef',
  },
  {
    rule: 'duration(self.reconnect.maxDelay) >= duration(self.reconnect.baseDelay)',
    message: 'reconnect.maxDelay is less than baseDelay: make maxDelay >= baseDelay',
  },
  {
    rule: 'duration(self.reconnect.extendedMaxDelay) >= duration(self.reconnect.extendedBaseDelay)',
    message: 'reconnect.extendedMaxDelay is less than extendedBaseDelay: make extendedMaxDelay >= extendedBaseDelay',
  },
  {
    rule: 'self.reconnect.jitterHigh >= self.reconnect.jitterLow',
    message: 'reconnect.jitterHigh is less than jitterLow: make jitterHigh >= jitterLow',
  },
  {
    rule: `duration(self.reconnect.baseDelay) >= duration('1s') || (${onlyLoopback})`,
    message:
      'reconnect.baseDelay is less than 1s: use 1s or more toward a real platform, shorter delays get the ' +
      'OAuth client locked out',
  },
  {
    rule: 'duration(self.lease.renewEvery) + duration(self.lease.renewEvery) < duration(self.lease.ttl)',
    message: 'lease.renewEvery must be less than half of ttl: keep renewEvery < ttl / 2',
  },
  {
    rule: 'duration(self.lease.margin) + duration(self.lease.margin) < duration(self.lease.ttl)',
    message: 'lease.margin must be less than half of ttl: keep margin < ttl / 2',
  },
  {
    rule:
      'duration(self.lease.renewEvery) + duration(self.lease.renewEvery) + duration(self.lease.margin) <= ' +
      'duration(self.lease.ttl)',
    message: 'lease.ttl must be at least 2 * renewEvery + margin: lengthen ttl or shorten renewEvery',
  },
  {
    rule: '!has(self.maintenance) || self.maintenance.all(w, !has(w.from) || w.to > w.from)',
    message: 'maintenance: to is not after from: put the end after the beginning',
  },
];

const dialects = Object.values(PROFILES);
const quoted = (words: readonly string[]): string => `[${words.map((word) => `'${word}'`).join(', ')}]`;
const withPaths = dialects.filter((profile) => profile.paths.length > 0);
const withoutPaths = dialects.filter((profile) => profile.paths.length === 0).map((profile) => profile.dialect);

const silent = dialects.filter((profile) => profile.liveness.ping === undefined).map((profile) => profile.dialect);

const STREAM_RULES: readonly CelRule[] = [
  ...withPaths.map((profile) => ({
    rule: `self.dialect != '${profile.dialect}' || (has(self.path) && self.path in ${quoted(profile.paths)})`,
    message: `path must be one of: ${profile.paths.join(', ')}: set path for the dialect ${profile.dialect}`,
  })),
  {
    rule: `!(self.dialect in ${quoted(withoutPaths)}) || !has(self.path)`,
    message: 'path is not used by this dialect: remove it',
  },
  ...(
    [
      ['Sequence', 'sequence'],
      ['Since', 'since'],
      ['Cursor', 'cursor'],
    ] as const
  ).map(([mode, kind]) => {
    const others = dialects
      .filter((profile) => profile.resume.kind !== undefined && profile.resume.kind !== kind)
      .map((profile) => profile.dialect);
    return {
      rule: `self.resume.mode != '${mode}' || !(self.dialect in ${quoted(others)})`,
      message: `resume.mode ${mode} is not how this dialect resumes: use Auto`,
    };
  }),
  {
    rule: "self.delivery.mode == 'Push' || !has(self.delivery.push)",
    message: 'delivery.push is not used with mode Pull: set mode: Push, or remove push',
  },
  {
    rule: "self.delivery.mode == 'Pull' || has(self.delivery.push)",
    message: 'delivery.push is needed with mode Push: set delivery.push.url',
  },
  {
    rule: 'duration(self.delivery.retryMaxDelay) >= duration(self.delivery.retryBaseDelay)',
    message: 'delivery.retryMaxDelay is less than retryBaseDelay: make retryMaxDelay >= retryBaseDelay',
  },
  {
    rule: '!has(self.delivery.push) || !has(self.delivery.push.tokenFile) || !has(self.delivery.push.tokenSecretRef)',
    message: 'delivery.push.tokenSecretRef stands beside tokenFile: keep one of the two',
  },
  {
    rule:
      '!has(self.delivery.push) || !has(self.delivery.push.tokenFile) || ' +
      `self.delivery.push.tokenFile.startsWith('${TOKENS_DIR}/')`,
    message: `delivery.push.tokenFile is not below ${TOKENS_DIR}: name the Secret with tokenSecretRef`,
  },
  {
    rule: `!has(self.delivery.push) || self.delivery.push.allowRemote || self.delivery.push.url.matches('${LOOPBACK}')`,
    message:
      'delivery.push.url is not loopback: deliver to the container beside this one, or set ' +
      'delivery.push.allowRemote: true',
  },
  {
    rule:
      `!has(self.delivery.push) || self.delivery.push.url.matches('^https://') || ` +
      `self.delivery.push.url.matches('${LOOPBACK}')`,
    message: 'delivery.push.url uses http toward a host that is not loopback: use https://',
  },
  {
    rule: `!has(self.heartbeat.pingEvery) || !(self.dialect in ${quoted(silent)})`,
    message: 'heartbeat.pingEvery: this dialect allows no keep-alive from the client: remove it, use heartbeat.silence',
  },
  {
    rule:
      '!has(self.heartbeat.pingEvery) || !has(self.heartbeat.pongTimeout) || ' +
      'duration(self.heartbeat.pongTimeout) < duration(self.heartbeat.pingEvery)',
    message: 'heartbeat.pongTimeout must be less than pingEvery: shorten pongTimeout or lengthen pingEvery',
  },
];

/** Rules that the API server checks of the spec of each kind. */
export const CEL_RULES: Readonly<Record<Kind, readonly CelRule[]>> = {
  StreamClient: CLIENT_RULES,
  EventStream: STREAM_RULES,
};
