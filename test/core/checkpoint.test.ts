import { expect } from 'chai';
import {
  checkpointAnswered,
  checkpointDeadline,
  checkpointDue,
  checkpointWriting,
  freshCheckpoint,
  type CheckpointPolicy,
  type CheckpointState,
} from '../../src/core/checkpoint.ts';

const POLICY: CheckpointPolicy = {
  everyMs: 100,
  urgentAfter: 10,
  backoff: { baseMs: 200, multiplier: 2, maxMs: 5000, jitterLow: 1, jitterHigh: 1 },
};
const due = (state: CheckpointState, floor: number, nowMs: number, urgent = false): number | undefined =>
  checkpointDue(POLICY, state, floor, { nowMs, urgent });
const answered = (state: CheckpointState, answer: 'stored' | 'fenced' | 'failed', nowMs: number): CheckpointState =>
  checkpointAnswered(POLICY, state, answer, { nowMs, unit: 0 });

describe('when a checkpoint is written', () => {
  // Survivor of the mutants by hand: a failed write counts as stored.
  it('a write that failed is not stored: it is due again, after a growing wait, up to where the prefix ends then', () => {
    const failed = answered(checkpointWriting(POLICY, freshCheckpoint, 5, 0), 'failed', 50);
    expect(failed).to.deep.include({ storedOrd: 0, writing: undefined, failures: 1 });
    expect(checkpointDeadline(failed, 5)).to.equal(250);
    expect([due(failed, 5, 249), due(failed, 7, 250)]).to.deep.equal([undefined, 7]);
    const again = answered(checkpointWriting(POLICY, failed, 7, 250), 'failed', 300);
    expect(checkpointDeadline(again, 7), 'twice as long').to.equal(700);
    const stored = answered(checkpointWriting(POLICY, again, 7, 700), 'stored', 710);
    expect(stored).to.deep.include({ storedOrd: 7, failures: 0 });
  });

  it('a store that fails is not asked more often because it is urgent', () => {
    const failed = answered(checkpointWriting(POLICY, freshCheckpoint, 5, 0), 'failed', 0);
    expect(due(failed, 5, 100, true)).to.equal(undefined);
    expect(due(failed, 50, 100)).to.equal(undefined);
    expect(due(failed, 50, 200, true)).to.equal(50);
  });

  it('one write at a time, at most every 100 ms, at once when it is urgent or when enough waits', () => {
    const writing = checkpointWriting(POLICY, freshCheckpoint, 5, 0);
    expect([due(writing, 99, 1000, true), checkpointDeadline(writing, 99)]).to.deep.equal([undefined, undefined]);
    const stored = answered(writing, 'stored', 10);
    expect(due(stored, 5, 1000, true), 'nothing new').to.equal(undefined);
    expect([due(stored, 6, 99), due(stored, 6, 100), due(stored, 6, 11, true)]).to.deep.equal([undefined, 6, 6]);
    expect([due(stored, 14, 11), due(stored, 15, 11)]).to.deep.equal([undefined, 15]);
  });

  it('a refused epoch is final', () => {
    const fenced = answered(checkpointWriting(POLICY, freshCheckpoint, 5, 0), 'fenced', 10);
    expect([fenced.fenced, fenced.storedOrd, due(fenced, 9, 100_000, true)]).to.deep.equal([true, 0, undefined]);
    expect(checkpointDeadline(fenced, 9)).to.equal(undefined);
  });
});
