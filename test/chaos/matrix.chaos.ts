import { expect } from 'chai';
import { PLANTS } from './plants.ts';
import { SCENARIOS } from './scenarios.ts';
import { SOMETIMES, type Seen } from './seen.ts';
import { row } from './suite.ts';
import { chooseNow, CORE } from './third.ts';

const choice = chooseNow({ rows: SCENARIOS.map(({ id }) => id), plants: PLANTS.map(({ id }) => id) });
const seen = new Set<Seen>();
process.stdout.write(
  `chaos: ${String(choice.rows.length)} of ${String(SCENARIOS.length)} rows, ${choice.text}: ` +
    `${choice.rows.join(' ')}\n`,
);

describe('chaos, the rows of the fault matrix', () => {
  for (const scenario of SCENARIOS) {
    if (!choice.rows.includes(scenario.id)) continue;
    row(scenario, (judgement) => {
      for (const one of judgement.seen) seen.add(one);
      if (process.env['HOLDFAST_CHAOS_FIGURES'] !== undefined)
        process.stdout.write(`      met: ${[...judgement.seen].join(', ')}\n`);
      const unmet = (CORE.get(scenario.id) ?? []).filter((one) => !judgement.seen.has(one));
      expect(unmet, 'what this row of the core must make happen').to.deep.equal([]);
    });
  }

  it('the rows together met everything that must be met', function () {
    if (process.env['HOLDFAST_CHAOS_ONLY'] !== undefined) this.skip();
    expect(SOMETIMES.filter((one) => !seen.has(one))).to.deep.equal([]);
  });
});
