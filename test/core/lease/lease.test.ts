import { expect } from 'chai';
import {
  leaseDeadline,
  leaseOpen,
  newLease,
  stepLease,
  type LeaseEffect,
  type LeaseInput,
  type LeasePolicy,
  type LeaseState,
} from '../../../src/core/lease/lease.ts';

const POLICY: LeasePolicy = { ttlMs: 6000, renewEveryMs: 2000, marginMs: 500 };

/** A leader since instant 0, through the machine alone. */
class Leader {
  state: LeaseState = newLease;

  constructor(answeredMs = 0) {
    this.at(0, { kind: 'link', state: 'up' });
    this.at(0, { kind: 'tick', unit: 0, slackMs: 0 });
    const view = {
      token: undefined,
      pttlMs: 0,
      epoch: 7,
      fenceToken: 'old',
      state: 'released' as const,
      conn: '',
      formerSelf: false,
      beat: '1',
      incarnation: 'i',
      storeMs: 1_000_000,
    };
    this.at(0, { kind: 'observed', view, sentAtMs: 0, rank: 0, unit: 0 });
    this.at(0, { kind: 'tick', unit: 0, slackMs: 0 });
    const { role } = this.state;
    this.at(answeredMs, {
      kind: 'acquired',
      gen: role.kind === 'acquiring' ? role.gen : 0,
      token: 't',
      epoch: 8,
      storeMs: 1_000_000,
      incarnation: 'i',
      unit: 0.5,
    });
  }

  at(nowMs: number, input: LeaseInput): readonly string[] {
    return this.does(nowMs, input).map((effect) => effect.kind);
  }

  does(nowMs: number, input: LeaseInput): readonly LeaseEffect[] {
    const step = stepLease(POLICY, this.state, input, nowMs);
    this.state = step.state;
    return step.effects;
  }

  /** @returns when the sockets are closed, if nothing but time happens. */
  closesAfter(fromMs: number): number {
    for (
      let due = leaseDeadline(this.state);
      due !== undefined && due < fromMs + 60_000;
      due = leaseDeadline(this.state)
    ) {
      if (this.at(due, { kind: 'tick', unit: 0, slackMs: 0 }).includes('close-sockets')) return due - fromMs;
    }
    return Infinity;
  }
}

describe('a leader whose connection to the store is gone', () => {
  it('delivers nothing more from that instant, and closes its sockets before anybody can have looked twice', () => {
    const leader = new Leader();
    expect(leader.at(1000, { kind: 'link', state: 'lost' })).to.deep.equal(['shut']);
    expect(leader.closesAfter(1000)).to.equal(200);
  });

  it('keeps them a second where nothing listens, and no longer: it may be refused to us alone', () => {
    const leader = new Leader();
    expect(leader.at(1000, { kind: 'link', state: 'refused' })).to.deep.equal(['shut']);
    expect(leader.closesAfter(1000)).to.equal(1000);
  });

  it('counts from the first loss, however often the next tries fail', () => {
    const leader = new Leader();
    leader.at(1000, { kind: 'link', state: 'lost' });
    leader.at(1050, { kind: 'link', state: 'refused' });
    leader.at(1500, { kind: 'link', state: 'refused' });
    expect(leader.closesAfter(1000)).to.equal(1000);
  });

  it('closes them at its deadline, if that comes first', () => {
    const leader = new Leader();
    leader.at(5000, { kind: 'link', state: 'refused' });
    expect(leader.closesAfter(0)).to.be.closeTo(6000 * 0.99 - 2 - 500, 1);
  });
});

// Surviving mutant: re-assertion although the link was away
describe('a leader whose connection to the store was away', () => {
  const renewalAfter = (leader: Leader, nowMs: number): LeaseEffect | undefined => {
    leader.at(nowMs, { kind: 'link', state: 'lost' });
    return leader.does(nowMs + 50, { kind: 'link', state: 'up' }).find((one) => one.kind === 'renew');
  };

  it('fills no store that knows nothing of it until a renewal was answered: it may have been replaced', () => {
    const leader = new Leader();
    const first = renewalAfter(leader, 1000);
    expect(first).to.include({ notAfterStoreMs: 0 });
    if (first?.kind !== 'renew') throw new Error('no renewal');
    leader.at(1060, {
      kind: 'renewed',
      gen: first.gen,
      storeMs: 1_001_060,
      incarnation: 'i',
      forgotten: false,
      unit: 0.5,
    });
    const second = leader.does(4000, { kind: 'tick', unit: 0, slackMs: 0 }).find((one) => one.kind === 'renew');
    expect(second).to.include({ notAfterStoreMs: 1_007_060 });
  });
});

describe('a leader past its deadline', () => {
  // Surviving mutant: `leaseOpen` <=
  it('may do nothing at the deadline itself', () => {
    const leader = new Leader();
    const { role } = leader.state;
    if (role.kind !== 'leading') throw new Error('it does not lead');
    expect(leaseOpen(leader.state, role.deadlineMs - 0.001)).to.equal(true);
    expect(leaseOpen(leader.state, role.deadlineMs)).to.equal(false);
  });

  // Surviving mutant: transfer after the deadline
  it('gives the lease back instead of transferring it, if it was drained too late and no tick has noticed', () => {
    for (const [drainedMs, expected] of [
      [5000, 'transfer'],
      [6000, 'release'],
    ] as const) {
      const leader = new Leader();
      leader.at(1000, { ...order, final: true });
      leader.at(1010, { kind: 'warm', heir: 'b', token: 'h' });
      expect(leader.at(drainedMs, { kind: 'drained', epoch: 8 })[0], `drained at ${String(drainedMs)}`).to.equal(
        expected,
      );
    }
  });

  const effects = (leader: Leader, nowMs: number, input: LeaseInput): readonly LeaseEffect[] => {
    const step = stepLease(POLICY, leader.state, input, nowMs);
    leader.state = step.state;
    return step.effects;
  };
  const order = { kind: 'hand-over', heirs: ['b'], drainMs: 5000 } as const;

  it('offers nothing: the epoch it would name may be below one that was given meanwhile', () => {
    const leader = new Leader();
    expect(effects(leader, 5000, { ...order, final: false }).map((one) => one.kind)).to.include('offer');
    const late = new Leader();
    expect(effects(late, 9000, { ...order, final: false }).map((one) => one.kind)).to.not.include('offer');
  });

  it('gives the lease back instead of transferring it, if it was shut between offer and transfer', () => {
    const leader = new Leader();
    effects(leader, 1000, { ...order, final: true });
    effects(leader, 1010, { kind: 'warm', heir: 'b', token: 'h' });
    effects(leader, 1020, { kind: 'doubt' });
    expect(effects(leader, 1030, { kind: 'drained', epoch: 8 }).map((one) => one.kind)).to.deep.equal([
      'release',
      'lost',
    ]);
  });

  it('fills no store that knows nothing of it', () => {
    const inTime = new Leader();
    expect(
      effects(inTime, 2000, { kind: 'tick', unit: 0, slackMs: 1000 }).find((one) => one.kind === 'renew'),
    ).to.include({ notAfterStoreMs: 1_006_000 });
    const late = new Leader();
    expect(effects(late, 9000, { kind: 'tick', unit: 0, slackMs: 0 }).find((one) => one.kind === 'renew')).to.include({
      notAfterStoreMs: 0,
    });
  });
});

describe('an answer that comes after its own deadline', () => {
  it('is no leave to act; the renewal after it is, for a lease that was acquired, not given', () => {
    const leader = new Leader(7000);
    expect(leader.state.role).to.include({ kind: 'leading', open: false, started: false });
    const [renewal] = leader.does(7000, { kind: 'tick', unit: 0, slackMs: 0 });
    if (renewal?.kind !== 'renew') throw new Error('no renewal');
    expect(
      leader.does(7001, {
        kind: 'renewed',
        gen: renewal.gen,
        storeMs: 1_007_000,
        incarnation: 'i',
        forgotten: false,
        unit: 0.5,
      }),
    ).to.deep.equal([{ kind: 'lead', epoch: 8, how: 'acquired', forgot: false }]);
  });
});

describe('a standby that takes over', () => {
  const SEEN = {
    token: 'x',
    pttlMs: 6000,
    epoch: 7,
    fenceToken: 'x',
    state: 'held' as const,
    conn: '',
    formerSelf: false,
    beat: '1',
    incarnation: 'i',
    storeMs: 1_000_000,
  };

  /** What the new leader is told when the lease is free at `freeMs`, seen like that. */
  function taken(free: Partial<typeof SEEN>): LeaseEffect | undefined {
    const standby = new Leader();
    standby.state = newLease;
    standby.at(0, { kind: 'link', state: 'up' });
    standby.at(0, { kind: 'tick', unit: 0, slackMs: 0 });
    standby.at(0, { kind: 'observed', view: SEEN, sentAtMs: 0, rank: 0, unit: 0 });
    const view = { ...SEEN, token: undefined, pttlMs: 0, storeMs: 1_003_000, ...free };
    standby.at(3000, { kind: 'observed', view, sentAtMs: 3000, rank: 0, unit: 0 });
    const at = (standby.state.contendAtMs ?? 0) + 1;
    standby.at(at, { kind: 'tick', unit: 0, slackMs: 0 });
    const { role } = standby.state;
    if (role.kind !== 'acquiring') throw new Error('it does not try');
    return standby
      .does(at, {
        kind: 'acquired',
        gen: role.gen,
        token: 't',
        epoch: 8,
        storeMs: 1_000_000 + at,
        incarnation: view.incarnation,
        unit: 0.5,
      })
      .find((one) => one.kind === 'lead');
  }

  /** One that saw at 0 that another holds the lease, on connection `c`. */
  function watching(): Leader {
    const standby = new Leader();
    standby.state = newLease;
    standby.at(0, { kind: 'link', state: 'up' });
    standby.at(0, { kind: 'tick', unit: 0, slackMs: 0 });
    standby.at(0, { kind: 'observed', view: { ...SEEN, conn: 'c' }, sentAtMs: 0, rank: 0, unit: 0 });
    return standby;
  }

  // Surviving mutant: death proved of a connection never seen alive
  it('breaks no lock for a connection that is missing, unless it had seen that connection alive', () => {
    for (const seenAlive of [false, true]) {
      const standby = watching();
      if (seenAlive) standby.at(100, { kind: 'proof', conn: 'c', gone: false });
      const answers = [500, 800, 1100].flatMap((nowMs) => standby.at(nowMs, { kind: 'proof', conn: 'c', gone: true }));
      expect(answers.includes('break'), `seen alive: ${String(seenAlive)}`).to.equal(seenAlive);
    }
  });

  // Surviving mutant: stale looks are believed
  it('does not believe a look whose answer took longer than a second, and looks again', () => {
    const free = { ...SEEN, token: undefined, pttlMs: 0, state: 'released' as const, storeMs: 1_002_000 };
    for (const [tookMs, believed] of [
      [1000, true],
      [1001, false],
    ] as const) {
      const standby = watching();
      standby.at(2000 + tookMs, { kind: 'observed', view: free, sentAtMs: 2000, rank: 0, unit: 0 });
      expect(standby.state.contendAtMs !== undefined, `after ${String(tookMs)} ms`).to.equal(believed);
      if (!believed) expect(standby.at(2000 + tookMs, { kind: 'tick', unit: 0, slackMs: 0 })).to.include('observe');
    }
  });

  it('is told that the store had lost what was in it, and only then', () => {
    expect(taken({ state: 'released' } as object)).to.include({ kind: 'lead', forgot: false });
    expect(taken({ epoch: 0, fenceToken: '', state: 'none' } as object)).to.include({ kind: 'lead', forgot: true });
    expect(taken({ incarnation: 'another' })).to.include({ kind: 'lead', forgot: true });
  });
});
