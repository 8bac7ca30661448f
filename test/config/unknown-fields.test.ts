import { expect } from 'chai';
import fc from 'fast-check';
import { ATTACHED, BY_HAND } from '../../src/config/installation.ts';
import { checkDocuments } from '../../src/config/load-documents.ts';
import { compileDocuments } from '../../src/operator/attach/compile-documents.ts';
import { injectWorkloads } from '../../src/operator/attach/workload-yaml.ts';
import { DEFAULT_SETTINGS } from '../../src/operator/attach/attach.ts';
import type { ClientObject, StreamObject } from '../../src/operator/api/resources.ts';
import { eventStream, streamClient } from '../kubernetes/plane.ts';

// Found and mended: A13
describe('documents of a newer version', () => {
  const text = (client: Record<string, unknown>, stream: Record<string, unknown>): string =>
    [streamClient('c', { credentials: { directory: '/x' }, ...client }), eventStream('s', 'c', stream)]
      .map((one) => JSON.stringify(one))
      .join('\n---\n');
  const newer = text(
    {
      newFieldOfV2: { on: true },
      reconnect: { newDelay: '1s', baseDelay: '2s' },
      maintenance: [{ dailyAt: '01:00', for: '1h', zone: 'UTC' }],
    },
    { delivery: { mode: 'Push', push: { url: 'http://127.0.0.1:1/', compression: 'zstd' } }, tags: [] },
  );

  it('attached: fields that are not known are left out with a warning each; all the others count', () => {
    const { documents, problems } = checkDocuments([{ name: 'f', text: newer }], ATTACHED);
    expect(problems).to.deep.equal([]);
    expect(documents.warnings.filter((one) => one.includes('not a known field')).sort()).to.deep.equal(
      [
        'f#1.spec.maintenance.0.zone',
        'f#1.spec.newFieldOfV2',
        'f#1.spec.reconnect.newDelay',
        'f#2.spec.delivery.push.compression',
        'f#2.spec.tags',
      ].map((path) => `${path} is not a known field of this version; it is left out`),
    );
    expect(documents.clients[0]?.spec.reconnect.baseDelay).to.equal(2000);
    expect(documents.streams[0]?.spec.delivery.push?.url).to.equal('http://127.0.0.1:1/');
  });

  it('by hand they stay mistakes', () => {
    const { problems } = checkDocuments([{ name: 'f', text: newer }], BY_HAND);
    expect(problems.map((one) => one.field)).to.include.members(['f#1.spec.newFieldOfV2', 'f#2.spec.tags']);
  });

  it('what is known and wrong stays a mistake, whatever stands beside it', () => {
    const wrong = text({ more: 1, reconnect: { baseDelay: 'soon', new: 1 } }, { dialect: 'other', more: 1 });
    const { problems } = checkDocuments([{ name: 'f', text: wrong }], ATTACHED);
    expect(problems.map((one) => one.field)).to.have.members(['f#1.spec.reconnect.baseDelay', 'f#2.spec.dialect']);
  });

  it('a valid document with any unknown fields is the same document', () => {
    const name = fc.string({ minLength: 1, maxLength: 8 }).map((one) => `x_${one}`);
    fc.assert(
      fc.property(fc.dictionary(name, fc.jsonValue()), fc.dictionary(name, fc.jsonValue()), (top, inner) => {
        const plain = text({}, { delivery: { mode: 'Pull' } });
        const more = text(top, { ...top, delivery: { mode: 'Pull', ...inner } });
        const of = (one: string) => checkDocuments([{ name: 'f', text: one }], ATTACHED);
        expect(of(more).problems).to.deep.equal([]);
        expect(of(more).documents.streams).to.deep.equal(of(plain).documents.streams);
        expect(of(more).documents.clients).to.deep.equal(of(plain).documents.clients);
      }),
    );
  });

  it('injector and controller pass them on; inject, whose text is written by hand, does not', () => {
    const client = streamClient('c', { newFieldOfV2: 1 });
    const stream = eventStream('s', 'c');
    expect(compileDocuments(client as unknown as ClientObject, [stream as unknown as StreamObject])).to.have.property(
      'documents',
    );
    const pod = {
      kind: 'Pod',
      metadata: { name: 'p', labels: { 'holdfast.dev/client': 'c' } },
      spec: { containers: [{ name: 'app' }] },
    };
    const { problems } = injectWorkloads(
      [client, stream, pod].map((one) => JSON.stringify(one)).join('\n---\n'),
      DEFAULT_SETTINGS,
    );
    expect(problems.join()).to.include('newFieldOfV2');
  });
});
