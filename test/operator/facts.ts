import { ATTACHED } from '../../src/config/installation.ts';
import { sidecarOf, type SidecarReport } from '../../src/operator/controller/sidecar-report.ts';
import type { ClientObject, StreamObject } from '../../src/operator/api/resources.ts';
import type { Facts } from '../../src/operator/controller/first-reason.ts';
import { eventStream, streamClient } from '../kubernetes/plane.ts';

const meta = (name: string) => ({ name, namespace: 'n', uid: `uid-${name}`, generation: 3, resourceVersion: '1' });
export const client = {
  ...streamClient('c', { suspend: false, pool: { maxStreams: 50 } }),
  metadata: meta('c'),
} as unknown as ClientObject;
export const stream = { ...eventStream('s', 'c'), metadata: meta('s') } as unknown as StreamObject;
export const report = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  pod: 'p-0',
  uid: 'u0',
  version: '0.1.0',
  client: {
    lease: 'L',
    role: 'leader',
    open: true,
    epoch: 7,
    token: { state: 'active', remainingMs: 600_000 },
    credentials: 'ok',
    breaker: 'closed',
  },
  streams: [
    {
      name: 's',
      class: 'A',
      state: 'LIVE',
      connection: { reconnects: 1 },
      continuity: { rate: 1, gaps: 0 },
      delivery: { inFlight: 2 },
      events: { deadLettered: 0 },
    },
  ],
  notices: [],
  ...over,
});
export const sidecar = (over: Record<string, unknown> = {}, ageMs = 100): SidecarReport =>
  sidecarOf({ replica: 'p-0/u0', ageMs, content: report(over) });
export const facts = (over: Partial<Facts> = {}): Facts => ({
  client,
  streams: [stream],
  pods: [{ name: 'p-0', uid: 'u0', attached: true, ended: false }],
  sidecars: [sidecar()],
  unread: false,
  installation: ATTACHED,
  nowEpochMs: 1_800_000_000_000,
  ...over,
});
export const condition = (
  status: {
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  },
  type: string,
): string => {
  const one = status.conditions.find((each) => each.type === type);
  return `${one?.status ?? ''} ${one?.reason ?? ''}`;
};
