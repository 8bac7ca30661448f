import { expect } from 'chai';
import { TestSentinel } from '../support/sentinel.ts';
import { Rig } from './rig.ts';
import type { Scenario } from './scenarios.ts';

const RATE = 500;
const WARM_EVENTS = 300;

/** One row: warm up, the fault, heal, let everything arrive, ask the judge. */
export function row(scenario: Scenario): void {
  it(`${scenario.id}: ${scenario.say}`, async function () {
    this.timeout(90_000);
    const sentinel = scenario.sentinel === true ? await TestSentinel.start() : undefined;
    const options = sentinel === undefined ? {} : { store: sentinel.url, redis: sentinel.primary };
    const rig = await Rig.start('genesys-streams', scenario.facts ?? {}, { ...scenario.options, ...options }, sentinel);
    let failed: unknown;
    rig.fleet.sim.rate = RATE;
    // A row that fails is judged all the same, and leaves nothing running.
    await rig.flows(WARM_EVENTS).then(() => scenario.run(rig)).catch((error: unknown) => { failed = error; });
    const judgement = await rig.judge();
    await sentinel?.stop();
    if (failed !== undefined && judgement.violations.length === 0) throw failed as Error;
    const shown = judgement.violations.map(({ rule, text, at }) => `${rule}: ${text}${at === undefined ? '' : ` [${at.w} ${String(at.i)} ${at.k}]`}`);
    expect(shown, `${judgement.verdict} ${JSON.stringify(judgement.figures)}`).to.deep.equal([]);
    if (process.env['HOLDFAST_CHAOS_FIGURES'] !== undefined) process.stdout.write(`      ${JSON.stringify(judgement.figures)}\n`);
  });
}
