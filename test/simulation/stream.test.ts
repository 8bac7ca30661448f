import { seededBy } from '../support/random.ts';
import { expect } from 'chai';
import { StreamWorld } from './stream-world.ts';

// The runs of the suite are always the same, so that it never fails by chance; HOLDFAST_STREAM_SEED looks at others.
const SEED = Number(process.env['HOLDFAST_STREAM_SEED'] ?? 1);
const SEEDS = Number(process.env['HOLDFAST_STREAM_SEEDS'] ?? 1000);
const FIRST = Number(process.env['HOLDFAST_STREAM_FIRST'] ?? 0);

describe('a whole stream on virtual time, with every fault of platform, network, store, lease and consumer', function () {
  this.timeout(0);

  it(`${String(SEEDS)} seeds: nothing lost without a word, in order, repeats bounded and marked, and everything goes on`, async () => {
    const violations: string[] = [];
    const seen = new Map<string, number>();
    for (let n = FIRST; n < FIRST + SEEDS && violations.length < 20; n += 1) {
      const world = new StreamWorld({}, seededBy(SEED, 2_000_000 + n));
      for (const one of await world.run()) violations.push(`run ${String(n)} of seed ${String(SEED)}: ${one}`);
      for (const [what, count] of world.judge.seen) seen.set(what, (seen.get(what) ?? 0) + count);
    }
    if (process.env['HOLDFAST_STREAM_FIGURES'] !== undefined)
      process.stdout.write(`${JSON.stringify(Object.fromEntries([...seen].sort()), undefined, 1)}\n`);
    expect(violations).to.deep.equal([]);
  });
});
