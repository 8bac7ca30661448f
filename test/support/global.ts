import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { seededBy } from './random.ts';

/** One seed for everything random in a run, printed, so that a failure can be repeated: HOLDFAST_SEED=N npm test */
export const SEED = Number(process.env['HOLDFAST_SEED'] ?? randomBytes(4).readUInt32BE(0) % 1_000_000_007);
process.env['HOLDFAST_SEED'] = String(SEED);
// A list of commands is as long as its property says: by itself the library draws ten or fewer.
fc.configureGlobal({ seed: SEED, defaultSizeToMaxWhenMaxSpecified: true });

/** A sequence of its own for each salt, out of the seed of this run. */
export function seeded(salt: number): () => number {
  return seededBy(SEED, salt);
}

export const mochaHooks = {
  afterEach(this: Mocha.Context): void {
    if (this.currentTest?.state === 'failed')
      process.stderr.write(`\nseed ${String(SEED)} (HOLDFAST_SEED=${String(SEED)}): ${this.currentTest.fullTitle()}\n`);
  },
};
