import { randomBytes } from 'node:crypto';
import fc from 'fast-check';

/** One seed for everything random in a run, printed, so that a failure can be repeated: HOLDFAST_SEED=N npm test */
export const SEED = Number(process.env['HOLDFAST_SEED'] ?? randomBytes(4).readUInt32BE(0) % 1_000_000_007);
process.env['HOLDFAST_SEED'] = String(SEED);
fc.configureGlobal({ seed: SEED });

/** mulberry32: small, seeded, good enough for tests. */
export function seeded(salt: number): () => number {
  let state = (SEED ^ Math.imul(salt, 0x9e3779b1)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const mochaHooks = {
  afterEach(this: Mocha.Context): void {
    if (this.currentTest?.state === 'failed')
      process.stderr.write(`\nseed ${String(SEED)} (HOLDFAST_SEED=${String(SEED)}): ${this.currentTest.fullTitle()}\n`);
  },
};
