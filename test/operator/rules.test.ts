import { expect } from 'chai';
import { checkDocuments } from '../../src/config/load-documents.ts';
import { eventStream, streamClient } from '../kubernetes/plane.ts';
import { CLUSTER_ONLY, wrongClients, wrongStreams } from '../kubernetes/wrong.ts';

/** As in a file: a directory instead of a Secret. */
const inFile = (spec: Record<string, unknown>): Record<string, unknown> => ({
  credentials: { directory: '/nowhere' },
  ...spec,
});
const problems = (...objects: readonly unknown[]): string =>
  checkDocuments([{ name: 'f', text: objects.map((one) => JSON.stringify(one)).join('\n---\n') }])
    .problems.map(({ field, rule }) => `${field} ${rule}`)
    .join('\n');

describe('what the API server refuses, the file check refuses too', () => {
  it('a plain pair is fine for both', () => {
    expect(problems(streamClient('c', inFile({})), eventStream('s', 'c'))).to.equal('');
  });
  for (const [what, spec] of wrongClients) {
    if (!CLUSTER_ONLY.has(what))
      it(`StreamClient: ${what}`, () => {
        expect(problems(streamClient('c', inFile(spec)), eventStream('s', 'c'))).to.not.equal('');
      });
  }
  for (const [what, spec] of wrongStreams) {
    if (CLUSTER_ONLY.has(what)) continue;
    it(`EventStream: ${what}`, () => {
      expect(problems(streamClient('c', inFile({})), eventStream('s', 'c', spec))).to.not.equal('');
    });
  }
});
