import { SCENARIOS } from './scenarios.ts';
import { row } from './suite.ts';

const only = process.env['HOLDFAST_CHAOS_ONLY']?.split(',');

describe('chaos, every row', () => {
  for (const scenario of SCENARIOS) if (only === undefined || only.includes(scenario.id)) row(scenario);
});
