import { expect } from 'chai';
import {
  checkpointAnswered,
  checkpointDeadline,
  checkpointDue,
  checkpointWriting,
  freshCheckpoint,
  type CheckpointPolicy,
  type CheckpointSchedule,
} from '../../../src/core/events/checkpoint-schedule.ts';

const POLICY: CheckpointPolicy = {
  everyMs: 100,
  everyLargeMs: 1000,
  urgentAfter: 10,
  backoff: { baseMs: 200, multiplier: 2, maxMs: 5000, jitterLow: 1, jitterHigh: 1 },
};
const due = (state: CheckpointSchedule, waiting: number, nowMs: number, urgent = false): boolean =>
  checkpointDue(POLICY, state, waiting, { nowMs, urgent });
const writing = (state: CheckpointSchedule, nowMs: number, large = false): CheckpointSchedule =>
  checkpointWriting(POLICY, state, { nowMs, large });
const answered = (
  state: CheckpointSchedule,
  answer: 'stored' | 'fenced' | 'failed',
  nowMs: number,
): CheckpointSchedule => checkpointAnswered(POLICY, state, answer, { nowMs, unit: 0 });

describe('when a checkpoint is written', () => {
  // Survivor of the mutants by hand: a failed write counts as stored.
  it('a write that failed is due again, after a growing wait', () => {
    const failed = answered(writing(freshCheckpoint, 0), 'failed', 50);
    expect(failed).to.deep.include({ writing: false, failures: 1 });
    expect(checkpointDeadline(failed, 5)).to.equal(250);
    expect([due(failed, 5, 249), due(failed, 5, 250)]).to.deep.equal([false, true]);
    const again = answered(writing(failed, 250), 'failed', 300);
    expect(checkpointDeadline(again, 7), 'twice as long').to.equal(700);
    expect(answered(writing(again, 700), 'stored', 710)).to.deep.include({ writing: false, failures: 0 });
  });

  it('a store that fails is not asked more often because it is urgent', () => {
    const failed = answered(writing(freshCheckpoint, 0), 'failed', 0);
    expect([due(failed, 5, 100, true), due(failed, 50, 100)]).to.deep.equal([false, false]);
    expect(due(failed, 50, 200, true)).to.equal(true);
  });

  it('one write at a time, at most every 100 ms, at once when it is urgent or when enough waits', () => {
    const under = writing(freshCheckpoint, 0);
    expect([due(under, 99, 1000, true), checkpointDeadline(under, 99)]).to.deep.equal([false, undefined]);
    const stored = answered(under, 'stored', 10);
    expect(due(stored, 0, 1000, true), 'nothing new').to.equal(false);
    expect([due(stored, 1, 99), due(stored, 1, 100), due(stored, 1, 11, true)]).to.deep.equal([false, true, true]);
    expect([due(stored, 9, 11), due(stored, 10, 11)]).to.deep.equal([false, true]);
  });

  it('a large record is written once a second, unless delivery waits for it', () => {
    const stored = answered(writing(freshCheckpoint, 0, true), 'stored', 10);
    expect([due(stored, 500, 999), due(stored, 500, 1000)]).to.deep.equal([false, true]);
    expect(due(stored, 500, 11, true)).to.equal(true);
  });

  it('a refused epoch is final', () => {
    const fenced = answered(writing(freshCheckpoint, 0), 'fenced', 10);
    expect([fenced.fenced, due(fenced, 9, 100_000, true)]).to.deep.equal([true, false]);
    expect(checkpointDeadline(fenced, 9)).to.equal(undefined);
  });
});
