import { expect } from 'chai';
import { PLANTS } from './plants.ts';
import { SCENARIOS } from './scenarios.ts';
import { SOMETIMES } from './seen.ts';
import { choose, CORE, thirdOf } from './third.ts';

const known = { rows: SCENARIOS.map(({ id }) => id), plants: PLANTS.map(({ id }) => id) };
const commit = { kind: 'commit', name: '52d36e3' } as const;

describe('which rows a run plays', () => {
  it('the core is ten rows that exist, and what they make happen is everything that must be met', () => {
    expect(CORE.size).to.equal(10);
    expect([...CORE.keys()].filter((id) => !known.rows.includes(id))).to.deep.equal([]);
    const caused = new Set([...CORE.values()].flat());
    expect(SOMETIMES.filter((one) => !caused.has(one))).to.deep.equal([]);
  });

  it('the three thirds share the core and nothing else, and are all together', () => {
    const thirds = ['0', '1', '2'].map((third) => choose({ third }, commit, known));
    for (const { rows, plants } of thirds) {
      expect([...CORE.keys()].filter((id) => !rows.includes(id))).to.deep.equal([]);
      expect(rows.length - CORE.size).to.be.closeTo((known.rows.length - CORE.size) / 3, 1);
      expect(plants.length).to.be.closeTo(known.plants.length / 3, 1);
    }
    for (const what of ['rows', 'plants'] as const) {
      const played = thirds.flatMap((one) => one[what]).filter((id) => !CORE.has(id));
      expect(played.toSorted()).to.deep.equal(known[what].filter((id) => !CORE.has(id)).toSorted());
    }
  });

  it('the commit chooses the third, and every third is chosen by some', () => {
    const { text, rows } = choose({ third: 'commit' }, commit, known);
    const third = String(thirdOf(commit.name));
    expect(text).to.equal(`third ${third} of 0, 1 and 2, chosen by commit 52d36e3`);
    expect(rows).to.deep.equal(choose({ third }, commit, known).rows);
    const counts = [0, 0, 0];
    for (let n = 0; n < 300; n += 1) counts[thirdOf(`commit ${String(n)}`)]! += 1;
    for (const count of counts) expect(count).to.be.within(70, 130);
  });

  it('all are played where no third is asked for, or all are; some by their names; nonsense is refused', () => {
    expect(choose({}, commit, known)).to.deep.equal({ text: 'all', ...known });
    expect(choose({ third: 'commit', all: '1' }, commit, known)).to.deep.equal({ text: 'all', ...known });
    expect(choose({ only: 'P1,no-gate' }, commit, { rows: ['P1', 'P2'], plants: ['no-gate'] })).to.deep.equal({
      text: 'only P1, no-gate',
      rows: ['P1'],
      plants: ['no-gate'],
    });
    expect(() => choose({ only: 'P1,P99' }, commit, known)).to.throw(/P99 is no row/);
    expect(() => choose({ third: '3' }, commit, known)).to.throw(/must be commit, 0, 1 or 2/);
  });
});
