import { seededBy } from '../support/random.ts';
import { expect } from 'chai';
import { StreamWorld } from './stream-world.ts';

// The runs of the suite are always the same, so that it never fails by chance; HOLDFAST_STREAM_SEED looks at others.
const SEED = Number(process.env['HOLDFAST_STREAM_SEED'] ?? 1);
const SEEDS = Number(process.env['HOLDFAST_STREAM_SEEDS'] ?? 1000);
/** Runs of seed 1 among 100,000 that once were violated. */
const FOUND = [
  1065, 5223, 5783, 8060, 8965, 13908, 17561, 24388, 26832, 27826, 51093, 59104, 64290, 65351, 73571, 77378, 77993,
  78982, 79015, 81590, 87267, 28181, 30212, 37419, 37821, 49165, 49604, 66593, 87931, 90178, 95163,
];
const FIRST = Number(process.env['HOLDFAST_STREAM_FIRST'] ?? 0);

describe(
  'a whole stream on virtual time, with every fault of ' + 'platform, network, store, lease and consumer',
  function () {
    this.timeout(0);

    it(
      `${String(SEEDS)} seeds: nothing lost without a word, in order, repeats bounded and marked, and everything ` +
        'goes on',
      async () => {
        const violations: string[] = [];
        const seen = new Map<string, number>();
        const runs = [...Array.from({ length: SEEDS }, (_, at) => FIRST + at), ...(SEED === 1 ? FOUND : [])];
        for (const n of runs) {
          if (violations.length >= 20) break;
          const world = new StreamWorld({}, seededBy(SEED, 2_000_000 + n));
          for (const one of await world.run()) violations.push(`run ${String(n)} of seed ${String(SEED)}: ${one}`);
          for (const [what, count] of world.judge.seen) seen.set(what, (seen.get(what) ?? 0) + count);
        }
        if (process.env['HOLDFAST_STREAM_FIGURES'] !== undefined)
          process.stdout.write(`${JSON.stringify(Object.fromEntries([...seen].sort()), undefined, 1)}\n`);
        expect(violations).to.deep.equal([]);
      },
    );
  },
);
