import { expect } from 'chai';
import { misfits } from '../support/edits.ts';
import { CRASHES } from './crashes.ts';
import { PLANTS } from './plants.ts';
import { SCENARIOS } from './scenarios.ts';

describe('planted faults and crash points', () => {
  it('fit the source they are planted in, and name rows that exist', () => {
    const stale = [...PLANTS, ...CRASHES].flatMap(({ id, edits }) => misfits(edits).map((what) => `${id}: ${what}`));
    expect(stale).to.deep.equal([]);
    expect(
      PLANTS.filter((plant) => !SCENARIOS.some((row) => row.id === plant.row)).map((plant) => plant.id),
    ).to.deep.equal([]);
  });

  it('have names of their own', () => {
    const ids = [...PLANTS, ...CRASHES, ...SCENARIOS].map(({ id }) => id);
    expect(ids.length).to.equal(new Set(ids).size);
  });
});
