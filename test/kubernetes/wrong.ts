/**
 * Wrong objects, and what the API server says of them. The file check must refuse the same ones
 * (test/operator/rules.test.ts).
 */

const credentials = { secretRef: { name: 's' } };
/** Only in a cluster: credentials and tokens come from Secrets there. */
export const CLUSTER_ONLY: ReadonlySet<string> = new Set(['no Secret', 'a directory', 'a token file elsewhere']);

export const wrongClients: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ['no Secret', { credentials: {} }, /credentials\.secretRef is needed in a cluster/],
  [
    'a directory',
    { credentials: { ...credentials, directory: '/x' } },
    /credentials\.directory belongs to configuration files/,
  ],
  ['maxDelay', { reconnect: { baseDelay: '10s', maxDelay: '5s' } }, /reconnect\.maxDelay is less than baseDelay/],
  [
    'extendedMaxDelay',
    { reconnect: { extendedBaseDelay: '5m', extendedMaxDelay: '10s' } },
    /extendedMaxDelay is less than/,
  ],
  ['jitter', { reconnect: { jitterLow: 1.5, jitterHigh: 1 } }, /jitterHigh is less than jitterLow/],
  ['baseDelay', { reconnect: { baseDelay: '100ms' } }, /baseDelay is less than 1s/],
  ['renewEvery', { lease: { ttl: '6s', renewEvery: '3s' } }, /renewEvery must be less than half of ttl/],
  ['margin', { lease: { ttl: '6s', margin: '3s' } }, /margin must be less than half of ttl/],
  [
    'maintenance',
    { maintenance: [{ from: '2026-01-02T00:00:00Z', to: '2026-01-01T00:00:00Z' }] },
    /to is not after from/,
  ],
  ['half a window', { maintenance: [{ from: '2026-01-02T00:00:00Z' }] }, /spec\.maintenance\[0\]/],
  [
    'a platform',
    { platform: 'Other' },
    /spec\.platform: Unsupported value: "Other": supported values: "GenesysCloud", "NiceCXone"/,
  ],
  ['a duration', { token: { leadTime: 'soon' } }, /spec\.token\.leadTime/],
  ['an unknown field', { regionn: 'x' }, /unknown field "spec\.regionn"/],
  ['a number', { circuitBreaker: { minSamples: 'many' } }, /spec\.circuitBreaker\.minSamples/],
];
const push = { mode: 'Push', push: { url: 'http://127.0.0.1:8080/' } };
export const wrongStreams: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ['path', { path: 'other' }, /path must be one of: routing-streams/],
  ['path of a dialect without', { dialect: 'genesys-gateway' }, /path is not used by this dialect/],
  ['resume mode', { resume: { mode: 'Cursor' } }, /resume\.mode Cursor is not how this dialect resumes/],
  ['push without Push', { delivery: { ...push, mode: 'Pull' } }, /delivery\.push is not used with mode Pull/],
  ['Push without push', { delivery: { mode: 'Push' } }, /delivery\.push is needed with mode Push/],
  [
    'retry delays',
    { delivery: { retryBaseDelay: '1m', retryMaxDelay: '1s' } },
    /retryMaxDelay is less than retryBaseDelay/,
  ],
  ['remote url', { delivery: { mode: 'Push', push: { url: 'https://example.com/' } } }, /url is not loopback/],
  [
    'plain remote url',
    { delivery: { mode: 'Push', push: { url: 'http://example.com/', allowRemote: true } } },
    /uses http toward a host that is not loopback/,
  ],
  [
    'a token file elsewhere',
    { delivery: { mode: 'Push', push: { ...push.push, tokenFile: '/etc/holdfast/store/password' } } },
    /tokenFile is not below \/etc\/holdfast\/tokens/,
  ],
  [
    'two tokens',
    {
      delivery: {
        mode: 'Push',
        push: { ...push.push, tokenFile: '/etc/holdfast/tokens/s/token', tokenSecretRef: { name: 's' } },
      },
    },
    /tokenSecretRef stands beside tokenFile/,
  ],
  ['keep-alive of a dialect without', { heartbeat: { pingEvery: '10s' } }, /allows no keep-alive from the client/],
  [
    'heartbeat',
    { dialect: 'genesys-gateway', path: undefined, heartbeat: { pingEvery: '10s', pongTimeout: '20s' } },
    /pongTimeout must be less than pingEvery/,
  ],
  ['dialect', { dialect: 'other' }, /spec\.dialect: Unsupported value/],
  ['number', { delivery: { maxInFlight: 0 } }, /spec\.delivery\.maxInFlight/],
];
