import { COMMON_CONTROLS, COMMON_FIELDS, COMMON_TABLES, HOUR_MS, LATENCY } from './profile-defaults.ts';
import type { Profile } from './profile.ts';

export const CXONE_HOSTS: Profile['hosts'] = {
  login: 'https://api.nice-incontact.com',
  api: 'https://api.nice-incontact.com',
  streaming: 'wss://platform.nice-incontact.com',
};

export const CXONE_TOKEN = {
  path: '/oauth/token',
  body: 'form',
  grant: 'client_credentials',
  fallbackLifeMs: HOUR_MS,
  validatePath: '/api/v2/users/me',
  validateByDefault: false,
} as const;

/** S2, CXone half: resume by opaque cursor or by last event id, our pings every 25 s (the platform wants 30). */
export const cxoneEvents: Profile = {
  dialect: 'cxone-events',
  platform: 'NiceCXone',
  streamClass: 'B',
  path: '/api/v2/ws/events',
  paths: [],
  hosts: CXONE_HOSTS,
  auth: { placement: ['header'], queryName: 'access_token' },
  subprotocols: [],
  clientFrames: 'forbidden',
  hello: undefined,
  resume: { via: 'query', kind: 'cursor', param: 'cursor' },
  topics: { param: 'types', defaults: ['screenpop', 'agentState'] },
  liveness: { ping: { everyMs: 25_000, timeoutMs: 2000, maxMissed: 1 }, latency: LATENCY },
  closeDeadWith1001: false,
  rotation: 'overlap',
  inStream: undefined,
  token: { ...CXONE_TOKEN, scopes: { '': ['events:read'] } },
  retentionMs: {},
  overlapMs: 0,
  tables: COMMON_TABLES,
  controls: COMMON_CONTROLS,
  fields: { ...COMMON_FIELDS, position: ['cursor'] },
  typePrefix: 'com.nice.cxone.',
};
