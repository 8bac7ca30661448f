import {
  COMMON_CONTROLS,
  COMMON_FIELDS,
  COMMON_TABLES,
  GENESYS_HOSTS,
  GENESYS_TOKEN,
  HOUR_MS,
  LATENCY,
} from './profile-defaults.ts';
import type { Profile } from './profile.ts';

/** S0: read-only streams with a sequence per namespace; the server pings, the client never sends a frame. */
export const genesysStreams: Profile = {
  dialect: 'genesys-streams',
  platform: 'GenesysCloud',
  streamClass: 'A',
  path: '/api/v2/{path}',
  paths: ['routing-streams', 'call-streams', 'presence-streams', 'interaction-streams'],
  hosts: GENESYS_HOSTS,
  auth: { placement: ['query'], queryName: 'access_token' },
  subprotocols: [],
  clientFrames: 'forbidden', // any JSON of ours is answered with 1002
  hello: undefined,
  resume: { via: 'query', kind: 'sequence', param: 'sequence' }, // inclusive: the last event may repeat
  topics: { param: undefined, defaults: [] },
  // Server pings every 30-60 s; none for 120 s is death. No keep-alive of ours.
  liveness: { watchdog: { of: 'ping', silenceMs: 120_000 }, latency: LATENCY },
  closeDeadWith1001: true,
  rotation: 'overlap',
  inStream: undefined,
  token: {
    ...GENESYS_TOKEN,
    scopes: {
      '': ['websocket:read'],
      'routing-streams': ['routing:queue:read'],
      'call-streams': ['telephony:call:read'],
      'presence-streams': ['presence:presence:read'],
      'interaction-streams': ['interaction:interaction:read'],
    },
  },
  retentionMs: { 'routing-streams': 24 * HOUR_MS, 'call-streams': 4 * HOUR_MS, 'presence-streams': HOUR_MS },
  overlapMs: 0,
  tables: COMMON_TABLES,
  controls: COMMON_CONTROLS,
  fields: { ...COMMON_FIELDS, position: ['sequence'] },
  typePrefix: 'com.genesys.cloud.',
};
