import { expect } from 'chai';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changedConfiguration } from '../../src/cli/await-configuration.ts';
import type { ConfigProblem } from '../../src/config/config-problem.ts';
import { until } from '../support/until.ts';

// Found and mended: A7 (a token that this pod does not mount)
describe('a changed configuration', () => {
  it(
    'that this pod cannot use is told once and leaves the old one ' + 'at work; the next one that is usable is taken',
    async function () {
      this.timeout(40_000);
      const file = join(mkdtempSync(join(tmpdir(), 'hf-renewal-')), 'documents.yaml');
      const missing: ConfigProblem = { code: 'HF_CONFIG_SECRET', field: 'f', rule: 'does not exist', remedy: 'r' };
      const told: (readonly ConfigProblem[])[] = [];
      let [asked, usable, taken] = [0, false, false];
      writeFileSync(file, 'a: 1');
      const renewed = changedConfiguration({
        files: [file],
        also: [],
        usable: () => {
          asked += 1;
          return Promise.resolve(usable ? [] : [missing]);
        },
        told: (problems) => told.push(problems),
        random: () => 0,
        leads: () => false,
        othersRun: () => Promise.resolve(true),
      }).then(() => {
        taken = true;
      });
      writeFileSync(file, 'a: 2');
      await until('it was asked more than once', () => asked > 1, 15_000);
      expect(taken).to.equal(false);
      expect(told).to.deep.equal([[missing]]);
      usable = true;
      await renewed;
      expect(told).to.have.length(1);
    },
  );
});
