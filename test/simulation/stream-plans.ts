import { loadDocuments } from '../../src/config/load-documents.ts';
import { resolve, type StreamPlan } from '../../src/config/plan.ts';
import { writeDocuments } from '../support/documents.ts';
import type { PlatformOptions } from './platform.ts';

export const DIALECTS: readonly PlatformOptions['dialect'][] = [
  'genesys-streams',
  'genesys-analytics-events',
  'cxone-events',
  'genesys-gateway',
];
export const MODES = ['key', 'key-batch', 'stream', 'stream-batch', 'pull'] as const;
export type Mode = (typeof MODES)[number];

/** One of several, drawn. */
export function pick<T>(from: readonly T[], unit: () => number): T {
  return from[Math.floor(unit() * from.length)] as T;
}

const known = new Map<string, StreamPlan>();

/**
 * The plan of a stream with the product's own numbers where time is concerned, from documents as a user writes them.
 */
export function planOf(dialect: PlatformOptions['dialect'], mode: Mode): StreamPlan {
  const name = `${dialect} ${mode}`;
  const there = known.get(name);
  if (there !== undefined) return there;
  const push = { contentMode: mode.endsWith('batch') ? 'batch' : 'structured' };
  const order = mode.startsWith('stream') ? 'stream' : 'key';
  const file = writeDocuments({
    simPort: 1,
    dialect,
    ...(mode === 'pull' ? {} : { consumerPort: 2 }),
    push,
    client: { reconnect: { baseDelay: '1s', maxDelay: '10s', extendedBaseDelay: '2s', extendedMaxDelay: '20s' } },
    stream: { heartbeat: {}, resume: { reorderWindow: '300ms' } },
    delivery: { retryBaseDelay: '500ms', retryMaxDelay: '5s', ackTimeout: '5s', ...(mode === 'pull' ? {} : { order }) },
  });
  const plan = resolve(loadDocuments([file]))[0]?.streams[0];
  if (plan === undefined) throw new Error('the documents name no stream');
  known.set(name, plan);
  return plan;
}
