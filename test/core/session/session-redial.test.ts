import { expect } from 'chai';
import fc from 'fast-check';
import type { SessionInput } from '../../../src/core/session/session-model.ts';
import { BACKOFF, close, policy, refused, T1, T2, Trace } from '../../support/session-trace.ts';

// Found and mended: C3.
describe('the first redial of a lost connection', () => {
  /** Loses the link, and comes back on a new one. @returns how long it waited, in ms. */
  const lose = (trace: Trace, nowMs: number, failure: SessionInput = close(trace.state.gen, 1006)): number => {
    trace.at(nowMs, failure);
    const { untilMs } = trace.state.phase as { untilMs: number };
    trace.at(untilMs, { kind: 'tick', unit: 0.5 });
    trace.at(untilMs, { kind: 'admitted', token: T1, resuming: false });
    trace.at(untilMs, { kind: 'opened', gen: trace.state.gen });
    trace.at(untilMs, { kind: 'event', gen: trace.state.gen });
    return untilMs - nowMs;
  };
  const quiet = { liveness: { latency: policy.liveness.latency } };
  const lost = (gen: number, unit: number): SessionInput => ({ ...close(gen, 1006), unit }) as SessionInput;

  it('goes at once, with a jitter of 0 to 100 ms', () => {
    expect(lose(new Trace().open(), 100, lost(1, 0))).to.equal(0);
    expect(lose(new Trace().open(), 100, lost(1, 0.999))).to.equal(99);
  });

  it('never comes later than the backoff would have let it', () => {
    const backoff = { ...BACKOFF, baseMs: 20 };
    expect(lose(new Trace({ backoff }).open(), 100, lost(1, 0.999))).to.equal(20);
  });

  it('waits if a redial happened in the last 60 s, and the link had not been open for a minute', () => {
    const trace = new Trace(quiet).open();
    expect(lose(trace, 1000)).to.equal(50);
    expect(lose(trace, 30_000), 'the second loss within a minute').to.equal(1000);
    expect(lose(trace, 90_999), '59,999 ms after the redial').to.equal(1000);
    expect(lose(trace, 151_999), 'a minute after the redial').to.equal(50);
  });

  it('goes at once again after a link that was open for `stableMs`, however short that is', () => {
    const trace = new Trace({ ...quiet, stableMs: 5000 }).open();
    expect(lose(trace, 1000)).to.equal(50);
    expect(lose(trace, 6049)).to.equal(1000);
    expect(lose(trace, 12_049)).to.equal(50);
  });

  it('does so once: what fails afterwards climbs the backoff from its foot', () => {
    const trace = new Trace().open();
    trace.at(1000, close(1, 1006));
    let now = 1050;
    for (const waitMs of [1000, 2000, 4000]) {
      trace.at(now, { kind: 'tick', unit: 0.5 });
      trace.at(now, { kind: 'admitted', token: T1, resuming: false });
      trace.at(now, { kind: 'ended', gen: trace.state.gen, failure: { stage: 'dial' }, unit: 0.5 });
      expect(trace.effect('attempt-failed').retryInMs).to.equal(waitMs);
      now += waitMs;
    }
    expect(trace.state.attempt, 'each of them counts').to.equal(4);
  });

  it('waits at the start: a dial that failed is not a lost connection', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    trace.at(10, { kind: 'ended', gen: 1, failure: { stage: 'dial' }, unit: 0 });
    expect(trace.effect('attempt-failed').retryInMs).to.equal(1000);
  });

  it('waits where the subscription was not acknowledged: such a link was never open', () => {
    for (const end of [close(1, 1006), { kind: 'tick' as const, unit: 0 }]) {
      const trace = new Trace({ hello: { ackTimeoutMs: 5000, reconnectOnly: false } }).open();
      trace.at(5050, end);
      expect(trace.effect('attempt-failed').retryInMs).to.equal(1000);
    }
  });

  it('waits after a dial of the overlap was refused, even where the old link lives long', () => {
    for (const refusal of [refused(2, 429), refused(2, 503), refused(2, 401)]) {
      const trace = new Trace(quiet).open();
      trace.at(100_000, { kind: 'token-staged', token: T2 });
      trace.at(100_000, { kind: 'admitted', token: T2, resuming: true });
      trace.at(100_100, refusal);
      trace.at(100_200, close(1, 1006));
      expect(trace.effect('attempt-failed').retryInMs).to.equal(1000);
    }
  });

  it('waits after 1013, a rate limit in words, 1002, empty batches and Retry-After', () => {
    const waited = (...inputs: readonly SessionInput[]): number => {
      const trace = new Trace().open();
      for (const input of inputs) trace.at(100, input);
      return trace.effect('attempt-failed').retryInMs;
    };
    const batch: SessionInput = { kind: 'empty-batch', gen: 1 };
    expect(waited(close(1, 1013))).to.equal(2000);
    expect(waited(close(1, 4429))).to.equal(2000);
    expect(waited({ kind: 'control', gen: 1, control: 'rate-limited', unit: 0 })).to.equal(2000);
    expect(waited(close(1, 1002))).to.equal(1000);
    expect(waited(batch, batch, batch)).to.equal(1000);
    for (const retryAfterMs of [10, 7000]) {
      const failure = { stage: 'stream' as const, closeCode: 1011, retryAfterMs };
      expect(waited({ kind: 'ended', gen: 1, failure, unit: 0 })).to.equal(Math.max(1000, retryAfterMs));
    }
  });

  it('has its place in the count of an exhausted episode, after which the backoff begins at its foot', () => {
    const trace = new Trace({ maxAttempts: 2 }).open();
    const waits: number[] = [];
    let now = 1000;
    trace.at(now, close(1, 1006));
    for (let n = 0; n < 3; n += 1) {
      waits.push(trace.effect('attempt-failed').retryInMs);
      now += 5000;
      trace.at(now, { kind: 'tick', unit: 0.5 });
      trace.at(now, { kind: 'admitted', token: T1, resuming: false });
      const kinds = trace.at(now, { kind: 'ended', gen: trace.state.gen, failure: { stage: 'dial' }, unit: 0.5 });
      expect(kinds.includes('trip-breaker'), String(n)).to.equal(n % 2 === 0);
    }
    expect(waits).to.deep.equal([50, 1000, 1000]);
  });

  it('for any history: never twice within a minute unless the link was stable, and only after an open link', () => {
    const what = fc.constantFrom('open', 'event', 'lose', 'refuse', 'throttle', 'tick', 'stage', 'gap', 'admit');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), what), { maxLength: 120 }), (steps) => {
        const trace = new Trace(quiet);
        trace.at(0, { kind: 'start' });
        let now = 0;
        let asked = true;
        let redialedAtMs = -Infinity;
        for (const [delta, kind] of steps) {
          now += delta;
          if (kind === 'admit' && !asked) continue;
          const { gen, main, phase, totals } = trace.state;
          if (kind === 'admit' && phase.kind === 'asking' && totals.attempts > 0) redialedAtMs = now;
          const inputs: Readonly<Record<typeof kind, SessionInput>> = {
            open: { kind: 'opened', gen },
            event: { kind: 'event', gen },
            lose: close(main?.gen ?? 0, 1006),
            refuse: refused(gen, 503),
            throttle: refused(gen, 429),
            tick: { kind: 'tick', unit: 0.5 },
            stage: { kind: 'token-staged', token: T2 },
            gap: { kind: 'redial', purpose: 'gap' },
            admit: { kind: 'admitted', token: T2, resuming: true },
          };
          for (const effect of trace.at(now, inputs[kind])) {
            if (effect === 'ask') asked = true;
            if (effect === 'cancel-ask' || effect === 'dial') asked = false;
          }
          const failed = trace.effect('attempt-failed') as { readonly retryInMs: number } | undefined;
          if (failed === undefined || failed.retryInMs > 100) continue;
          expect(main?.phase, 'the link that is gone').to.equal('open');
          const openedAtMs = main?.openedAtMs ?? now;
          expect(now - redialedAtMs >= 60_000 || now - openedAtMs >= 60_000, `at ${String(now)}`).to.equal(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('asks the gate and the breaker like every other dial: it never dials by itself', () => {
    const trace = new Trace().open();
    expect(trace.at(100, lost(1, 0))).to.not.include('dial');
    expect(trace.at(100, { kind: 'tick', unit: 0 })).to.deep.equal(['ask']);
    expect(trace.at(9000, { kind: 'tick', unit: 0 }), 'nobody lets it').to.deep.equal([]);
    expect(trace.at(9001, { kind: 'admitted', token: T1, resuming: false })).to.deep.equal(['dial']);
  });

  it(
    'after a death that our own watch noticed it draws its jitter too: links that die together do not come ' +
      'back together',
    () => {
      const silent = {
        liveness: { watchdog: { of: 'ping' as const, silenceMs: 1000 }, latency: policy.liveness.latency },
      };
      const waits = [0.1, 0.9].map((unit) => {
        const trace = new Trace(silent).open();
        trace.at(1050, { kind: 'tick', unit });
        return trace.effect('attempt-failed').retryInMs;
      });
      expect(waits).to.deep.equal([10, 90]);
    },
  );
});
