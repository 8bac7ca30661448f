import { expect } from 'chai';
import { PLANTS } from './plants.ts';
import { SCENARIOS } from './scenarios.ts';
import { play } from './suite.ts';
import { chooseNow } from './third.ts';

const choice = chooseNow({ rows: SCENARIOS.map(({ id }) => id), plants: PLANTS.map(({ id }) => id) });
/** With a fault planted much never comes; it need not be waited for as long. */
const PATIENCE_MS = 8000;
const LOADER = `--import=${new URL('./plant.ts', import.meta.url).href}`;

process.stdout.write(
  `planted faults: ${String(choice.plants.length)} of ${String(PLANTS.length)}, ${choice.text}: ` +
    `${choice.plants.join(' ')}\n`,
);

describe('planted faults: the judge names each', () => {
  for (const plant of PLANTS) {
    if (!choice.plants.includes(plant.id)) continue;
    it(`${plant.id}: ${plant.say}`, async function () {
      this.timeout(200_000);
      const scenario = SCENARIOS.find((one) => one.id === plant.row);
      if (scenario === undefined) throw new Error(`no row ${plant.row}`);
      const { judgement, failed, output } = await play(scenario, {
        patienceMs: PATIENCE_MS,
        node: [...(scenario.options?.node ?? []), LOADER],
        env: { ...scenario.options?.env, HOLDFAST_TEST_PLANT: plant.id },
      });
      expect(output, 'the planted code ran').to.include(`{"planted":"${plant.id}","ran":true}`);
      const broken = new Set(judgement.violations.map((one) => one.rule));
      const said = [
        ...judgement.violations.map(({ rule, text }) => `${rule} ${text}`),
        failed instanceof Error ? failed.message : '',
      ].join('; ');
      if (process.env['HOLDFAST_CHAOS_FIGURES'] !== undefined)
        process.stdout.write(`      ${JSON.stringify(judgement.figures)} ${said}\n`);
      expect(
        [...broken].filter((rule) => plant.rules.includes(rule)),
        `broken: ${said}`,
      ).to.not.deep.equal([]);
    });
  }
});
