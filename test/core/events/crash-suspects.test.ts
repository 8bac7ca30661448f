import { expect } from 'chai';
import { CrashSuspects, SUSPECTS_LIMIT } from '../../../src/core/events/crash-suspects.ts';

// Found and mended: C1
describe('which event ends the consumer', () => {
  it('three losses under one event alone convict it, if the consumer took another one between them', () => {
    const suspects = new CrashSuspects(3);
    suspects.accuse(7);
    expect(suspects.lostAlone(7)).to.equal(false);
    expect(suspects.lostAlone(7), 'nothing was taken in between').to.equal(false);
    suspects.proved(8);
    expect(suspects.lostAlone(7)).to.equal(false);
    suspects.proved(undefined);
    expect(suspects.lostAlone(7)).to.equal(true);
  });

  it('a consumer that is merely down convicts nobody', () => {
    const suspects = new CrashSuspects(3);
    suspects.accuse(7);
    for (let n = 0; n < 100; n += 1) expect(suspects.lostAlone(7)).to.equal(false);
  });

  it('its own acknowledgement proves nothing of it; a success clears it', () => {
    const suspects = new CrashSuspects(2);
    suspects.accuse(7);
    suspects.lostAlone(7);
    suspects.proved(7);
    expect(suspects.unproved).to.equal(true);
    suspects.clear(7);
    expect([suspects.size, suspects.lostAlone(7)]).to.deep.equal([0, false]);
  });

  it(
    'those with the fewest losses have their turn first, of these ' + 'the oldest; in order where order is promised',
    () => {
      const suspects = new CrashSuspects(3);
      for (const ord of [5, 3, 4]) suspects.accuse(ord);
      suspects.lostAlone(3);
      expect(suspects.turns(false).map(({ ord }) => ord)).to.deep.equal([4, 5, 3]);
      expect(suspects.turns(true).map(({ ord }) => ord)).to.deep.equal([3, 4, 5]);
      expect(suspects.convicting(16)).to.deep.equal([{ ord: 3, losses: 1 }]);
    },
  );

  it('what an earlier term knew goes on counting; no more are remembered than the limit', () => {
    const suspects = new CrashSuspects(3);
    suspects.accuse(1, 2);
    expect(suspects.lostAlone(1)).to.equal(true);
    for (let ord = 2; ord <= SUSPECTS_LIMIT; ord += 1) expect(suspects.accuse(ord)).to.equal(true);
    expect(suspects.accuse(1000)).to.equal(false);
  });
});
