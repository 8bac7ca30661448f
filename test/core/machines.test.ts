import { expect } from 'chai';
import fc from 'fast-check';
import {
  grantDials,
  queueDial,
  pauseDials,
  emptyDialQueue,
  reportDial,
  type DialPolicy,
  type DialQueue,
} from '../../src/core/dialing/dial-queue.ts';
import { backoffDelay, salted, type BackoffPolicy } from '../../src/core/dialing/backoff.ts';
import {
  breakerAllows,
  breakerRecorded,
  breakerShown,
  breakerStarted,
  closedBreaker,
  tripBreaker,
  type BreakerPolicy,
  type CircuitBreaker,
} from '../../src/core/dialing/circuit-breaker.ts';
import { gateAsk, gateDone, openGate, type RateGatePolicy } from '../../src/core/dialing/rate-gate.ts';
import {
  livenessDeadline,
  openedLiveness,
  stepLiveness,
  type LivenessPolicy,
} from '../../src/core/session/liveness.ts';

describe('backoffDelay', () => {
  const policies: Readonly<Record<string, BackoffPolicy>> = {
    'S0 text': { baseMs: 1000, multiplier: 2, maxMs: 60_000, jitterLow: 0.5, jitterHigh: 1.5 },
    'S0 extended': { baseMs: 2000, multiplier: 2, maxMs: 120_000, jitterLow: 0.5, jitterHigh: 1.5 },
    S1: { baseMs: 1000, multiplier: 2, maxMs: 30_000, jitterLow: 1, jitterHigh: 1.4 },
    S2: { baseMs: 1000, multiplier: 2, maxMs: 30_000, jitterLow: 0.5, jitterHigh: 1.5 },
    S3: { baseMs: 1000, multiplier: 2, maxMs: 30_000, jitterLow: 1, jitterHigh: 1.5 },
  };
  // platforms 4.6, computed ranges of attempt 0 and of attempt 9.
  const ranges: Readonly<Record<string, readonly [number, number, number, number]>> = {
    'S0 text': [500, 1500, 30_000, 90_000],
    'S0 extended': [1000, 3000, 60_000, 180_000],
    S1: [1000, 1400, 30_000, 42_000],
    S2: [500, 1500, 15_000, 45_000],
    S3: [1000, 1500, 30_000, 45_000],
  };
  for (const [name, policy] of Object.entries(policies)) {
    it(`gives the ranges of ${name} for attempts 0 and 9`, () => {
      const [low0, high0, low9, high9] = ranges[name] ?? [0, 0, 0, 0];
      expect(backoffDelay(policy, 0, 0)).to.equal(low0);
      expect(backoffDelay(policy, 0, 0.9999999)).to.be.within(high0 - 1, high0);
      expect(backoffDelay(policy, 9, 0)).to.equal(low9);
      expect(backoffDelay(policy, 9, 0.9999999)).to.be.within(high9 - 1, high9);
    });
  }

  it('keeps jitter at the cap, is finite for any attempt, and never shrinks on average', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e9 }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (attempt, unit) => {
          const policy = policies['S0 text'] as BackoffPolicy;
          const delay = backoffDelay(policy, attempt, unit);
          expect(delay).to.be.within(500, 90_000);
          expect(backoffDelay(policy, attempt + 1, unit)).to.be.at.least(delay);
          if (attempt > 10) expect(backoffDelay(policy, attempt, 0)).to.not.equal(backoffDelay(policy, attempt, 0.9));
        },
      ),
    );
  });

  it('gives two replicas with one seed different delays by their salt', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999999, noNaN: true }), (unit) => {
        expect(salted(unit, 0.1)).to.not.equal(salted(unit, 0.6));
        expect(salted(unit, 0.6)).to.be.within(0, 1);
      }),
    );
  });
});

describe('the circuit breaker', () => {
  const policy: BreakerPolicy = { failureRatePercent: 80, windowMs: 60_000, minSamples: 5, openMs: 300_000 };
  it('is never opened by a success, even one that completes the samples', () => {
    const few: BreakerPolicy = { failureRatePercent: 50, windowMs: 3000, minSamples: 3, openMs: 6000 };
    let state: CircuitBreaker = closedBreaker;
    for (const ok of [false, false, true]) state = breakerRecorded(few, state, ok, 1000);
    expect(state.kind).to.equal('closed');
    expect(breakerShown(tripBreaker(few, 0), 5999)).to.equal('open');
    expect(breakerShown(tripBreaker(few, 0), 6000), 'its time is over').to.equal('closed');
  });

  const fail = (state: CircuitBreaker, nowMs: number): CircuitBreaker => breakerRecorded(policy, state, false, nowMs);

  it('opens above 80 % failures of at least five attempts, for five minutes, then lets one probe through', () => {
    let state: CircuitBreaker = closedBreaker;
    for (let n = 0; n < 4; n += 1) state = fail(state, n * 1000);
    expect(state.kind).to.equal('closed');
    state = fail(state, 4000);
    expect(state.kind).to.equal('open');
    expect(breakerAllows(state, 4001)).to.deep.equal({ allowed: false, waitUntilMs: 304_000 });
    expect(breakerAllows(state, 304_000).allowed).to.equal(true);
    const probing = breakerStarted(state);
    expect(breakerAllows(probing, 304_001).allowed).to.equal(false);
    expect(breakerRecorded(policy, probing, true, 304_002).kind).to.equal('closed');
    expect(breakerRecorded(policy, probing, false, 304_002)).to.deep.equal({ kind: 'open', untilMs: 604_002 });
  });

  it('stays closed at exactly 80 %', () => {
    let state: CircuitBreaker = closedBreaker;
    for (const ok of [true, false, false, false, false]) state = breakerRecorded(policy, state, ok, 1000);
    expect(state.kind).to.equal('closed');
  });

  it('forgets by elapsed time: failures of an hour ago do not count', () => {
    let state: CircuitBreaker = closedBreaker;
    for (let n = 0; n < 4; n += 1) state = fail(state, n);
    state = fail(state, 3_600_000);
    expect(state.kind).to.equal('closed');
  });

  it('agrees with a plain count over the window', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.boolean()), { maxLength: 60 }), (steps) => {
        let state: CircuitBreaker = closedBreaker;
        let now = 0;
        const seen: { readonly at: number; readonly ok: boolean }[] = [];
        for (const [delta, ok] of steps) {
          now += delta;
          if (state.kind !== 'closed') return;
          state = breakerRecorded(policy, state, ok, now);
          seen.push({ at: now, ok });
          // Buckets are five seconds wide: anything surely inside counts, anything surely outside does not.
          const inside = seen.filter((one) => one.at > now - 55_000);
          if (inside.length >= 5 && inside.length === seen.length) {
            const failed = inside.filter((one) => !one.ok).length;
            expect(state.kind).to.equal(failed * 100 > inside.length * 80 ? 'open' : 'closed');
          }
        }
      }),
    );
  });
});

describe('the gate', () => {
  it(
    'never lets more than capacity + w / refill attempts through in any window, nor more than `concurrent` at ' +
      'once',
    () => {
      fc.assert(
        fc.property(
          fc.record({
            capacity: fc.integer({ min: 1, max: 6 }),
            refillEveryMs: fc.integer({ min: 1, max: 5000 }),
            concurrent: fc.integer({ min: 1, max: 4 }),
          }),
          fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.boolean()), { maxLength: 200 }),
          (policy: RateGatePolicy, steps) => {
            let state = openGate;
            let now = 0;
            const granted: number[] = [];
            for (const [delta, finish] of steps) {
              now += delta;
              if (finish) state = gateDone(state);
              const asked = gateAsk(policy, state, now);
              if (!asked.granted) {
                if (asked.waitUntilMs !== undefined)
                  expect(
                    gateAsk(policy, { ...state, inFlight: 0 }, asked.waitUntilMs).granted,
                    'the stated wait is enough',
                  ).to.equal(true);
                continue;
              }
              state = asked.state;
              granted.push(now);
              expect(state.inFlight).to.be.at.most(policy.concurrent);
            }
            for (let from = 0; from < granted.length; from += 1) {
              for (let to = from; to < granted.length; to += 1) {
                const window = (granted[to] ?? 0) - (granted[from] ?? 0);
                expect(to - from + 1).to.be.at.most(policy.capacity + Math.floor(window / policy.refillEveryMs) + 1e-9);
              }
            }
          },
        ),
      );
    },
  );

  it('a full bucket gives its capacity at once, then one permit a refill', () => {
    const policy: RateGatePolicy = { capacity: 3, refillEveryMs: 1000, concurrent: 10 };
    let state = openGate;
    const grantedAt = (nowMs: number): boolean => {
      const asked = gateAsk(policy, state, nowMs);
      if (asked.granted) state = asked.state;
      return asked.granted;
    };
    expect([0, 0, 0, 0].map(grantedAt)).to.deep.equal([true, true, true, false]);
    expect([999, 1000, 1000, 2000].map(grantedAt)).to.deep.equal([false, true, false, true]);
    expect([6000, 6000, 6000, 6000].map(grantedAt)).to.deep.equal([true, true, true, false]);
  });
});

describe('admission', () => {
  const policy: DialPolicy = {
    gate: { capacity: 3, refillEveryMs: 6000, concurrent: 1 },
    breaker: { failureRatePercent: 80, windowMs: 60_000, minSamples: 5, openMs: 300_000 },
    maxStreams: 50,
  };
  const ask = (state: DialQueue, stream: string, priority: 0 | 1 | 2, at: number): DialQueue =>
    queueDial(state, { stream, priority, askedAtMs: at });

  it('grants the more important first, then the longer waiting, one at a time', () => {
    let state = ask(ask(ask(emptyDialQueue, 'low', 2, 0), 'first', 1, 1), 'second', 1, 2);
    const order: string[] = [];
    for (let now = 10; order.length < 3 && now < 100_000; now += 1000) {
      const answer = grantDials(policy, state, now);
      order.push(...answer.granted);
      state = answer.granted.length > 0 ? reportDial(policy, answer.state, 'ok', now) : answer.state;
    }
    expect(order).to.deep.equal(['first', 'second', 'low']);
  });

  it('keeps everybody waiting until Retry-After is over', () => {
    const state = pauseDials(ask(emptyDialQueue, 'a', 1, 0), 7000, 'rate_limited');
    expect(grantDials(policy, state, 6999)).to.deep.include({ granted: [], lookAgainAtMs: 7000 });
    expect(grantDials(policy, state, 7000).granted).to.deep.equal(['a']);
  });

  it('of two holds the longer one stands', () => {
    const long = pauseDials(ask(emptyDialQueue, 'a', 1, 0), 7000, 'rate_limited');
    expect(grantDials(policy, pauseDials(long, 1000, 'rate_limited'), 5000).granted).to.deep.equal([]);
    expect(grantDials(policy, pauseDials(long, 9000, 'rate_limited'), 7000).lookAgainAtMs).to.equal(9000);
  });

  it('50 streams dropped at once: every window of attempts stays under the gate', () => {
    let state = emptyDialQueue;
    for (let n = 0; n < 50; n += 1) state = ask(state, `s${String(n)}`, 1, 0);
    const at: number[] = [];
    let now = 0;
    while (at.length < 50) {
      const answer = grantDials(policy, state, now);
      state = answer.state;
      for (const _ of answer.granted) {
        at.push(now);
        state = reportDial(policy, state, 'ok', now);
      }
      if (answer.granted.length === 0) now = Math.max(now + 1, answer.lookAgainAtMs ?? now + 1);
    }
    for (const w of [1000, 10_000, 60_000, 300_000])
      for (const from of at)
        expect(at.filter((t) => t >= from && t <= from + w).length).to.be.at.most(3 + Math.floor(w / 6000));
  });

  it('a probe whose end says nothing about the network makes room for another', () => {
    const state: DialQueue = { ...ask(emptyDialQueue, 'a', 1, 0), breaker: { kind: 'open', untilMs: 100 } };
    const granted = grantDials(policy, state, 100);
    expect(granted.granted).to.deep.equal(['a']);
    const after = reportDial(policy, granted.state, 'neutral', 101);
    expect(grantDials(policy, ask(after, 'b', 1, 101), 7000).granted).to.deep.equal(['b']);
  });
});

describe('liveness', () => {
  const policy: LivenessPolicy = {
    ping: { everyMs: 15_000, timeoutMs: 10_000, maxMissed: 2 },
    watchdog: { of: 'any', silenceMs: 35_000 },
    latency: { samples: 3, slowMs: 200 },
  };

  it('pings, takes the pong that answers it, and ignores others', () => {
    let state = openedLiveness(policy, 0);
    const ping = stepLiveness(policy, state, { kind: 'tick' }, 15_000);
    expect(ping.effects).to.deep.equal([{ kind: 'ping', payload: 'hb-15000' }]);
    state = stepLiveness(policy, ping.state, { kind: 'pong', payload: 'hb-1' }, 15_010).state;
    expect(state.outstanding?.payload).to.equal('hb-15000');
    state = stepLiveness(policy, state, { kind: 'pong', payload: 'hb-15000' }, 15_020).state;
    expect(state).to.deep.include({ outstanding: undefined, verdict: 'HEALTHY', latenciesMs: [20] });
  });

  it('is DEGRADED after the first missed pong and DEAD after the second, within 35 s of the first ping', () => {
    let state = stepLiveness(policy, openedLiveness(policy, 0), { kind: 'tick' }, 15_000).state;
    const missed = stepLiveness(policy, state, { kind: 'tick' }, 25_000);
    expect(missed.effects).to.deep.equal([{ kind: 'degraded', reason: 'pong_missed' }]);
    state = stepLiveness(policy, missed.state, { kind: 'tick' }, 30_000).state;
    const dead = stepLiveness(policy, state, { kind: 'tick' }, 40_000);
    expect(dead.effects).to.deep.equal([{ kind: 'dead', reason: dead.state.missed >= 2 ? 'pong_timeout' : 'silence' }]);
  });

  it('warns when round trips stay slow and recovers', () => {
    let state = openedLiveness(policy, 0);
    const effects: string[] = [];
    let now = 0;
    for (const rtt of [300, 300, 300, 1, 1, 1]) {
      now += 15_000;
      const ping = stepLiveness(policy, state, { kind: 'tick' }, now);
      const payload = ping.effects[0]?.kind === 'ping' ? ping.effects[0].payload : '';
      const pong = stepLiveness(policy, ping.state, { kind: 'pong', payload }, now + rtt);
      effects.push(...pong.effects.map((effect) => effect.kind));
      state = pong.state;
    }
    expect(effects).to.deep.equal(['degraded', 'recovered']);
  });

  it('S0: no server ping for 120 s is death, though data may flow', () => {
    const s0: LivenessPolicy = { watchdog: { of: 'ping', silenceMs: 120_000 }, latency: policy.latency };
    let state = openedLiveness(s0, 0);
    state = stepLiveness(s0, state, { kind: 'server-ping' }, 50_000).state;
    state = stepLiveness(s0, state, { kind: 'frame' }, 169_000).state;
    expect(stepLiveness(s0, state, { kind: 'tick' }, 169_999).effects).to.deep.equal([]);
    expect(stepLiveness(s0, state, { kind: 'tick' }, 170_000).effects).to.deep.equal([
      { kind: 'dead', reason: 'silence' },
    ]);
  });

  it('never loops on an overdue deadline, and a tick before the deadline does nothing', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.constantFrom('frame', 'tick', 'pong', 'server-ping')),
          { maxLength: 60 },
        ),
        (steps) => {
          let state = openedLiveness(policy, 0);
          let now = 0;
          for (const [delta, kind] of steps) {
            now += delta;
            const deadline = livenessDeadline(policy, state);
            const step = stepLiveness(
              policy,
              state,
              kind === 'pong' ? { kind, payload: state.outstanding?.payload ?? '' } : { kind: kind as 'tick' },
              now,
            );
            if (kind === 'tick' && deadline !== undefined && now < deadline) expect(step.effects).to.deep.equal([]);
            state = step.state;
            // Overdue work is done within a few looks at the same instant: no hot loop.
            let settled = state;
            for (let n = 0; n < 4; n += 1) settled = stepLiveness(policy, settled, { kind: 'tick' }, now).state;
            expect(livenessDeadline(policy, settled) ?? Infinity).to.be.greaterThan(now);
          }
        },
      ),
    );
  });
});
