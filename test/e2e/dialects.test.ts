import { expect } from 'chai';
import { DIALECTS, PROFILES } from '../../src/platforms/index.ts';
import type { Dialect } from '../../src/platforms/profile.ts';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import { Verdict } from '../support/verdict.ts';

/** The bound of duplicates per disruption: maxInFlight + maxUncheckpointed. */
const N = 512;

class Rig {
  readonly dialect: Dialect;
  readonly sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 7, serverPingEveryMs: 100 });
  readonly consumer = new SampleConsumer();
  readonly verdict: Verdict;
  sidecar!: TestSidecar;

  constructor(dialect: Dialect) {
    this.dialect = dialect;
    this.verdict = new Verdict(this.sim, this.consumer, dialect);
  }

  get streamClass(): 'A' | 'B' | 'C' {
    return PROFILES[this.dialect].streamClass;
  }

  async start(
    more: { readonly client?: Record<string, unknown>; readonly stream?: Record<string, unknown> } = {},
  ): Promise<this> {
    const simPort = await this.sim.listen();
    const consumerPort = await this.consumer.listen();
    this.sidecar = await new TestSidecar(
      writeDocuments({ simPort, dialect: this.dialect, consumerPort, ...more }),
    ).start();
    await until(
      'the stream is open',
      () => this.sim.connections.length > 0 && ['OPEN', 'LIVE'].includes(this.sidecar.stream.state),
    );
    this.sim.rate = 400;
    await this.flows(40);
    return this;
  }

  /** `count` further events arrive at the consumer. */
  async flows(count: number): Promise<void> {
    const target = this.consumer.distinct + count;
    await until(`${String(count)} further events are delivered`, () => this.consumer.distinct >= target);
  }

  /** A new connection is open and events arrive on it. */
  async recovers(opens: number): Promise<void> {
    await until(
      'the stream is open again',
      () =>
        this.sim.history.of('conn.open').length >= opens &&
        ['OPEN', 'LIVE', 'DEGRADED'].includes(this.sidecar.stream.state),
      undefined,
      () =>
        JSON.stringify([
          this.sidecar.supervisor.status(),
          this.sim.history.of('conn.open', 'conn.end', 'conn.rej', 'conn.req'),
        ]),
    );
    await this.flows(40);
  }

  /** The platform falls silent, everything on the way arrives, and the records are judged. */
  async judge(options: { readonly gaps?: number } = {}): Promise<void> {
    this.sim.rate = 0;
    await until(
      'everything offered is delivered or announced',
      () => this.verdict.complete() && this.sidecar.stream.delivery.backlog === 0,
    );
    this.verdict.check({ maxDuplicates: 0, ...options });
  }

  async stop(): Promise<void> {
    await this.sidecar.stop();
    await this.consumer.close();
    await this.sim.close();
  }
}

for (const dialect of DIALECTS) {
  const streamClass = PROFILES[dialect].streamClass;
  /** In class C every unplanned hole is one announced gap; A and B have none. */
  const holes = (count: number): number => (streamClass === 'C' ? count : 0);

  describe(`${dialect} (class ${streamClass}) against the simulator`, () => {
    let rig: Rig;
    beforeEach(() => {
      rig = new Rig(dialect);
    });
    afterEach(() => rig.stop());

    it('delivers everything in order, once, in the normal flow', async () => {
      await rig.start();
      await rig.flows(200);
      await rig.judge({ gaps: 0 });
      const request = rig.sim.history.of('conn.req')[0];
      expect(request?.['tok']).to.not.equal('invalid');
    });

    it('resumes after a reset and a FIN without close frame', async () => {
      await rig.start();
      rig.sim.do({ do: 'drop', how: 'reset' });
      await rig.recovers(2);
      rig.sim.do({ do: 'drop', how: 'fin' });
      await rig.recovers(3);
      await rig.judge({ gaps: holes(2) });
    });

    it('rotates its token under load without losing or repeating anything', async () => {
      rig.sim.office.lifeMs = 1500;
      await rig.start({
        client: {
          token: { leadTime: '100ms', minRemainingAtDial: '50ms', minRemainingAtRedial: '50ms', minInterval: '50ms' },
        },
      });
      await until('two tokens were replaced', () => rig.sidecar.audits('token.rotated').length >= 2);
      await rig.flows(40);
      await rig.judge({ gaps: 0 });
      expect(
        rig.sim.history.of('conn.end').filter((end) => end['code'] === 1008),
        'closed for an expired token',
      ).to.deep.equal([]);
      if (PROFILES[dialect].rotation === 'in-stream')
        expect(rig.sim.history.of('conn.open').length, 'in-stream rotation opens no connection').to.equal(1);
    });

    it('finds a half-open link and resumes', async () => {
      await rig.start();
      rig.sim.do({ do: 'freeze' });
      await until('the link is declared dead', () =>
        rig.sidecar.audits('connection.health').some((record) => record['state'] === 'DEAD'),
      );
      rig.sim.do({ do: 'thaw' });
      await rig.recovers(2);
      await rig.judge({ gaps: holes(1) });
      const dropped = rig.sidecar.audits('connection.dropped')[0];
      expect(dropped?.['reason']).to.be.oneOf(['pong_timeout', 'silence']);
    });

    it('answers a 401 on upgrade with one fresh token and one retry', async () => {
      await rig.start();
      const tokens = rig.sim.history.counts.get('tok.ok') ?? 0;
      rig.sim.do({ do: 'set', faults: { upgrade: { status: 401, times: 1 } } });
      rig.sim.do({ do: 'drop' });
      await rig.recovers(2);
      await rig.judge({ gaps: holes(1) });
      expect((rig.sim.history.counts.get('tok.ok') ?? 0) - tokens, 'one refresh').to.equal(1);
      expect(rig.sim.history.of('conn.req').length, 'first, refused, retried').to.equal(3);
    });

    it('obeys Retry-After on a 429', async () => {
      await rig.start();
      rig.sim.do({ do: 'set', faults: { upgrade: { status: 429, retryAfter: 1, times: 1 } } });
      rig.sim.do({ do: 'drop' });
      await rig.recovers(2);
      await rig.judge({ gaps: holes(1) });
      const refused = rig.sim.history.of('conn.rej')[0];
      const next = rig.sim.history.of('conn.req').find((request) => refused !== undefined && request.i > refused.i);
      expect(Number(BigInt(next?.t ?? 0) - BigInt(refused?.t ?? 0)) / 1e6, 'wait in ms').to.be.at.least(995);
    });

    it('refreshes its token after close 1008', async () => {
      await rig.start();
      rig.sim.do({ do: 'revoke-tokens' });
      await rig.recovers(2);
      await rig.judge({ gaps: holes(1) });
      const tokens = rig.sim.history.of('conn.req').map((request) => request['tok']);
      expect(new Set(tokens).size, 'a new token for the new connection').to.equal(2);
    });

    it('backs off after close 1013 and comes back', async () => {
      await rig.start();
      rig.sim.do({ do: 'close', code: 1013, reason: 'overloaded' });
      await rig.recovers(2);
      await rig.judge({ gaps: holes(1) });
      expect(rig.sidecar.audits('RECONNECT_FAIL')[0]?.['reason']).to.equal('overloaded');
    });

    it('drops replayed duplicates before the consumer', async () => {
      rig.sim.faults.replayExtra = 30;
      await rig.start();
      const dropped = (): number => rig.sidecar.stream.events.duplicates;
      rig.sim.do({ do: 'resend', count: 50 });
      await until('the repetitions have come', () => dropped() >= 40);
      rig.sim.do({ do: 'drop' });
      await rig.recovers(2);
      const before = dropped();
      rig.sim.do({ do: 'set', faults: { duplicateNext: 20 } });
      await until('twenty events have come twice', () => dropped() >= before + 20);
      await rig.judge({ gaps: holes(1) });
    });

    it('puts swapped events back into order, where there is a sequence', async () => {
      await rig.start();
      rig.sim.do({ do: 'set', faults: { swapNext: 10 } });
      await rig.flows(100);
      rig.sim.rate = 0;
      await until('everything is delivered', () => rig.verdict.complete() && rig.sidecar.stream.delivery.backlog === 0);
      // Without a sequence the platform's order is all there is; per key nothing overtakes because keys alternate.
      if (streamClass === 'A') rig.verdict.check({ maxDuplicates: 0, gaps: 0 });
      else expect(rig.verdict.missing()).to.deep.equal([]);
    });

    it('asks once for a hole before it calls it a gap', async () => {
      await rig.start();
      rig.sim.do({ do: 'set', faults: { hideNext: 5 } });
      await rig.flows(60);
      rig.sim.do({ do: 'jump', count: 7 });
      await rig.flows(60);
      rig.sim.rate = 0;
      if (streamClass === 'A') {
        await until('the jump is announced', () => rig.verdict.gaps().length === 1);
        await rig.judge({ gaps: 1 });
        const gap = rig.verdict.gaps()[0];
        expect(Number(gap?.to) - Number(gap?.from) + 1, 'exact bounds').to.equal(7);
        expect(rig.sim.history.of('conn.open').length, 'asked again for the hidden and for the jumped').to.be.at.least(
          3,
        );
      } else {
        // No sequence: what the platform hides cannot be seen missing. Nothing else may be lost.
        await until(
          'the rest is delivered',
          () => rig.sidecar.stream.delivery.backlog === 0 && rig.verdict.missing().length <= 5,
        );
        expect(rig.verdict.gaps()).to.deep.equal([]);
      }
    });

    it('announces exactly what retention has taken', async () => {
      // The frame-resumed endpoint has no URL position to refuse: it says so by a control message.
      if (PROFILES[dialect].resume.via === 'frame') rig.sim.faults.expiredAs = 'control';
      await rig.start();
      await until('the consumer has everything so far', () => rig.sidecar.stream.delivery.backlog === 0);
      rig.sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 1_000_000 } } });
      rig.sim.do({ do: 'drop' });
      const before = rig.sim.journal(rig.verdict.path).nextSeq;
      await until('events passed by', () => rig.sim.journal(rig.verdict.path).nextSeq > before + 150);
      rig.sim.do({ do: 'purge', keep: 20 });
      rig.sim.do({ do: 'set', faults: { upgrade: undefined } });
      await rig.recovers(2);
      await rig.judge({ gaps: 1 });
      expect(rig.verdict.gaps()[0]?.cause).to.equal(streamClass === 'C' ? 'no_replay' : 'retention_exceeded');
    });
  });
}

describe('the bound of duplicates', () => {
  it('is what the defaults promise', () => {
    expect(N).to.equal(256 + 256);
  });
});
