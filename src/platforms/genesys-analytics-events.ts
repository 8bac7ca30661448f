import {
  COMMON_CONTROLS,
  COMMON_FIELDS,
  COMMON_TABLES,
  GENESYS_HOSTS,
  GENESYS_TOKEN,
  LATENCY,
} from './profile-defaults.ts';
import type { Profile } from './profile.ts';

/** S2, Genesys half: resume by time, an event-type filter, our pings every 12 s (the platform wants 15). */
export const genesysAnalyticsEvents: Profile = {
  dialect: 'genesys-analytics-events',
  platform: 'GenesysCloud',
  streamClass: 'B',
  path: '/api/v2/analytics/events',
  paths: [],
  hosts: GENESYS_HOSTS,
  auth: { placement: ['header'], queryName: 'access_token' }, // either is allowed; a header does not reach access logs
  subprotocols: [],
  clientFrames: 'forbidden',
  hello: undefined,
  resume: { via: 'query', kind: 'since', param: 'since' },
  topics: { param: 'types', defaults: ['interaction.routed', 'interaction.completed'] },
  liveness: { ping: { everyMs: 12_000, timeoutMs: 2000, maxMissed: 1 }, latency: LATENCY },
  closeDeadWith1001: false,
  rotation: 'overlap',
  inStream: undefined,
  token: { ...GENESYS_TOKEN, scopes: { '': ['analytics:events:read'] } },
  retentionMs: {},
  overlapMs: 0,
  tables: COMMON_TABLES,
  controls: COMMON_CONTROLS,
  fields: { ...COMMON_FIELDS, position: ['timestamp'] },
  typePrefix: 'com.genesys.cloud.',
};
