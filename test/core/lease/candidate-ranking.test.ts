import { expect } from 'chai';
import { ESCAPE_AFTER_MS, ESCAPE_MAX_MS, noEscape, stepEscape } from '../../../src/core/lease/escape.ts';
import { alive, heirsOf, rankOf, type Member } from '../../../src/core/lease/candidate-ranking.ts';

const member = (id: string, more: Partial<Member> = {}): Member => ({
  id,
  seenStoreMs: 100_000,
  sinceStoreMs: 0,
  revision: 'r1',
  load: 0,
  ready: true,
  refused: false,
  ...more,
});

// Found and mended: A5
describe('candidates whose credentials were refused', () => {
  const members = [member('a'), member('b', { refused: true }), member('c'), member('d', { ready: false })];

  it('are the last heirs, also where their revision is the newest', () => {
    const heirs = heirsOf('a', 'lease', [
      ...members,
      member('e', { refused: true, revision: 'r2', sinceStoreMs: 50_000 }),
      member('f', { revision: 'r2', sinceStoreMs: 50_000 }),
    ]);
    expect(heirs).to.deep.equal(['f', 'c', 'e', 'b']);
  });

  it('try for a free lease after those that are ready and were not refused', () => {
    for (const lease of ['one', 'two', 'three', 'four', 'five', 'six']) {
      const order = [...members].sort((x, y) => rankOf(x.id, lease, members) - rankOf(y.id, lease, members));
      expect(order.map((one) => one.id).slice(2), lease).to.deep.equal(['b', 'd']);
    }
  });
});

// Found and mended: B16
describe('a candidate whose record is not renewed', () => {
  it('is there for one and a half ttl, and then no more', () => {
    const there = (nowMs: number): number => alive([member('a')], nowMs, 6000).length;
    expect([there(100_000), there(109_000), there(109_001)]).to.deep.equal([1, 1, 0]);
  });
});

// Found and mended: A5
describe('a leader that cannot do its work', () => {
  it('looks for another one at once, then after a minute, then after twice as long each time, up to an hour', () => {
    const tries: number[] = [];
    let state = noEscape;
    for (let nowMs = 0; nowMs < 24 * ESCAPE_MAX_MS; nowMs += 1000) {
      const step = stepEscape(state, true, nowMs);
      state = step.state;
      if (step.due) tries.push(nowMs);
    }
    const distances = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
    expect(tries[0]).to.equal(0);
    expect(distances.slice(0, 7)).to.deep.equal([1, 2, 4, 8, 16, 32, 60].map((times) => times * ESCAPE_AFTER_MS));
    expect(new Set(distances.slice(6))).to.deep.equal(new Set([ESCAPE_MAX_MS]));
  });

  it('waits on although it was fit for a moment, and begins anew once it was fit when a try was due', () => {
    let { state } = stepEscape(noEscape, true, 0);
    ({ state } = stepEscape(state, false, 1000));
    expect(stepEscape(state, true, 2000).due).to.equal(false);
    ({ state } = stepEscape(state, false, ESCAPE_AFTER_MS));
    expect(stepEscape(state, true, ESCAPE_AFTER_MS + 1).due).to.equal(true);
  });
});
