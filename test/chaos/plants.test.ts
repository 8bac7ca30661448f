import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { CRASHES } from './crashes.ts';
import { PLANTS } from './plants.ts';
import { SCENARIOS } from './scenarios.ts';

describe('planted faults and crash points', () => {
  it('fit the source they are planted in, and name rows that exist', () => {
    const stale = [...PLANTS, ...CRASHES].flatMap(({ id, edits }) => edits.filter(({ file, find }) => !readFileSync(file, 'utf8').includes(find)).map(({ file }) => `${id} in ${file}`));
    expect(stale).to.deep.equal([]);
    expect(PLANTS.filter((plant) => !SCENARIOS.some((row) => row.id === plant.row)).map((plant) => plant.id)).to.deep.equal([]);
  });

  it('have names of their own', () => {
    const ids = [...PLANTS, ...CRASHES, ...SCENARIOS].map(({ id }) => id);
    expect(ids.length).to.equal(new Set(ids).size);
  });
});
