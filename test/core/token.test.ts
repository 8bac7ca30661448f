import { expect } from 'chai';
import fc from 'fast-check';
import {
  currentToken,
  noToken,
  rotateAtMs,
  stepToken,
  tokenDeadline,
  tokenServes,
  type TokenEffect,
  type TokenInput,
  type TokenPolicy,
  type TokenState,
} from '../../src/core/token.ts';

const policy: TokenPolicy = {
  rotateAtPercent: 80,
  leadMs: 120_000,
  minRemainingAtDialMs: 60_000,
  minRemainingAtRedialMs: 300_000,
  validate: false,
  retryInvalidMs: 30_000,
  minIntervalMs: 30_000,
  backoff: { baseMs: 5000, multiplier: 2, maxMs: 300_000, jitterLow: 1, jitterHigh: 1 },
};
const token = (id: string, askedAtMs: number, lifeMs: number) => ({ id, askedAtMs, expiresAtMs: askedAtMs + lifeMs });

class Trace {
  state: TokenState = noToken;
  readonly policy: TokenPolicy;
  last: readonly TokenEffect[] = [];
  constructor(more: Partial<TokenPolicy> = {}) {
    this.policy = { ...policy, ...more };
  }
  at(nowMs: number, input: TokenInput): readonly string[] {
    const step = stepToken(this.policy, this.state, input, nowMs);
    this.state = step.state;
    this.last = step.effects;
    return step.effects.map((effect) => effect.kind);
  }
}

describe('token rotation times', () => {
  it('T4, T5, C4: the earlier of 80 % of life and 120 s before expiry, never before half the life', () => {
    expect(rotateAtMs(policy, token('t', 0, 3_600_000))).to.equal(2_880_000);
    expect(rotateAtMs(policy, token('t', 0, 500_000))).to.equal(380_000);
    expect(rotateAtMs(policy, token('t', 0, 130_000))).to.equal(65_000);
  });
  it('T1: 60 s at a dial, 300 s at a redial, never more than 20 % of a short life', () => {
    expect(tokenServes(token('t', 0, 3_600_000), 60_000, 3_540_000)).to.equal(false);
    expect(tokenServes(token('t', 0, 3_600_000), 60_000, 3_539_999)).to.equal(true);
    expect(tokenServes(token('t', 0, 300_000), 300_000, 0), 'a 300 s token does not loop').to.equal(true);
  });
});

describe('stepToken', () => {
  it('is single flight: a second need waits for the first answer', () => {
    const trace = new Trace();
    expect(trace.at(0, { kind: 'need', minRemainingMs: 60_000 })).to.deep.equal(['fetch']);
    expect(trace.at(1, { kind: 'need', minRemainingMs: 60_000 })).to.deep.equal([]);
    expect(trace.at(2, { kind: 'fetched', gen: 1, token: token('a', 0, 3_600_000) })).to.deep.equal(['staged']);
    expect(trace.at(3, { kind: 'fetched', gen: 1, token: token('b', 0, 3_600_000) }), 'a late answer').to.deep.equal(
      [],
    );
    expect(currentToken(trace.state)?.id).to.equal('a');
  });
  it('keeps two tokens until every stream has taken the new one', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'need', minRemainingMs: 0 });
    trace.at(1, { kind: 'fetched', gen: 1, token: token('a', 0, 3_600_000) });
    expect(tokenDeadline(policy, trace.state)).to.equal(2_880_000);
    expect(trace.at(2_880_000, { kind: 'tick' })).to.deep.equal(['fetch']);
    trace.at(2_880_100, { kind: 'fetched', gen: 2, token: token('b', 2_880_000, 3_600_000) });
    expect([trace.state.active?.id, trace.state.staging?.id]).to.deep.equal(['a', 'b']);
    expect(trace.at(2_880_200, { kind: 'adopted', id: 'b' })).to.deep.equal(['retired', 'rotated']);
  });
  it('T8: validates before use; a token that is not valid is not used, and another is asked for after 30 s', () => {
    const trace = new Trace({ validate: true });
    trace.at(0, { kind: 'need', minRemainingMs: 0 });
    expect(trace.at(1, { kind: 'fetched', gen: 1, token: token('a', 0, 3_600_000) })).to.deep.equal(['validate']);
    expect(trace.at(2, { kind: 'validated', gen: 1, ok: false })).to.deep.equal([
      'mismatch',
      'retired',
      'refresh-failed',
    ]);
    expect(currentToken(trace.state)).to.equal(undefined);
    expect(tokenDeadline(trace.policy, trace.state)).to.equal(30_002);
    expect(trace.at(30_002, { kind: 'tick' })).to.deep.equal(['fetch']);
  });
  it('a rejected token is never used again, and the next request keeps its distance', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'need', minRemainingMs: 0 });
    trace.at(1, { kind: 'fetched', gen: 1, token: token('a', 0, 3_600_000) });
    expect(trace.at(1000, { kind: 'rejected', id: 'a' })).to.deep.equal(['retired']);
    expect(currentToken(trace.state)).to.equal(undefined);
    expect(tokenDeadline(policy, trace.state)).to.equal(30_000);
    expect(trace.at(40_000, { kind: 'rejected', id: 'zzz' }), "an older one is nobody's concern").to.deep.equal([]);
  });
  it('backs off on failures by its own counter, obeys Retry-After, and is woken by a new secret', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'need', minRemainingMs: 0 });
    trace.at(1, { kind: 'failed', gen: 1, failure: 'throttled', retryAfterMs: 60_000, unit: 0 });
    expect(tokenDeadline(policy, trace.state)).to.equal(60_001);
    expect(trace.at(70, { kind: 'secret-changed' })).to.deep.equal(['fetch']);
  });
  it('takes the answer to the request that is out, and none of an earlier one', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'need', minRemainingMs: 0 });
    trace.at(10, { kind: 'failed', gen: 1, failure: 'unreachable', unit: 0 });
    trace.at(30_000, { kind: 'tick' });
    expect(trace.state.work).to.deep.equal({ kind: 'fetching', gen: 2 });
    expect(trace.at(30_001, { kind: 'fetched', gen: 1, token: token('old', 0, 3_600_000) })).to.deep.equal([]);
    expect(trace.at(30_002, { kind: 'fetched', gen: 2, token: token('new', 30_000, 3_600_000) })).to.deep.equal([
      'staged',
    ]);
    expect(currentToken(trace.state)?.id).to.equal('new');
  });
  it('a token that ends makes room for the staged one', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'need', minRemainingMs: 0 });
    trace.at(1, { kind: 'fetched', gen: 1, token: token('a', 0, 3_600_000) });
    trace.at(2_880_000, { kind: 'tick' });
    trace.at(2_880_100, { kind: 'fetched', gen: 2, token: token('b', 2_880_000, 3_600_000) });
    expect(trace.at(3_599_999, { kind: 'tick' })).to.deep.equal([]);
    expect(trace.at(3_600_000, { kind: 'tick' })).to.deep.equal(['retired', 'rotated']);
    expect([trace.state.active?.id, trace.state.staging]).to.deep.equal(['b', undefined]);
  });
  it('for any history: at most one request out, requests at least minInterval apart, no expired token served', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.integer({ min: 0, max: 60_000 }),
            fc.constantFrom('need', 'tick', 'fetched', 'failed', 'rejected', 'adopted', 'valid', 'invalid'),
            fc.integer({ min: 500, max: 600_000 }),
          ),
          { maxLength: 80 },
        ),
        fc.boolean(),
        (steps, validate) => {
          const trace = new Trace({ validate });
          let now = 0;
          let out = 0;
          let lastFetch = -Infinity;
          let serial = 0;
          for (const [delta, kind, life] of steps) {
            now += delta;
            const gen = trace.state.gen;
            const id = currentToken(trace.state)?.id ?? 'none';
            const before = trace.state.work.kind;
            serial += 1;
            const input: TokenInput =
              kind === 'need'
                ? { kind, minRemainingMs: 1000 }
                : kind === 'fetched'
                  ? { kind, gen, token: token(`t${String(serial)}`, now, life) }
                  : kind === 'failed'
                    ? { kind, gen, failure: 'unreachable', unit: 0.5 }
                    : kind === 'rejected' || kind === 'adopted'
                      ? { kind, id }
                      : kind === 'valid' || kind === 'invalid'
                        ? { kind: 'validated', gen, ok: kind === 'valid' }
                        : { kind: 'tick' };
            const effects = trace.at(now, input);
            const after: string = trace.state.work.kind;
            if (before === 'fetching' && after !== 'fetching') out -= 1;
            for (const effect of effects) {
              if (effect !== 'fetch') continue;
              out += 1;
              expect(now - lastFetch).to.be.at.least(30_000);
              lastFetch = now;
            }
            expect(out).to.be.within(0, 1);
            const current = currentToken(trace.state);
            if (current !== undefined && now >= current.expiresAtMs)
              expect(tokenServes(current, 0, now)).to.equal(false);
          }
        },
      ),
    );
  });
});

// Found and mended: A5
describe('credentials that the token endpoint refuses', () => {
  const refuse = (trace: Trace, nowMs: number, failure: 'invalid_credentials' | 'throttled'): void => {
    const { work } = trace.state;
    if (work.kind === 'fetching') trace.at(nowMs, { kind: 'failed', gen: work.gen, failure, unit: 0.5 });
  };

  it('count from the first refusal, whatever else fails, until a token is there or the files change', () => {
    const trace = new Trace({ minIntervalMs: 0 });
    trace.at(1000, { kind: 'need', minRemainingMs: 60_000 });
    refuse(trace, 1100, 'throttled');
    expect(trace.state.refusedSinceMs, 'throttled').to.equal(undefined);
    trace.at(10_000, { kind: 'tick' });
    refuse(trace, 10_100, 'invalid_credentials');
    trace.at(30_000, { kind: 'tick' });
    refuse(trace, 30_100, 'throttled');
    expect(trace.state.refusedSinceMs).to.equal(10_100);
    trace.at(30_200, { kind: 'secret-changed' });
    expect(trace.state.refusedSinceMs, 'another file').to.equal(undefined);
    refuse(trace, 30_300, 'invalid_credentials');
    trace.at(60_000, { kind: 'tick' });
    const { gen } = trace.state;
    trace.at(60_100, { kind: 'fetched', gen, token: token('t', 60_000, 3_600_000) });
    expect(trace.state.refusedSinceMs, 'a token').to.equal(undefined);
  });
});
