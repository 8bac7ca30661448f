import { expect } from 'chai';
import {
  consumerAllows,
  readyConsumer,
  redeliveryDelay,
  stepConsumer,
  type Answer,
  type ConsumerPolicy,
  type ConsumerState,
} from '../../src/core/consumer.ts';

const POLICY: ConsumerPolicy = {
  maxAttempts: 10,
  backoff: { baseMs: 1000, multiplier: 2, maxMs: 60_000, jitterLow: 1, jitterHigh: 1 },
  retryAfterMaxMs: 30_000,
  storm: { consecutive: 5, sharePercent: 50, minSamples: 20, windowMs: 60_000 },
};
const DEAD: Answer = { kind: 'dead-letter', reason: 'http_400' };
const ACK: Answer = { kind: 'ack' };
const DOWN: Answer = { kind: 'hold', reason: 'consumer_down' };

/** One consumer, told answers; what it makes of each. */
class Told {
  state: ConsumerState = readyConsumer;
  readonly policy: ConsumerPolicy;
  constructor(storm: Partial<ConsumerPolicy['storm']> = {}) {
    this.policy = { ...POLICY, storm: { ...POLICY.storm, ...storm } };
  }
  at(nowMs: number, answer: Answer): readonly string[] {
    const step = stepConsumer(this.policy, this.state, answer, { nowMs, unit: 0 });
    this.state = step.state;
    return step.effects.map(({ kind }) => kind);
  }
}

describe('the storm guard', () => {
  it('lets as many dead letters in a row pass as configured; the next one is spared and holds the stream', () => {
    const told = new Told();
    for (let n = 1; n <= 5; n += 1) expect(told.at(n, DEAD), String(n)).to.deep.equal([]);
    expect(told.at(6, DEAD)).to.deep.equal(['spare', 'held']);
    expect(told.state.hold?.reason).to.equal('storm_guard');
  });

  it('counts in a row only: a success between begins anew', () => {
    const told = new Told();
    for (let n = 1; n <= 15; n += 1) expect(told.at(n, n % 5 === 0 ? ACK : DEAD), String(n)).to.deep.equal([]);
  });

  it('holds above the share, not at it, and never before there are samples enough', () => {
    const told = new Told({ consecutive: 100 });
    for (let n = 0; n < 20; n += 1) expect(told.at(n, n % 2 === 0 ? ACK : DEAD), String(n)).to.deep.equal([]);
    expect(told.at(20, DEAD)).to.deep.equal(['spare', 'held']);
    const few = new Told({ consecutive: 100, minSamples: 4 });
    expect([1, 2, 3, 4].map((n) => few.at(n, DEAD).length)).to.deep.equal([0, 0, 0, 2]);
  });

  it('forgets outcomes of the window before', () => {
    const told = new Told({ consecutive: 100, minSamples: 4 });
    for (let n = 1; n <= 3; n += 1) told.at(n, DEAD);
    expect(told.at(60_000, DEAD)).to.deep.equal([]);
  });
});

describe('a stream that is held', () => {
  it('lets one event try when its time is over, and all after a success', () => {
    const told = new Told();
    expect(told.at(0, DOWN)).to.deep.equal(['held']);
    expect([consumerAllows(told.state, 999), consumerAllows(told.state, 1000)]).to.deep.equal(['none', 'one']);
    expect(told.at(1000, ACK)).to.deep.equal(['released']);
    expect(consumerAllows(told.state, 1000)).to.equal('all');
  });

  it('waits longer each time, says so once, and remembers since when', () => {
    const told = new Told();
    told.at(0, DOWN);
    expect(told.at(1000, DOWN)).to.deep.equal([]);
    expect(told.state.hold).to.deep.include({ untilMs: 3000, sinceMs: 0 });
  });

  it('is released by any answer when it was down, by nothing but a success when it refuses', () => {
    const retry: Answer = { kind: 'retry', counted: true, reason: 'http_500' };
    const down = new Told();
    down.at(0, DOWN);
    expect(down.at(1000, retry)).to.deep.equal(['released']);
    const refuses = new Told();
    refuses.at(0, { kind: 'hold', reason: 'consumer_rejected' });
    expect(refuses.at(1000, retry)).to.deep.equal([]);
  });

  it('one event goes again after its backoff, or Retry-After if that is longer, up to its limit', () => {
    expect([1, 2, 3].map((faults) => redeliveryDelay(POLICY, faults, undefined, 0))).to.deep.equal([1000, 2000, 4000]);
    expect(redeliveryDelay(POLICY, 1, 7000, 0)).to.equal(7000);
    expect(redeliveryDelay(POLICY, 1, 3_600_000, 0)).to.equal(30_000);
  });
});
