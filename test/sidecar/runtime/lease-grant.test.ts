import { expect } from 'chai';
import { LeaseGrant, type HeldLease } from '../../../src/sidecar/runtime/lease-grant.ts';

type Held = { -readonly [K in keyof HeldLease]: HeldLease[K] };

function grantOf(held: Held, epoch: number, warming = false): LeaseGrant {
  return new LeaseGrant('L', held, { doubt: () => undefined }, { epoch, warming });
}

describe('the right of a term to act in the name of its lease', () => {
  it('is open before the deadline of its own epoch, and not at it', () => {
    const grant = grantOf({ epoch: 3, openUntilMs: 1000, holder: '' }, 3);
    expect(grant.isOpen(999.9)).to.equal(true);
    expect(grant.isOpen(1000)).to.equal(false);
  });

  it('follows the election: shut, open again, lost', () => {
    const held: Held = { epoch: 3, openUntilMs: 1000, holder: '' };
    const grant = grantOf(held, 3);
    held.openUntilMs = -Infinity;
    expect(grant.isOpen(1)).to.equal(false);
    held.openUntilMs = 2000;
    expect(grant.isOpen(1)).to.equal(true);
    held.epoch = 0;
    expect(grant.isOpen(1)).to.equal(false);
  });

  it('is closed for a term whose epoch is not the one that is held', () => {
    const held: Held = { epoch: 4, openUntilMs: 1000, holder: '' };
    expect(grantOf(held, 3).isOpen(1)).to.equal(false);
    expect(grantOf(held, 5).isOpen(1)).to.equal(false);
  });

  it('lets an heir connect before the lease is its own, and deliver only then', () => {
    const held: Held = { epoch: 0, openUntilMs: -Infinity, holder: 'other' };
    const grant = grantOf(held, 5, true);
    expect([grant.mayDial(1), grant.isOpen(1)]).to.deep.equal([true, false]);
    Object.assign(held, { epoch: 5, openUntilMs: 1000 });
    grant.warmedUp();
    expect([grant.mayDial(1), grant.isOpen(1)]).to.deep.equal([true, true]);
    held.openUntilMs = -Infinity;
    expect(grant.mayDial(1), 'in doubt nothing is dialed any more').to.equal(false);
  });

  it('is closed for good when the term ends, though the lease is still held', () => {
    const grant = grantOf({ epoch: 5, openUntilMs: 1000, holder: '' }, 5, true);
    grant.end();
    expect([grant.mayDial(1), grant.isOpen(1)]).to.deep.equal([false, false]);
  });
});
