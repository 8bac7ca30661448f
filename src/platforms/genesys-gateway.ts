import { COMMON_CONTROLS, COMMON_FIELDS, COMMON_TABLES, GENESYS_TOKEN, LATENCY } from './profile-defaults.ts';
import type { Profile } from './profile.ts';

/** S3: token in query and header, subprotocol `genesys`, a reconnect frame without acknowledgement, no resume. */
export const genesysGateway: Profile = {
  dialect: 'genesys-gateway',
  platform: 'GenesysCloud',
  streamClass: 'C',
  path: '/api/v2/',
  paths: [],
  hosts: {
    login: 'https://login.{region}.mygenesys.com',
    api: 'https://api.{region}.mygenesys.com',
    streaming: 'wss://api.{region}.mygenesys.com',
  },
  auth: { placement: ['query', 'header'], queryName: 'access_token' },
  subprotocols: ['genesys'],
  clientFrames: 'allowed',
  hello: { form: 'gateway', ackTimeoutMs: undefined, reconnectOnly: true, urlFlag: undefined },
  resume: { via: 'none', kind: undefined, param: '' },
  topics: { param: undefined, defaults: [] },
  // Unstated by the source; the product's Genesys default (platforms C10).
  liveness: {
    ping: { everyMs: 12_000, timeoutMs: 10_000, maxMissed: 2 },
    watchdog: { of: 'any', silenceMs: 35_000 },
    latency: LATENCY,
  },
  closeDeadWith1001: false,
  rotation: 'overlap',
  inStream: undefined,
  token: { ...GENESYS_TOKEN, scopes: { '': ['presence:read', 'routing:queue:read'] } },
  retentionMs: {},
  overlapMs: 1000,
  tables: COMMON_TABLES,
  controls: COMMON_CONTROLS,
  fields: { ...COMMON_FIELDS, position: [] },
  typePrefix: 'com.genesys.cloud.',
};
