import { COMMON_CLOSE_CODES, COMMON_STATUSES } from '../../src/core/session/classify-failure.ts';
import { idleSession, stepSession } from '../../src/core/session/session.ts';
import type { SessionEffect, SessionInput, SessionPolicy, SessionState } from '../../src/core/session/session-model.ts';

export const BACKOFF = { baseMs: 1000, multiplier: 2, maxMs: 60_000, jitterLow: 1, jitterHigh: 1 };
export const policy: SessionPolicy = {
  dialTimeoutMs: 10_000,
  closeTimeoutMs: 1000,
  clientFrames: 'allowed',
  hello: undefined,
  liveness: { ping: { everyMs: 12_000, timeoutMs: 2000, maxMissed: 1 }, latency: { samples: 20, slowMs: 200 } },
  backoff: BACKOFF,
  extendedBackoff: { ...BACKOFF, baseMs: 2000, maxMs: 120_000 },
  maxAttempts: 0,
  maxWindowMs: undefined,
  onExhausted: 'breaker',
  stableMs: 60_000,
  rotation: 'overlap',
  inStream: { ackTimeoutMs: 5000, retryMs: 30_000, fallBackBeforeExpiryMs: 10_000 },
  overlapMs: 1000,
  emptyBatchLimit: 3,
  closeDeadWith1001: false,
  tables: { closeCodes: COMMON_CLOSE_CODES, statuses: COMMON_STATUSES },
};
export const T1 = { id: 't1', expiresAtMs: 3_600_000 };
export const T2 = { id: 't2', expiresAtMs: 7_200_000 };

/** Feeds inputs at instants and collects the effects' kinds. */
export class Trace {
  state: SessionState = idleSession;
  readonly policy: SessionPolicy;
  last: readonly SessionEffect[] = [];
  constructor(more: Partial<SessionPolicy> = {}) {
    this.policy = { ...policy, ...more };
  }
  at(nowMs: number, input: SessionInput): readonly string[] {
    const step = stepSession(this.policy, this.state, input, nowMs);
    this.state = step.state;
    this.last = step.effects;
    return step.effects.map((effect) => effect.kind);
  }
  effect<K extends SessionEffect['kind']>(kind: K): Extract<SessionEffect, { kind: K }> {
    return this.last.find((effect): effect is Extract<SessionEffect, { kind: K }> => effect.kind === kind)!;
  }
  /** Straight to an open link. */
  open(nowMs = 0): this {
    this.at(nowMs, { kind: 'start' });
    this.at(nowMs, { kind: 'admitted', token: T1, resuming: false });
    this.at(nowMs + 50, { kind: 'opened', gen: this.state.gen });
    return this;
  }
}

export const close = (gen: number, closeCode: number): SessionInput => ({
  kind: 'ended',
  gen,
  failure: { stage: 'stream', closeCode },
  unit: 0.5,
});
export const refused = (gen: number, status: number, retryAfterMs?: number): SessionInput => ({
  kind: 'ended',
  gen,
  failure: { stage: 'upgrade', status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  unit: 0.5,
});
