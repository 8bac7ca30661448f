import {
  COMMON_CONTROLS,
  COMMON_FIELDS,
  COMMON_TABLES,
  GENESYS_HOSTS,
  GENESYS_TOKEN,
  LATENCY,
} from './profile-defaults.ts';
import type { Profile } from './profile.ts';

/** S1: subscribe and reconnect frames, each acknowledged within 5 s; resume by lastSequence in the frame. */
export const genesysArchitect: Profile = {
  dialect: 'genesys-architect',
  platform: 'GenesysCloud',
  streamClass: 'A',
  path: '/api/v2/architect/websocket',
  paths: [],
  hosts: GENESYS_HOSTS,
  auth: { placement: ['query'], queryName: 'access_token' },
  subprotocols: [],
  clientFrames: 'allowed',
  hello: { form: 'architect', ackTimeoutMs: 5000, reconnectOnly: false, urlFlag: 'reconnect' },
  resume: { via: 'frame', kind: 'sequence', param: 'lastSequence' },
  topics: { param: undefined, defaults: ['queueEvents'] },
  liveness: { ping: { everyMs: 30_000, timeoutMs: 10_000, maxMissed: 2 }, latency: LATENCY },
  closeDeadWith1001: false,
  rotation: 'overlap',
  inStream: undefined,
  token: { ...GENESYS_TOKEN, scopes: { '': ['architect:read'] } },
  retentionMs: {},
  overlapMs: 0,
  tables: COMMON_TABLES,
  controls: { ...COMMON_CONTROLS, subscriptionAck: 'subscribe-ack', reconnectAck: 'reconnect-ack' },
  fields: { ...COMMON_FIELDS, position: ['sequence'] },
  typePrefix: 'com.genesys.cloud.',
};
