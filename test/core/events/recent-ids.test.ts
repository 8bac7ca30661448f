import { expect } from 'chai';
import fc from 'fast-check';
import { RecentIds } from '../../../src/core/events/recent-ids.ts';

describe('RecentIds', () => {
  it('remembers exactly the last `limit` identities', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30 })), (ids) => {
        const recent = new RecentIds(8);
        const order: string[] = [];
        for (const n of ids) {
          const id = String(n);
          expect(recent.add(id)).to.equal(!order.slice(-8).includes(id));
          if (!order.slice(-8).includes(id)) order.push(id);
          expect(recent.size).to.be.at.most(8);
        }
      }),
    );
  });
});
