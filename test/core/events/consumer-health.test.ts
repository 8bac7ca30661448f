import { expect } from 'chai';
import {
  answerOfBodyStatus,
  answerOfStatus,
  consumerDeadline,
  consumerFound,
  consumerProbed,
  consumerAllows,
  readyConsumer,
  redeliveryDelay,
  stepConsumer,
  type Answer,
  type ConsumerPolicy,
  type ConsumerHealth,
} from '../../../src/core/events/consumer-health.ts';

const POLICY: ConsumerPolicy = {
  maxAttempts: 10,
  crashLimit: 3,
  backoff: { baseMs: 1000, multiplier: 2, maxMs: 60_000, jitterLow: 1, jitterHigh: 1 },
  retryAfterMaxMs: 30_000,
  storm: { consecutive: 5, sharePercent: 50, minSamples: 20, windowMs: 60_000 },
};
const DEAD: Answer = { kind: 'dead-letter', reason: 'http_400' };
const ACK: Answer = { kind: 'ack' };
const REFUSES: Answer = { kind: 'hold', reason: 'consumer_rejected' };
const DOWN: Answer = { kind: 'hold', reason: 'consumer_down' };

/** One consumer, told answers; what it makes of each. */
class Told {
  state: ConsumerHealth = readyConsumer;
  readonly policy: ConsumerPolicy;
  constructor(storm: Partial<ConsumerPolicy['storm']> = {}) {
    this.policy = { ...POLICY, storm: { ...POLICY.storm, ...storm } };
  }
  #events = 100;
  /** @param event another one each time, unless it is said. */
  at(nowMs: number, answer: Answer, event = (this.#events += 1)): readonly string[] {
    const step = stepConsumer(this.policy, this.state, answer, { nowMs, unit: 0, event });
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

  it('counts an event that is refused again and again as one', () => {
    const told = new Told();
    for (let n = 0; n < 50; n += 1) expect(told.at(n, DEAD, 7), String(n)).to.deep.equal([]);
  });

  it('spares one event eight times; then it is poison and makes way, and the stream stays held', () => {
    const told = new Told();
    for (let n = 1; n <= 5; n += 1) told.at(n, DEAD);
    for (let n = 1; n <= 8; n += 1) expect(told.at(100 * n, DEAD, 7), String(n)).to.include('spare');
    expect(told.at(900, DEAD, 7)).to.deep.equal([]);
    expect(told.state.hold?.reason).to.equal('storm_guard');
    expect(told.at(1000, DEAD, 8)).to.deep.equal(['spare']);
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
    expect(told.at(0, REFUSES)).to.deep.equal(['held']);
    expect([consumerAllows(told.state, 999), consumerAllows(told.state, 1000)]).to.deep.equal(['none', 'one']);
    expect(told.at(1000, ACK)).to.deep.equal(['released']);
    expect(consumerAllows(told.state, 1000)).to.equal('all');
  });

  it('waits longer each time, says so once, and remembers since when', () => {
    const told = new Told();
    told.at(0, REFUSES);
    expect(told.at(1000, REFUSES)).to.deep.equal([]);
    expect(told.state.hold).to.deep.include({ untilMs: 3000, sinceMs: 0 });
  });

  // Found and mended: C2
  it('looks every 500 ms for a consumer that is down, and lets one event go when it is there', () => {
    const told = new Told();
    told.at(0, DOWN);
    for (const at of [500, 1000, 30_000]) {
      expect([consumerAllows(told.state, at - 1), consumerAllows(told.state, at)]).to.deep.equal(['none', 'probe']);
      told.state = consumerProbed(told.state);
      expect(consumerAllows(told.state, at + 1)).to.equal('none');
      told.state = consumerFound(told.state, false, at + 1);
      expect(consumerDeadline(told.state, at + 1)).to.equal(at + 501);
      if (at < 30_000) told.state = consumerFound(told.state, false, at);
      if (at === 1000) told.state = consumerFound(told.state, false, 29_500);
    }
    told.state = consumerFound(told.state, true, 30_600);
    expect(consumerAllows(told.state, 30_600)).to.equal('one');
    expect(told.at(30_610, ACK)).to.deep.equal(['released']);
  });

  it('looks less often, 5 s at most, for one that takes connections and then loses the event', () => {
    const told = new Told();
    const waits: number[] = [];
    for (let at = 0, n = 0; n < 6; n += 1) {
      told.at(at, DOWN);
      waits.push((told.state.hold?.untilMs ?? 0) - at);
      at += 10_000;
      told.state = consumerFound(consumerProbed(told.state), true, at);
    }
    expect(waits).to.deep.equal([500, 1000, 2000, 4000, 5000, 5000]);
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

describe('what an answer means', () => {
  // Found and mended: B4
  it(
    'the words of a body are compared without case; another word is no acknowledgement, what is no string says ' +
      'nothing',
    () => {
      for (const word of ['SUCCESS', 'success', 'Ok', 'accepted', 'DONE'])
        expect(answerOfBodyStatus(word).kind, word).to.equal('ack');
      for (const word of ['retry', 'FAILED', 'Fail', 'error'])
        expect(answerOfBodyStatus(word), word).to.deep.include({ kind: 'retry', counted: true });
      expect(answerOfBodyStatus('drop').kind).to.equal('drop');
      expect(answerOfBodyStatus('DeadLetter').kind).to.equal('dead-letter');
      expect(answerOfBodyStatus('later')).to.deep.equal({ kind: 'unknown', word: 'later' });
      expect([answerOfBodyStatus(7), answerOfBodyStatus(undefined), answerOfBodyStatus('constructor')]).to.deep.equal([
        { kind: 'ack' },
        { kind: 'ack' },
        { kind: 'unknown', word: 'constructor' },
      ]);
    },
  );

  it(
    'five different events answered with unknown words hold the stream, and none of them dies; one event alone ' +
      'does not',
    () => {
      const unknown: Answer = { kind: 'unknown', word: 'later' };
      const told = new Told();
      for (let n = 0; n < 20; n += 1) expect(told.at(n, unknown, 1)).to.deep.equal([]);
      for (const event of [2, 3, 4]) expect(told.at(100, unknown, event)).to.deep.equal([]);
      expect(told.at(100, unknown, 5)).to.deep.equal(['spare', 'held']);
      expect(told.state.hold?.reason).to.equal('consumer_answer_unknown');
      expect(told.at(200, ACK)).to.deep.equal(['released']);
      expect(told.at(300, unknown, 6)).to.deep.equal([]);
    },
  );

  // Found and mended: A18
  it('429 with Retry-After speaks for the whole consumer; without it, and with 503, for one event', () => {
    expect(answerOfStatus(429, 3000)).to.deep.equal({ kind: 'hold', reason: 'consumer_throttled', retryAfterMs: 3000 });
    expect(answerOfStatus(429, undefined)).to.deep.include({ kind: 'retry', counted: false });
    expect(answerOfStatus(503, 3000)).to.deep.include({ kind: 'retry', counted: true, retryAfterMs: 3000 });
    const told = new Told();
    told.at(0, answerOfStatus(429, 20_000));
    expect([consumerAllows(told.state, 19_999), consumerAllows(told.state, 20_000)]).to.deep.equal(['none', 'one']);
  });
});
