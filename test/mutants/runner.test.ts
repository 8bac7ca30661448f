import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { misfits } from '../support/edits.ts';
import { MUTANTS } from './all.ts';
import type { Mutant } from './mutant.ts';
import { notGreen, play, playAll } from './play.ts';

const FILE = 'src/core/dialing/rate-gate.ts';
const WRONG: Mutant = {
  id: 'wrong',
  say: 'a wrong change',
  tests: ['test/core/machines.test.ts'],
  only: 'the gate',
  edits: [{ file: FILE, find: 'state.inFlight >= policy.concurrent', replace: 'state.inFlight > policy.concurrent' }],
};
const EQUIVALENT: Mutant = {
  ...WRONG,
  id: 'equivalent',
  edits: [{ file: FILE, find: 'state.inFlight >= policy.concurrent', replace: 'policy.concurrent <= state.inFlight' }],
};

/** The runner proves itself: it must not call everything killed. */
describe('the runner of the mutants', function () {
  this.timeout(60_000);

  it('tells a wrong change from one that changes nothing, and leaves the file alone', async () => {
    const before = readFileSync(FILE, 'utf8');
    const told: string[] = [];
    const totals = await playAll([WRONG, EQUIVALENT], ({ id }, { kind }) => told.push(`${id} ${kind}`));
    expect(told.sort()).to.deep.equal(['equivalent survived', 'wrong killed']);
    expect(totals).to.deep.equal({ killed: 1, survived: 1, misfits: 0 });
    expect(readFileSync(FILE, 'utf8')).to.equal(before);
  });

  it(
    'calls no mutant killed that does not fit, is not loaded, ' + 'breaks the program’s grammar or has no test',
    async () => {
      const edit = { file: FILE, find: 'inFlight', replace: 'x' };
      const wrong: readonly (readonly [Partial<Mutant>, RegExp])[] = [
        [{ edits: [] }, /no edit/],
        [{ edits: [edit] }, /stands \d+ times .* not once/],
        [{ edits: [{ ...edit, find: 'no such code' }] }, /stands 0 times/],
        [
          { edits: [{ file: 'src/core/units.ts', find: 'export function earliest', replace: 'export const = x' }] },
          /did not run/,
        ],
        [
          { edits: [{ file: 'src/coordination/sealed-value.ts', find: 'randomBytes(16)', replace: 'x' }] },
          /was not loaded/,
        ],
        [{ only: 'a title no test has' }, /no test/],
      ];
      for (const [more, expected] of wrong) {
        const outcome = await play({ ...WRONG, ...more });
        expect(outcome.kind, expected.source).to.equal('misfit');
        expect(outcome.text).to.match(expected);
      }
    },
  );

  it('asks first that the tests are green without the mutant', async () => {
    expect(await notGreen(WRONG)).to.equal(undefined);
    expect(await notGreen({ ...WRONG, only: 'a title no test has' })).to.include('no test');
    expect(await notGreen({ tests: ['test/no/such.test.ts'] })).to.include('do not run');
  });

  it('has a list that fits the source, with names of its own and tests that exist', () => {
    expect(MUTANTS.flatMap(({ id, edits }) => misfits(edits).map((what) => `${id}: ${what}`))).to.deep.equal([]);
    expect(MUTANTS.flatMap(({ tests }) => tests.filter((file) => !existsSync(file)))).to.deep.equal([]);
    expect(new Set(MUTANTS.map(({ id }) => id)).size).to.equal(MUTANTS.length);
  });
});
