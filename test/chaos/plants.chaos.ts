import { expect } from 'chai';
import { PLANTS } from './plants.ts';
import { Rig } from './rig.ts';
import { SCENARIOS } from './scenarios.ts';

const only = process.env['HOLDFAST_CHAOS_ONLY']?.split(',');

describe('planted faults: the judge names each', () => {
  for (const plant of PLANTS) {
    if (only !== undefined && !only.includes(plant.id)) continue;
    it(`${plant.id}: ${plant.say}`, async function () {
      this.timeout(150_000);
      const scenario = SCENARIOS.find((one) => one.id === plant.row);
      if (scenario === undefined) throw new Error(`no row ${plant.row}`);
      const rig = await Rig.start('genesys-streams', scenario.facts ?? {}, { ...scenario.options, node: [`--import=${new URL('./plant.ts', import.meta.url).href}`], env: { HOLDFAST_TEST_PLANT: plant.id } });
      rig.fleet.sim.rate = 500;
      await rig.flows(300);
      const broken = new Set<string>();
      // With a fault planted the row itself may be in vain: that is a finding too.
      await scenario.run(rig).catch(() => broken.add('row'));
      for (const { rule } of (await rig.judge()).violations) broken.add(rule);
      expect(rig.fleet.output, 'the planted code ran').to.include(`{"planted":"${plant.id}","ran":true}`);
      expect([...broken].filter((rule) => plant.rules.includes(rule)), `broken: ${[...broken].join(' ')}`).to.not.deep.equal([]);
    });
  }
});
