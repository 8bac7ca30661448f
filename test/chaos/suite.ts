import { expect } from 'chai';
import type { Judgement } from './checker.ts';
import { Rig } from './rig.ts';
import type { Scenario } from './scenarios.ts';

const RATE = 500;
const WARM_EVENTS = 300;
const LIMIT_MS = 150_000;

/**
 * Runs one row and asks the judge: warm up, the fault, heal, let everything arrive. `failed`: the row itself was in
 * vain.
 */
export async function play(
  scenario: Scenario,
  options: Scenario['options'] = {},
): Promise<{ readonly judgement: Judgement; readonly failed: unknown; readonly output: string }> {
  const rig = await Rig.start(scenario.facts ?? {}, { ...scenario.options, ...options });
  let failed: unknown;
  if (scenario.cold !== true) rig.fleet.sim.rate = RATE;
  // A row that fails is judged all the same, and leaves nothing running.
  await rig
    .flows(scenario.cold === true ? 0 : WARM_EVENTS)
    .then(() => scenario.run(rig))
    .catch((error: unknown) => {
      failed = error;
    });
  return { judgement: await rig.judge(), failed, output: rig.fleet.output };
}

export function row(scenario: Scenario, told?: (judgement: Judgement) => void): void {
  it(`${scenario.id}: ${scenario.say}`, async function () {
    this.timeout(LIMIT_MS);
    const { judgement, failed } = await play(scenario);
    if (failed !== undefined && judgement.violations.length === 0) throw failed as Error;
    const shown = judgement.violations.map(
      ({ rule, text, at }) => `${rule}: ${text}${at === undefined ? '' : ` [${at.w} ${String(at.i)} ${at.k}]`}`,
    );
    expect(shown, `${judgement.verdict} ${JSON.stringify(judgement.figures)}`).to.deep.equal([]);
    if (process.env['HOLDFAST_CHAOS_FIGURES'] !== undefined)
      process.stdout.write(`      ${JSON.stringify(judgement.figures)}\n`);
    told?.(judgement);
  });
}
