import { expect } from 'chai';
import fc from 'fast-check';
import { loadDocuments } from '../../../src/config/load-documents.ts';
import { resolve } from '../../../src/config/plan.ts';
import { idleSession, sessionDeadline, stepSession } from '../../../src/core/session/session.ts';
import type { SessionInput, SessionPolicy, SessionState } from '../../../src/core/session/session-model.ts';
import type { Dialect } from '../../../src/platforms/profile.ts';
import { writeDocuments } from '../../support/documents.ts';

const TOKEN = { id: 't1', expiresAtMs: 86_400_000 };

/** The policy that a document makes, without or with a silence of its own. */
function policyOf(dialect: Dialect, silence?: string): SessionPolicy {
  const heartbeat = silence === undefined ? {} : { silence };
  const file = writeDocuments({ simPort: 1, dialect, stream: { heartbeat } });
  const policy = resolve(loadDocuments([file]))[0]?.streams[0]?.session;
  if (policy === undefined) throw new Error('no plan');
  return policy;
}

/** One session on virtual time, whose timer looks exactly when the session asked for it. */
class Line {
  nowMs = 0;
  deadAtMs: number | undefined;
  state: SessionState = idleSession;
  readonly #policy: SessionPolicy;

  constructor(policy: SessionPolicy) {
    this.#policy = policy;
    this.#feed({ kind: 'start' });
    this.open();
  }

  open(): void {
    this.#feed({ kind: 'admitted', token: TOKEN, resuming: false });
    this.#feed({ kind: 'opened', gen: this.state.gen });
    this.deadAtMs = undefined;
  }

  /** Lets time pass; stops where the link is declared dead. @returns how long that took, in ms. */
  pass(ms: number): number {
    const fromMs = this.nowMs;
    for (;;) {
      const lookAtMs = sessionDeadline(this.#policy, this.state);
      if (this.deadAtMs !== undefined || lookAtMs === undefined || lookAtMs > fromMs + ms) break;
      this.nowMs = lookAtMs;
      this.#feed({ kind: 'tick', unit: 0 });
    }
    if (this.deadAtMs === undefined) this.nowMs = fromMs + ms;
    return this.nowMs - fromMs;
  }

  hear(what: 'frame' | 'server-ping'): void {
    this.#feed({ kind: 'heard', gen: this.state.gen, what });
  }

  /** The server pings as often, and each interval is a part of `everyMs` by `parts`, over and over. */
  pings(count: number, everyMs: number, parts: readonly number[] = [1]): void {
    for (let n = 0; n < count; n += 1) {
      this.pass(everyMs * (parts[n % parts.length] ?? 1));
      this.hear('server-ping');
    }
  }

  /** The connection breaks, and the next one is open as soon as the session wants it. */
  reconnect(): void {
    this.#feed({ kind: 'ended', gen: this.state.gen, failure: { stage: 'stream', closeCode: 1006 }, unit: 0 });
    this.comeBack();
  }

  comeBack(): void {
    for (let n = 0; n < 3 && this.state.phase.kind !== 'asking'; n += 1) {
      this.nowMs = sessionDeadline(this.#policy, this.state) ?? this.nowMs;
      this.#feed({ kind: 'tick', unit: 0 });
    }
    this.open();
  }

  #feed(input: SessionInput): void {
    const step = stepSession(this.#policy, this.state, input, this.nowMs);
    this.state = step.state;
    for (const effect of step.effects)
      if (effect.kind === 'health' && effect.verdict === 'dead') this.deadAtMs = this.nowMs;
  }
}

// Found and mended: C4.
describe('the silence that means death is learned from the pings of the server', () => {
  it(
    'genesys-streams: half-open with a ping each 15 s is noticed ' + 'within 50 s, wherever in the period it happens',
    () => {
      for (const restMs of [0, 1, 7000, 14_999]) {
        const line = new Line(policyOf('genesys-streams'));
        line.pings(8, 15_000);
        // From here on nothing comes: the loss lies `restMs` behind the last ping.
        expect(line.pass(600_000) - restMs, `lost ${String(restMs)} ms after a ping`).to.be.at.most(50_000);
        expect(line.deadAtMs).to.not.equal(undefined);
      }
    },
  );

  it('until three intervals were seen the limit of the dialect holds', () => {
    for (const [pings, limitMs] of [
      [0, 120_000],
      [3, 120_000],
      [4, 45_000],
    ] as const) {
      const line = new Line(policyOf('genesys-streams'));
      line.pings(pings, 15_000);
      expect(line.pass(600_000), `${String(pings)} pings`).to.equal(limitMs);
    }
  });

  it(
    'takes the longest of the last four intervals: a server that pings less often is believed at once, one ' +
      'that hurries after four',
    () => {
      const line = new Line(policyOf('genesys-streams'));
      line.pings(8, 10_000, [1, 1, 1.5, 0.5]);
      expect(line.pass(44_999)).to.equal(44_999);
      expect(line.deadAtMs, 'three times 15 s').to.equal(undefined);
      line.hear('server-ping');
      expect(line.pass(119_999), 'three times 45 s would be more than the dialect allows').to.equal(119_999);
      line.hear('server-ping');
      line.pings(4, 8000);
      expect(line.pass(600_000)).to.equal(24_000);
    },
  );

  it('is at least 20 s, however often the server pings', () => {
    const line = new Line(policyOf('genesys-streams'));
    line.pings(20, 1000);
    expect(line.pass(600_000)).to.equal(20_000);
  });

  it('survives a reconnection: a link that never said anything is given up as early', () => {
    const line = new Line(policyOf('genesys-streams'));
    line.pings(6, 15_000);
    line.reconnect();
    expect(line.pass(600_000)).to.equal(45_000);
  });

  it(
    'is forgotten where no interval of the dead link confirmed it: a server that now pings each minute is not ' +
      'cut for ever',
    () => {
      for (const pings of [0, 1]) {
        const line = new Line(policyOf('genesys-streams'));
        line.pings(6, 15_000);
        line.reconnect();
        line.pings(pings, 10_000);
        expect(line.pass(60_000), 'given up once').to.equal(45_000);
        line.comeBack();
        line.pings(20, 60_000);
        expect(line.deadAtMs).to.equal(undefined);
      }
    },
  );

  it('the time between two links is not an interval of the server', () => {
    const line = new Line(policyOf('genesys-streams'));
    line.pings(6, 15_000);
    line.reconnect();
    line.pass(30_000);
    line.hear('server-ping');
    line.pings(4, 15_000);
    expect(line.pass(600_000)).to.equal(45_000);
  });

  it('every frame is a sign of life for what was learned; the limit of the dialect still wants pings', () => {
    const line = new Line(policyOf('genesys-streams'));
    line.pings(6, 15_000);
    for (let n = 0; n < 11; n += 1) {
      line.pass(10_000);
      line.hear('frame');
    }
    expect(line.deadAtMs, 'data flow, pings do not').to.equal(undefined);
    expect(line.pass(600_000)).to.equal(10_000);
  });

  it('is not learned where the document names a silence', () => {
    const line = new Line(policyOf('genesys-streams', '90s'));
    line.pings(8, 15_000);
    expect(line.pass(600_000)).to.equal(90_000);
  });

  it('holds for other dialects too, and never makes them wait longer than before', () => {
    const policy = policyOf('genesys-gateway');
    const { ping: _, ...liveness } = policy.liveness;
    for (const [everyMs, limitMs] of [
      [8000, 24_000],
      [15_000, 35_000],
    ] as const) {
      const line = new Line({ ...policy, liveness });
      line.pings(8, everyMs);
      expect(line.pass(600_000)).to.equal(limitMs);
    }
  });

  it(
    'for any history: never dead before 20 s, or three learned intervals, after the last sign of life; never ' +
      'after the limit of the dialect',
    () => {
      const what = fc.constantFrom('server-ping', 'server-ping', 'server-ping', 'frame', 'reconnect');
      const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), what), { maxLength: 60 });
      const policy = policyOf('genesys-streams');
      fc.assert(
        fc.property(steps, (script) => {
          const line = new Line(policy);
          let intervals: number[] = [];
          let pingedAtMs: number | undefined;
          let lifeAtMs = line.nowMs;
          let pingOrOpenAtMs = line.nowMs;
          let measured = false;
          const opened = (): void => {
            measured = false;
            pingedAtMs = undefined;
            lifeAtMs = line.nowMs;
            pingOrOpenAtMs = line.nowMs;
          };
          for (const [ms, kind] of [...script, [600_000, 'frame'] as const]) {
            line.pass(ms);
            const learnedMs = intervals.length < 3 ? 120_000 : Math.max(20_000, 3 * Math.max(...intervals));
            const due = Math.min(lifeAtMs + learnedMs, pingOrOpenAtMs + 120_000);
            if (line.deadAtMs === undefined) expect(line.nowMs, 'overdue').to.be.below(due + 1);
            else {
              expect(line.deadAtMs).to.equal(due);
              expect(line.deadAtMs - lifeAtMs).to.be.within(pingOrOpenAtMs === lifeAtMs ? 20_000 : 0, 120_000);
              if (!measured) intervals = [];
              line.comeBack();
              opened();
              continue;
            }
            if (kind === 'reconnect') {
              line.reconnect();
              opened();
              continue;
            }
            line.hear(kind);
            lifeAtMs = line.nowMs;
            if (kind === 'frame') continue;
            if (pingedAtMs !== undefined) {
              intervals = [...intervals, line.nowMs - pingedAtMs].slice(-4);
              measured = true;
            }
            pingedAtMs = line.nowMs;
            pingOrOpenAtMs = line.nowMs;
          }
        }),
        { numRuns: 300 },
      );
    },
  );
});
