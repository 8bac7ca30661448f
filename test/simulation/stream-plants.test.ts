import { spawn } from 'node:child_process';
import { expect } from 'chai';
import { misfits } from '../support/edits.ts';
import type { StreamPlant } from './stream-plant.ts';
import { STREAM_PLANTS } from './stream-plants.ts';

const HOOK = new URL('../mutants/hook.ts', import.meta.url).href;
const RUN = new URL('./stream-run.ts', import.meta.url).pathname;

interface Found {
  readonly run: number;
  readonly violation: string;
}

/** Plays runs with the fault planted. Returns the first that is violated. @param count runs at most. */
async function hunt(plant: StreamPlant, first: number, count: number): Promise<Found | undefined> {
  const args = [`--import=${HOOK}`, RUN, String(first), String(count), JSON.stringify(plant.options)];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, HOLDFAST_TEST_EDITS: JSON.stringify(plant.edits) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(err.slice(-2000));
  for (const { file } of plant.edits) expect(err, 'the planted code was loaded').to.include(`{"mutated":"${file}"}`);
  return out === '' ? undefined : (JSON.parse(out) as Found);
}

// HOLDFAST_STREAM_HUNT=N looks for the first of N runs that finds each, for the list.
const HUNT = Number(process.env['HOLDFAST_STREAM_HUNT'] ?? 0);

describe('faults planted in the stages of a stream: the simulation finds each', function () {
  this.timeout(HUNT > 0 ? 0 : 60_000);

  for (const plant of STREAM_PLANTS)
    it(`${plant.id}: ${plant.say}`, async () => {
      expect(misfits(plant.edits)).to.deep.equal([]);
      const found = await (HUNT > 0 ? hunt(plant, 0, HUNT) : hunt(plant, plant.run, 1));
      if (HUNT > 0) process.stdout.write(`HUNT ${plant.id} ${JSON.stringify(found)}\n`);
      expect(found, `run ${String(plant.run)} of seed 1`).to.not.equal(undefined);
    });
});
