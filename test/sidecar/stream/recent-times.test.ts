import { expect } from 'chai';
import { RecentTimes } from '../../../src/sidecar/stream/recent-times.ts';

describe('the earliest time among the last events of a link', () => {
  it('is what came within two seconds, where events come as they are made', () => {
    const times = new RecentTimes();
    times.begin(0);
    expect(times.lowest(900, { receivedMs: 1000, behind: false })).to.equal(undefined);
    expect(times.lowest(2400, { receivedMs: 2500, behind: false })).to.equal(900);
    expect(times.lowest(3900, { receivedMs: 4000, behind: false })).to.equal(2400);
  });

  it(
    'does not forget by the time of receipt what was sent some time ago: one event stamped ahead would skip ' +
      'what is still unread',
    () => {
      const times = new RecentTimes();
      times.begin(0);
      for (let n = 0; n < 256; n += 1) times.lowest(1000 + n, { receivedMs: 10_000, behind: true });
      expect(times.lowest(60_000, { receivedMs: 15_000, behind: true })).to.equal(1001);
      expect(times.lowest(1300, { receivedMs: 20_000, behind: true })).to.equal(1002);
    },
  );
});
