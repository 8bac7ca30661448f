import {
  COMMON_CONTROLS,
  COMMON_FIELDS,
  COMMON_TABLES,
  GENESYS_HOSTS,
  GENESYS_TOKEN,
  LATENCY,
} from './profile-defaults.ts';
import type { Profile } from './profile.ts';

/** S4, Genesys half: token in the header, refreshed in the stream and acknowledged; our pings every 15 s. */
export const genesysAnalyticsStreaming: Profile = {
  dialect: 'genesys-analytics-streaming',
  platform: 'GenesysCloud',
  streamClass: 'C',
  path: '/api/v2/analytics/streaming',
  paths: [],
  hosts: GENESYS_HOSTS,
  auth: { placement: ['header'], queryName: 'access_token' },
  subprotocols: [],
  clientFrames: 'allowed',
  hello: undefined,
  resume: { via: 'none', kind: undefined, param: '' },
  topics: { param: undefined, defaults: [] },
  // 10 s per ping, DEAD on the second miss: within the 35 s that S4 gives a pong.
  liveness: {
    ping: { everyMs: 15_000, timeoutMs: 10_000, maxMissed: 2 },
    watchdog: { of: 'any', silenceMs: 35_000 },
    latency: LATENCY,
  },
  closeDeadWith1001: false,
  rotation: 'in-stream',
  inStream: { form: 'token-refresh', endpoint: undefined },
  token: {
    ...GENESYS_TOKEN,
    body: 'json',
    grant: 'refresh_token',
    validatePath: '/api/v2/users/me',
    validateByDefault: true,
    scopes: { '': ['analytics:realtime:view', 'telephony:call:view', 'integration:app:write'] },
  },
  retentionMs: {},
  overlapMs: 1000,
  tables: COMMON_TABLES,
  controls: { ...COMMON_CONTROLS, 'token-refresh-ack': 'refresh-ack', 'token-refresh-error': 'refresh-error' },
  fields: { ...COMMON_FIELDS, position: [] },
  typePrefix: 'com.genesys.cloud.',
};
