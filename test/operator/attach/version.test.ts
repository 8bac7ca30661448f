import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { HOLDFAST_VERSION } from '../../../src/config/version.ts';
import { DEFAULT_SETTINGS } from '../../../src/operator/attach/attach.ts';

describe('the version', () => {
  it('is the same in package, program and charts', () => {
    expect((JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }).version).to.equal(
      HOLDFAST_VERSION,
    );
    expect(DEFAULT_SETTINGS.version).to.equal(HOLDFAST_VERSION);
    for (const chart of ['holdfast', 'holdfast-lib'])
      expect(parse(readFileSync(`charts/${chart}/Chart.yaml`, 'utf8'))).to.deep.include({
        version: HOLDFAST_VERSION,
        appVersion: HOLDFAST_VERSION,
      });
  });
});
