import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PROFILES } from '../../src/platforms/index.ts';
import type { Dialect } from '../../src/platforms/profile.ts';
import { idleSession, sessionDeadline, stepSession } from '../../src/core/session/session.ts';
import type { SessionInput, SessionPolicy, SessionState } from '../../src/core/session/session-model.ts';

/**
 * Readable traces of one stream's life: instant, input, effects, next deadline. A change of behaviour shows as a change
 * of these files; UPDATE_GOLDEN=1 npm test writes them anew, and the diff is what a reviewer reads.
 */
const BACKOFF = { baseMs: 1000, multiplier: 2, maxMs: 60_000, jitterLow: 0.5, jitterHigh: 1.5 };
function policyOf(dialect: Dialect): SessionPolicy {
  const { clientFrames, hello, liveness, rotation, overlapMs, closeDeadWith1001, tables } = PROFILES[dialect];
  return {
    dialTimeoutMs: 10_000,
    closeTimeoutMs: 1000,
    clientFrames,
    liveness,
    rotation,
    overlapMs,
    closeDeadWith1001,
    tables,
    hello: hello === undefined ? undefined : { ackTimeoutMs: hello.ackTimeoutMs, reconnectOnly: hello.reconnectOnly },
    backoff: BACKOFF,
    extendedBackoff: { ...BACKOFF, baseMs: 2000, maxMs: 120_000 },
    maxAttempts: 0,
    maxWindowMs: undefined,
    onExhausted: 'breaker',
    stableMs: 60_000,
    emptyBatchLimit: 3,
    inStream: { ackTimeoutMs: 5000, retryMs: 30_000, fallBackBeforeExpiryMs: 10_000 },
  };
}

type Script = readonly (readonly [number, SessionInput])[];
const T1 = { id: 't1', expiresAtMs: 3_600_000 };
const T2 = { id: 't2', expiresAtMs: 7_200_000 };
const SCRIPTS: Readonly<Record<string, readonly [Dialect, Script]>> = {
  'streams-drop-and-429': [
    'genesys-streams',
    [
      [0, { kind: 'start' }],
      [10, { kind: 'admitted', token: T1, resuming: false }],
      [90, { kind: 'opened', gen: 1 }],
      [100, { kind: 'event', gen: 1 }],
      [30_000, { kind: 'heard', gen: 1, what: 'server-ping' }],
      [40_000, { kind: 'ended', gen: 1, failure: { stage: 'stream', closeCode: 1006 }, unit: 0.5 }],
      [41_000, { kind: 'tick', unit: 0.5 }],
      [41_000, { kind: 'admitted', token: T1, resuming: true }],
      [41_100, { kind: 'ended', gen: 2, failure: { stage: 'upgrade', status: 429, retryAfterMs: 7000 }, unit: 0.5 }],
      [48_100, { kind: 'tick', unit: 0.5 }],
      [48_100, { kind: 'admitted', token: T1, resuming: true }],
      [48_200, { kind: 'opened', gen: 3 }],
      [48_210, { kind: 'event', gen: 3 }],
      [168_200, { kind: 'tick', unit: 0.5 }],
    ],
  ],
  'architect-ack-and-overlap': [
    'genesys-architect',
    [
      [0, { kind: 'start' }],
      [1, { kind: 'admitted', token: T1, resuming: false }],
      [50, { kind: 'opened', gen: 1 }],
      [80, { kind: 'control', gen: 1, control: 'subscribe-ack', unit: 0 }],
      [90, { kind: 'event', gen: 1 }],
      [2_880_000, { kind: 'token-staged', token: T2 }],
      [2_880_010, { kind: 'admitted', token: T2, resuming: true }],
      [2_880_060, { kind: 'opened', gen: 2 }],
      [2_880_090, { kind: 'control', gen: 2, control: 'reconnect-ack', unit: 0 }],
      [2_880_090, { kind: 'tick', unit: 0 }],
      [2_880_100, { kind: 'ended', gen: 1, failure: { stage: 'stream', closeCode: 1000 }, unit: 0 }],
      [2_880_200, { kind: 'stop', reason: 'shutdown' }],
      [2_880_250, { kind: 'ended', gen: 2, failure: { stage: 'stream', closeCode: 1000 }, unit: 0 }],
    ],
  ],
  'streaming-refresh-unanswered': [
    'genesys-analytics-streaming',
    [
      [0, { kind: 'start' }],
      [1, { kind: 'admitted', token: { id: 't1', expiresAtMs: 60_000 }, resuming: false }],
      [50, { kind: 'opened', gen: 1 }],
      [14_000, { kind: 'heard', gen: 1, what: 'frame' }],
      [14_500, { kind: 'token-staged', token: T2 }],
      [15_050, { kind: 'tick', unit: 0 }],
      [15_060, { kind: 'pong', gen: 1, payload: 'hb-15050' }],
      [19_500, { kind: 'tick', unit: 0 }],
      [30_050, { kind: 'tick', unit: 0 }],
      [30_060, { kind: 'pong', gen: 1, payload: 'hb-30050' }],
      [45_050, { kind: 'tick', unit: 0 }],
      [45_060, { kind: 'pong', gen: 1, payload: 'hb-45050' }],
      [49_500, { kind: 'tick', unit: 0 }],
      [50_050, { kind: 'tick', unit: 0 }],
    ],
  ],
};

function render(dialect: Dialect, script: Script): string {
  const policy = policyOf(dialect);
  let state: SessionState = idleSession;
  const lines = [`# ${dialect}`];
  for (const [nowMs, input] of script) {
    const step = stepSession(policy, state, input, nowMs);
    state = step.state;
    const { kind, ...facts } = input;
    lines.push(`${String(nowMs).padStart(8)}  ${kind} ${JSON.stringify(facts)}`);
    for (const { kind: effect, ...more } of step.effects) lines.push(`          -> ${effect} ${JSON.stringify(more)}`);
    lines.push(
      `          = ${state.goal}/${state.phase.kind}, next look ${String(sessionDeadline(policy, state) ?? 'never')}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

describe('golden traces', () => {
  for (const [name, [dialect, script]] of Object.entries(SCRIPTS)) {
    it(name, () => {
      const file = fileURLToPath(new URL(`${name}.txt`, import.meta.url));
      const trace = render(dialect, script);
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, trace);
      expect(trace).to.equal(readFileSync(file, 'utf8'));
    });
  }
});
