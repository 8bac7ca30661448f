import { SCENARIOS } from './scenarios.ts';
import { row } from './suite.ts';

describe('chaos, the quick rows (npm run chaos has them all)', () => {
  for (const scenario of SCENARIOS) if (scenario.quick === true) row(scenario);
});
