import { expect } from 'chai';
import { nextAttempt } from '../../../src/core/session/next-attempt.ts';
import { close, refused, T1, T2, Trace } from '../../support/session-trace.ts';

describe('why a session has no open link, and when it dials next', () => {
  const admitted = { kind: 'admitted' as const, token: T1, resuming: false };

  it('says nothing while a link is open, and of a session that is to be down', () => {
    const trace = new Trace();
    expect(nextAttempt(trace.state)).to.equal(undefined);
    trace.open();
    expect(nextAttempt(trace.state)).to.equal(undefined);
    trace.at(100, { kind: 'park' });
    trace.at(150, close(1, 1000));
    expect(nextAttempt(trace.state)).to.equal(undefined);
  });

  it('names no reason before the first link: nothing has happened yet', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    expect(nextAttempt(trace.state)).to.deep.equal({ reason: undefined, atMs: undefined });
    trace.at(0, admitted);
    expect(nextAttempt(trace.state), 'dialing').to.deep.equal({ reason: undefined, atMs: undefined });
  });

  it(
    'keeps the reason while it waits, while the gate lets nobody through, while it dials, and until the link ' +
      'is open',
    () => {
      const trace = new Trace().open();
      trace.at(1000, close(1, 1006));
      expect(nextAttempt(trace.state)).to.deep.equal({ reason: 'closed_abnormally', atMs: 1050 });
      trace.at(1050, { kind: 'tick', unit: 0 });
      expect(nextAttempt(trace.state), 'as soon as the gate says so').to.deep.equal({
        reason: 'closed_abnormally',
        atMs: undefined,
      });
      trace.at(1060, admitted);
      expect(nextAttempt(trace.state)).to.deep.equal({ reason: 'closed_abnormally', atMs: undefined });
      trace.at(1070, refused(2, 429, 7000));
      expect(nextAttempt(trace.state), 'the latest one').to.deep.equal({ reason: 'rate_limited', atMs: 8070 });
      trace.at(8070, { kind: 'tick', unit: 0 });
      trace.at(8070, admitted);
      trace.at(8080, { kind: 'opened', gen: 3 });
      expect(nextAttempt(trace.state)).to.equal(undefined);
      trace.at(9000, { kind: 'park' });
      trace.at(9010, close(3, 1000));
      trace.at(9020, { kind: 'start' });
      expect(nextAttempt(trace.state), 'what is over is not said again').to.deep.equal({
        reason: undefined,
        atMs: undefined,
      });
    },
  );

  it('names a reason that asks at once: a refused token, a position that is too old, a hole', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, admitted);
    trace.at(10, refused(1, 401));
    expect(nextAttempt(trace.state)).to.deep.equal({ reason: 'auth_failed', atMs: undefined });
    trace.at(20, { kind: 'admitted', token: T2, resuming: true });
    trace.at(30, refused(2, 410));
    expect(nextAttempt(trace.state)).to.deep.equal({ reason: 'position_expired', atMs: undefined });
    trace.at(40, { kind: 'admitted', token: T2, resuming: true });
    trace.at(50, { kind: 'opened', gen: 3 });
    trace.at(60, { kind: 'redial', purpose: 'gap' });
    expect(nextAttempt(trace.state)).to.deep.equal({ reason: 'gap_resume', atMs: undefined });
  });

  it('of a halted session: the reason, and no time', () => {
    const trace = new Trace();
    trace.at(0, { kind: 'start' });
    trace.at(0, admitted);
    trace.at(10, refused(1, 403));
    expect(nextAttempt(trace.state)).to.deep.equal({ reason: 'forbidden', atMs: undefined });
    const last = new Trace({ maxAttempts: 1, onExhausted: 'fatal' });
    last.at(0, { kind: 'start' });
    last.at(0, admitted);
    last.at(10, { kind: 'ended', gen: 1, failure: { stage: 'dial' }, unit: 0 });
    expect(nextAttempt(last.state)).to.deep.equal({ reason: 'exhausted', atMs: undefined });
  });

  it('when the planned successor takes over, open, nothing is missing; not yet open, the loss is', () => {
    for (const open of [true, false]) {
      const trace = new Trace().open();
      trace.at(1000, { kind: 'token-staged', token: T2 });
      trace.at(1001, { kind: 'admitted', token: T2, resuming: true });
      if (open) trace.at(1050, { kind: 'opened', gen: 2 });
      trace.at(1100, close(1, 1006));
      const lost = { reason: 'closed_abnormally', atMs: undefined };
      expect(nextAttempt(trace.state)).to.deep.equal(open ? undefined : lost);
      if (!open) trace.at(1150, { kind: 'opened', gen: 2 });
      expect(nextAttempt(trace.state)).to.equal(undefined);
      trace.at(1200, { kind: 'park' });
      trace.at(1210, close(2, 1000));
      trace.at(1220, { kind: 'start' });
      expect(nextAttempt(trace.state)).to.deep.equal({ reason: undefined, atMs: undefined });
    }
  });
});
