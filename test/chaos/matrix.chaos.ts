import { expect } from 'chai';
import { SCENARIOS } from './scenarios.ts';
import { SOMETIMES, type Seen } from './seen.ts';
import { row } from './suite.ts';

const only = process.env['HOLDFAST_CHAOS_ONLY']?.split(',');
const seen = new Set<Seen>();

describe('chaos, every row', () => {
  for (const scenario of SCENARIOS)
    if (only === undefined || only.includes(scenario.id))
      row(scenario, (judgement) => {
        for (const one of judgement.seen) seen.add(one);
      });

  it('the rows together met everything that must be met', function () {
    if (only !== undefined) this.skip();
    expect(SOMETIMES.filter((one) => !seen.has(one))).to.deep.equal([]);
  });
});
