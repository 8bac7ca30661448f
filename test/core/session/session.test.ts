import { expect } from 'chai';
import fc from 'fast-check';
import { classifyFailure } from '../../../src/core/session/classify-failure.ts';
import { sessionDeadline, stepSession } from '../../../src/core/session/session.ts';
import type { SessionInput } from '../../../src/core/session/session-model.ts';
import { close, policy, refused, T1, T2, Trace } from '../../support/session-trace.ts';

describe('stepSession', () => {
  it('asks for admission, dials, and is ready when the socket opens', () => {
    const trace = new Trace();
    expect(trace.at(0, { kind: 'start' })).to.deep.equal(['ask']);
    expect(trace.at(5, { kind: 'admitted', token: T1, resuming: false })).to.deep.equal(['dial']);
    expect(trace.at(60, { kind: 'opened', gen: 1 })).to.deep.equal(['report', 'ready', 'token-adopted']);
    expect(trace.effect('ready').latencyMs).to.equal(55);
  });

  it('S1: reconnects after 1000 and 1001 from the server', () => {
    for (const code of [1000, 1001, 1006, 1011, 1012]) {
      const trace = new Trace().open();
      expect(trace.at(100, close(1, code)), String(code)).to.deep.equal(['interrupted', 'attempt-failed']);
      expect(trace.state.phase).to.deep.include({ kind: 'backoff', untilMs: 150 });
      expect(trace.at(150, { kind: 'tick', unit: 0 })).to.deep.equal(['ask']);
    }
  });

  it('S2: sets the retry counter back on an event, never on a handshake', () => {
    const trace = new Trace().open();
    let now = 100;
    for (const attempt of [0, 1, 2]) {
      trace.at(now, close(trace.state.gen, 1006));
      expect(trace.state.attempt).to.equal(attempt + 1);
      now = (trace.state.phase as { untilMs: number }).untilMs;
      trace.at(now, { kind: 'tick', unit: 0 });
      trace.at(now, { kind: 'admitted', token: T1, resuming: true });
      trace.at(now + 1, { kind: 'opened', gen: trace.state.gen });
      now += 10;
    }
    expect(trace.state.attempt).to.equal(3);
    trace.at(now, { kind: 'event', gen: trace.state.gen });
    expect(trace.state.attempt).to.equal(0);
  });

  it('counts a quiet, living link as recovered after a minute', () => {
    const trace = new Trace({ liveness: { latency: policy.liveness.latency } }).open();
    trace.at(100, close(1, 1006));
    trace.at(1100, { kind: 'tick', unit: 0 });
    trace.at(1100, { kind: 'admitted', token: T1, resuming: false });
    trace.at(1200, { kind: 'opened', gen: 2 });
    expect(trace.state.attempt).to.equal(1);
    expect(sessionDeadline(trace.policy, trace.state)).to.equal(61_200);
    trace.at(61_200, { kind: 'tick', unit: 0 });
    expect(trace.state.attempt).to.equal(0);
  });

  it('refreshes once after 401 and retries at once; a second 401 waits', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    expect(trace.at(10, refused(1, 401))).to.deep.equal(['report', 'token-rejected', 'attempt-failed', 'ask']);
    expect((trace.last[0] as { outcome: string }).outcome, 'not counted against the network').to.equal('neutral');
    trace.at(20, { kind: 'admitted', token: T2, resuming: false });
    expect(trace.at(30, refused(2, 401))).to.deep.equal(['report', 'token-rejected', 'attempt-failed']);
    expect(trace.state.phase).to.deep.include({ kind: 'backoff', untilMs: 2030 });
  });

  it('does not loop on 403: it waits for another token', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    expect(trace.at(10, refused(1, 403))).to.deep.equal(['report', 'halted']);
    expect(sessionDeadline(trace.policy, trace.state)).to.equal(undefined);
    expect(trace.at(99_999, { kind: 'tick', unit: 0 })).to.deep.equal([]);
    expect(trace.at(100_000, { kind: 'token-staged', token: T2 })).to.deep.equal(['ask']);
  });

  it('holds the whole client for Retry-After on 429 and uses the extended backoff', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    expect(trace.at(10, refused(1, 429, 7000))).to.deep.equal(['hold', 'report', 'attempt-failed']);
    expect(trace.effect('hold').forMs).to.equal(7000);
    expect(trace.state.phase).to.deep.include({ untilMs: 7010 });
  });

  it('S0: after 1002 reconnects once with client frames off, then halts', () => {
    const trace = new Trace({ hello: { ackTimeoutMs: undefined, reconnectOnly: false } });
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    expect(trace.at(1, { kind: 'opened', gen: 1 })).to.include('hello');
    trace.at(2, close(1, 1002));
    trace.at(1002, { kind: 'tick', unit: 0 });
    trace.at(1002, { kind: 'admitted', token: T1, resuming: false });
    expect(trace.at(1003, { kind: 'opened', gen: 2 }), 'no hello').to.deep.equal(['report', 'ready', 'token-adopted']);
    expect(trace.at(1004, close(2, 1002))).to.include('halted');
  });

  it('S1: a missing acknowledgement is a failed attempt and the socket is terminated', () => {
    const trace = new Trace({ hello: { ackTimeoutMs: 5000, reconnectOnly: false } });
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    trace.at(100, { kind: 'opened', gen: 1 });
    expect(trace.at(5100, { kind: 'tick', unit: 0 })).to.deep.equal(['terminate', 'report', 'attempt-failed']);
    expect(trace.effect('attempt-failed')).to.deep.include({ reason: 'ack_timeout', timeout: true });
  });

  it('gives a dial up after its timeout', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: T1, resuming: false });
    expect(sessionDeadline(trace.policy, trace.state)).to.equal(10_000);
    expect(trace.at(10_000, { kind: 'tick', unit: 0 })).to.deep.equal(['terminate', 'report', 'attempt-failed']);
  });

  it('rotates by overlap: the new link opens before the old one closes', () => {
    const trace = new Trace().open();
    expect(trace.at(1000, { kind: 'token-staged', token: T2 })).to.deep.equal(['ask']);
    expect(trace.at(1001, { kind: 'admitted', token: T2, resuming: true })).to.deep.equal(['dial']);
    expect(trace.at(1050, { kind: 'opened', gen: 2 })).to.deep.equal(['report', 'ready']);
    expect(trace.at(2049, { kind: 'tick', unit: 0 })).to.deep.equal([]);
    expect(trace.at(2050, { kind: 'tick', unit: 0 })).to.deep.equal(['close', 'promoted', 'token-adopted']);
    expect(trace.effect('close')).to.deep.include({ gen: 1, code: 1000 });
    expect(trace.at(2060, close(1, 1000)), "the old link's end is nobody's concern").to.deep.equal([]);
  });

  it('a failed overlap keeps the old link and tries again later', () => {
    const trace = new Trace().open();
    trace.at(1000, { kind: 'token-staged', token: T2 });
    trace.at(1001, { kind: 'admitted', token: T2, resuming: true });
    expect(trace.at(1100, refused(2, 503))).to.deep.equal(['report', 'attempt-failed']);
    expect(trace.state.main?.gen).to.equal(1);
    expect(trace.at(31_100, { kind: 'tick', unit: 0 })).to.include('ask');
  });

  it('the successor takes over at once when the old link dies in the overlap', () => {
    const trace = new Trace().open();
    trace.at(1000, { kind: 'token-staged', token: T2 });
    trace.at(1001, { kind: 'admitted', token: T2, resuming: true });
    trace.at(1050, { kind: 'opened', gen: 2 });
    expect(trace.at(1100, close(1, 1006))).to.deep.equal(['promoted', 'token-adopted']);
    expect(trace.state.main?.gen).to.equal(2);
  });

  it('refreshes in the stream, retries after 30 s without an answer, and falls back to overlap before expiry', () => {
    const trace = new Trace({ rotation: 'in-stream' });
    trace.at(0, { kind: 'start' });
    trace.at(0, { kind: 'admitted', token: { id: 't1', expiresAtMs: 60_000 }, resuming: false });
    trace.at(1, { kind: 'opened', gen: 1 });
    const liveness = { latency: policy.liveness.latency };
    const quiet = { ...trace.policy, liveness };
    const step = (now: number, input: SessionInput): readonly string[] => {
      const result = stepSession(quiet, trace.state, input, now);
      trace.state = result.state;
      return result.effects.map((effect) => effect.kind);
    };
    expect(step(10_000, { kind: 'token-staged', token: T2 })).to.deep.equal(['refresh']);
    expect(step(15_000, { kind: 'tick', unit: 0 })).to.deep.equal([]);
    expect(step(45_000, { kind: 'tick', unit: 0 })).to.deep.equal(['refresh']);
    expect(step(50_000, { kind: 'tick', unit: 0 }), 'no time for another try').to.deep.equal(['ask']);
  });

  it('takes an in-stream acknowledgement', () => {
    const trace = new Trace({ rotation: 'in-stream' }).open();
    trace.at(1000, { kind: 'token-staged', token: T2 });
    expect(trace.at(1100, { kind: 'control', gen: 1, control: 'refresh-ack', unit: 0 })).to.deep.equal([
      'token-adopted',
    ]);
    expect(trace.state.main?.token.id).to.equal('t2');
  });

  it('opens a second link on a maintenance notice', () => {
    const trace = new Trace().open();
    expect(trace.at(1000, { kind: 'control', gen: 1, control: 'closing-soon', unit: 0 })).to.deep.equal(['ask']);
  });

  it('three empty batches without an event raise the suspicion of an expired token', () => {
    const trace = new Trace().open();
    trace.at(1, { kind: 'empty-batch', gen: 1 });
    trace.at(2, { kind: 'empty-batch', gen: 1 });
    expect(trace.at(3, { kind: 'empty-batch', gen: 1 })).to.deep.equal([
      'token-suspect',
      'close',
      'interrupted',
      'attempt-failed',
    ]);
  });

  it('opens the breaker, or is fatal, when attempts are exhausted; it never ends the process', () => {
    for (const onExhausted of ['breaker', 'fatal'] as const) {
      const trace = new Trace({ maxAttempts: 2, onExhausted });
      let now = 0;
      trace.at(0, { kind: 'start' });
      const seen: string[] = [];
      for (let n = 0; n < 2; n += 1) {
        trace.at(now, { kind: 'admitted', token: T1, resuming: false });
        seen.push(...trace.at(now + 1, { kind: 'ended', gen: trace.state.gen, failure: { stage: 'dial' }, unit: 0.5 }));
        now += 100_000;
        trace.at(now, { kind: 'tick', unit: 0 });
      }
      expect(seen).to.include(onExhausted === 'breaker' ? 'trip-breaker' : 'fatal');
    }
  });

  it('the window of an episode begins with its first failure, not with the last success (S3)', () => {
    const trace = new Trace({ maxWindowMs: 5000, onExhausted: 'fatal' }).open();
    expect(trace.at(3_000_000, close(1, 1006)), 'a long healthy run does not count').to.not.include('fatal');
  });

  it('parks politely and comes back', () => {
    const trace = new Trace().open();
    expect(trace.at(100, { kind: 'park' })).to.deep.equal(['close', 'interrupted']);
    trace.at(150, close(1, 1000));
    expect(trace.at(5000, { kind: 'start' })).to.deep.equal(['ask']);
  });

  it('classifies the illegal close code 401 as authentication', () => {
    expect(classifyFailure(policy.tables, { stage: 'stream', closeCode: 401 }, false).disposition).to.equal(
      'reauthenticate',
    );
  });

  it(
    'for any history: one report per admission, no dial unasked, no effect for abandoned links, deadlines that ' +
      'ticks clear',
    () => {
      const input = fc.oneof(
        fc.constant<SessionInput>({ kind: 'start' }),
        fc.constant<SessionInput>({ kind: 'park' }),
        fc.constant<SessionInput>({ kind: 'tick', unit: 0.5 }),
        fc.constant<SessionInput>({ kind: 'redial', purpose: 'gap' }),
        fc.constant<SessionInput>({ kind: 'token-staged', token: T2 }),
        fc.integer({ min: 1, max: 8 }).map((gen): SessionInput => ({ kind: 'opened', gen })),
        fc.integer({ min: 1, max: 8 }).map((gen): SessionInput => ({ kind: 'event', gen })),
        fc
          .tuple(fc.integer({ min: 1, max: 8 }), fc.constantFrom(1000, 1002, 1006, 1008, 1013))
          .map(([gen, code]) => close(gen, code)),
        fc
          .tuple(fc.integer({ min: 1, max: 8 }), fc.constantFrom(401, 403, 410, 429, 503))
          .map(([gen, status]) => refused(gen, status)),
        fc
          .tuple(
            fc.integer({ min: 1, max: 8 }),
            fc.constantFrom('closing-soon', 'reconnect-ack', 'refresh-ack', 'position-expired'),
          )
          .map(([gen, control]): SessionInput => ({
            kind: 'control',
            gen,
            control: control as 'closing-soon',
            unit: 0.5,
          })),
        fc.constant('admit' as const),
      );
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), input), { maxLength: 80 }),
          fc.boolean(),
          (steps, hello) => {
            const trace = new Trace(hello ? { hello: { ackTimeoutMs: 5000, reconnectOnly: false } } : {});
            let now = 0;
            let admitted = 0;
            let reported = 0;
            let waiting = 0;
            for (const [delta, what] of steps) {
              now += delta;
              // The client only admits who asked.
              if (what === 'admit' && waiting === 0) continue;
              const one: SessionInput = what === 'admit' ? { kind: 'admitted', token: T1, resuming: true } : what;
              if (what === 'admit') {
                admitted += 1;
                waiting -= 1;
              }
              for (const kind of trace.at(now, one)) {
                if (kind === 'report') reported += 1;
                if (kind === 'ask') waiting = 1;
                if (kind === 'cancel-ask') waiting = 0;
              }
              const unreported = [trace.state.main, trace.state.next].filter(
                (link) => link !== undefined && (link.phase === 'dialing' || link.phase === 'acking'),
              ).length;
              expect(admitted - reported, 'slots taken and not given back').to.equal(unreported);
              if (trace.state.phase.kind === 'asking') expect(waiting, 'asking means a request is out').to.equal(1);
              for (let n = 0; n < 6; n += 1) {
                for (const kind of trace.at(now, { kind: 'tick', unit: 0.5 })) {
                  if (kind === 'report') reported += 1;
                  if (kind === 'ask') waiting = 1;
                  if (kind === 'cancel-ask') waiting = 0;
                }
              }
              expect(sessionDeadline(trace.policy, trace.state) ?? Infinity, 'overdue after ticks').to.be.greaterThan(
                now,
              );
              expect(
                trace.state.goal === 'run' && trace.state.phase.kind === 'idle' && trace.state.main === undefined,
                'a running session that waits for nothing',
              ).to.equal(false);
            }
          },
        ),
        { numRuns: 400 },
      );
    },
  );
});
