import type { RunOptions } from './stream-world.ts';

/**
 * Plays runs of the stream simulation in a process of its own, so that faults can be planted in what it loads.
 * Arguments: first run, number of runs, options as JSON. Writes the first violated run as one JSON line: {"run",
 * "violation"}; nothing when all hold.
 */
const [first = '0', count = '1', options = '{}'] = process.argv.slice(2);
const { StreamWorld } = await import('./stream-world.ts');
const { seededBy } = await import('../support/random.ts');
for (let run = Number(first); run < Number(first) + Number(count); run += 1) {
  const [violation] = await new StreamWorld(JSON.parse(options) as RunOptions, seededBy(1, 2_000_000 + run)).run();
  if (violation === undefined) continue;
  process.stdout.write(`${JSON.stringify({ run, violation })}\n`);
  break;
}
