import { COMMON_CONTROLS, COMMON_FIELDS, COMMON_TABLES, LATENCY } from './profile-defaults.ts';
import { CXONE_HOSTS, CXONE_TOKEN } from './cxone-events.ts';
import type { Profile } from './profile.ts';

/** S4, CXone half: the new token comes from a REST call and is then injected by a control frame, acknowledged. */
export const cxoneRealtime: Profile = {
  dialect: 'cxone-realtime',
  platform: 'NiceCXone',
  streamClass: 'C',
  path: '/api/v2/streaming/real-time',
  paths: [],
  hosts: { ...CXONE_HOSTS, streaming: 'wss://api.nice-incontact.com' },
  auth: { placement: ['header'], queryName: 'access_token' },
  subprotocols: [],
  clientFrames: 'allowed',
  hello: undefined,
  resume: { via: 'none', kind: undefined, param: '' },
  topics: { param: undefined, defaults: [] },
  liveness: {
    ping: { everyMs: 15_000, timeoutMs: 10_000, maxMissed: 2 },
    watchdog: { of: 'any', silenceMs: 35_000 },
    latency: LATENCY,
  },
  closeDeadWith1001: false,
  rotation: 'in-stream',
  inStream: { form: 'x-nice-auth', endpoint: '/api/v2/auth/token/refresh' },
  token: {
    ...CXONE_TOKEN,
    body: 'json',
    grant: 'refresh_token',
    validateByDefault: true,
    scopes: { '': ['streaming:read'] },
  },
  retentionMs: {},
  overlapMs: 1000,
  tables: COMMON_TABLES,
  controls: { ...COMMON_CONTROLS, 'token-refresh-ack': 'refresh-ack', 'token-refresh-error': 'refresh-error' },
  fields: { ...COMMON_FIELDS, position: [] },
  typePrefix: 'com.nice.cxone.',
};
