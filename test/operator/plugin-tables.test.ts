import { expect } from 'chai';
import { auditLines, outdated } from '../../src/operator/plugin-tables.ts';

describe('the plugin', () => {
  it('puts audit records of several logs in order', () => {
    expect(
      auditLines('{"audit":true,"timestamp":"2","event":"b"}\nnoise\n{"audit":true,"timestamp":"1","event":"a"}\n').map(
        (line) => (JSON.parse(line) as { readonly event: string }).event,
      ),
    ).to.deep.equal(['a', 'b']);
  });

  it('names each workload with old sidecars once', () => {
    const pod = (name: string, version: string) => ({
      metadata: { name, namespace: 'n', labels: { 'holdfast.dev/injected-version': version } },
    });
    const { rows, commands } = outdated([pod('a', '1'), pod('b', '1'), pod('c', '2')], '2', () => 'deployment/app');
    expect(rows.map((row) => row[1])).to.deep.equal(['a', 'b']);
    expect(commands).to.deep.equal([
      'kubectl rollout restart deployment/app -n n && kubectl rollout status deployment/app -n n',
    ]);
  });
});
