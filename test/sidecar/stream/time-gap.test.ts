import { expect } from 'chai';
import { TimeGap, IN_FLIGHT_MS } from '../../../src/sidecar/stream/time-gap.ts';

describe('a hole of which only times are known', () => {
  it('is vouched for by no record until its notice is settled', () => {
    const hole = new TimeGap();
    expect(hole.vouchedUntil(900)).to.equal(900);
    hole.since(500);
    hole.settled(3);
    expect([hole.pending, hole.vouchedUntil(900)]).to.deep.equal([true, 500]);
    expect(hole.announcedAs(5), 'what was under way counts').to.equal(500 - IN_FLIGHT_MS);
    hole.settled(4);
    expect([hole.pending, hole.vouchedUntil(900)]).to.deep.equal([false, 500]);
    hole.settled(5);
    expect(hole.vouchedUntil(900)).to.equal(900);
  });

  it('opens again from its beginning when another one comes before the first notice is settled', () => {
    const hole = new TimeGap();
    hole.since(500);
    hole.announcedAs(5);
    hole.since(700);
    hole.settled(5);
    expect(hole.vouchedUntil(900), 'the second one is not announced').to.equal(500);
    expect(hole.announcedAs(6)).to.equal(700 - IN_FLIGHT_MS);
    hole.settled(6);
    expect(hole.vouchedUntil(900)).to.equal(900);
  });

  it('begins where the earliest of several begins, and is announced once', () => {
    const hole = new TimeGap();
    hole.since(700);
    hole.since(500);
    expect(hole.announcedAs(1)).to.equal(500 - IN_FLIGHT_MS);
    expect(hole.announcedAs(2)).to.equal(undefined);
  });
});
