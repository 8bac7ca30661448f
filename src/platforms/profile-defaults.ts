import { COMMON_CLOSE_CODES, COMMON_STATUSES } from '../core/session/classify-failure.ts';
import type { Control } from '../core/session/session-model.ts';
import type { FieldPaths, Profile } from './profile.ts';

/** Control messages any endpoint may send (contracts: frames from the platform). */
export const COMMON_CONTROLS: Readonly<Record<string, Control>> = {
  'token.mismatch': 'token-mismatch',
  cursorExpired: 'position-expired',
  retentionExceeded: 'position-expired',
  socket_closing: 'closing-soon',
  'v2.system.socket_closing': 'closing-soon',
  RATE_LIMIT_EXCEEDED: 'rate-limited',
  heartbeat: 'heartbeat',
};

export const COMMON_FIELDS: Omit<FieldPaths, 'position'> = {
  id: ['id', 'eventId', 'messageId'],
  type: ['eventType', 'type'],
  time: ['timestamp'],
  key: ['conversationId'],
};

export const COMMON_TABLES = { closeCodes: COMMON_CLOSE_CODES, statuses: COMMON_STATUSES };

/** Round trips kept, and the mean that counts as slow (S0: sustained above 200 ms). */
export const LATENCY = { samples: 20, slowMs: 200 };

export const GENESYS_HOSTS: Profile['hosts'] = {
  login: 'https://login.{domain}',
  api: 'https://api.{domain}',
  streaming: 'wss://api.{domain}',
};

export const GENESYS_TOKEN = {
  path: '/oauth/token',
  body: 'form',
  grant: 'client_credentials',
  // Only when the answer names no life: the shortest that the sources state (A13).
  fallbackLifeMs: 1_800_000,
  validatePath: '/api/v2/tokens/me',
  validateByDefault: false,
} as const;

const minutes = 60_000;
const hours = 60 * minutes;
export const HOUR_MS = hours;
