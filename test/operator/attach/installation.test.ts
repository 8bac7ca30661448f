import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PLUGIN = new URL('../../../src/cli/kubectl-holdfast.ts', import.meta.url).pathname;
const DEPLOYMENT = JSON.stringify({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd' },
  spec: {
    template: {
      metadata: { labels: { 'holdfast.dev/client': 'orders' } },
      spec: { containers: [{ name: 'app' }] },
    },
  },
});
interface Found {
  readonly kind: string;
  readonly namespace?: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}
const settings = (namespace: string, name: string, image: string): Found => ({
  kind: 'configmaps',
  namespace,
  metadata: { name },
  data: { 'settings.json': JSON.stringify({ image, storeUrl: `redis://${namespace}:6379/0` }) },
});
const webhook = (at: string): Found => ({
  kind: 'mutatingwebhookconfigurations',
  metadata: { name: `w-${at.replace('/', '-')}`, annotations: { 'holdfast.dev/settings': at } },
});

/** A kubectl that knows these objects, by kind and namespace. */
function kubectl(objects: readonly Found[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'hf-kubectl-'));
  const file = join(directory, 'kubectl');
  writeFileSync(
    file,
    `#!${process.execPath}
const [, kind, ...rest] = process.argv.slice(2);
const namespace = rest[rest.indexOf('-n') + 1];
const all = rest.includes('-A');
const objects = ${JSON.stringify(objects)};
const here = (one) => all || one.namespace === undefined || one.namespace === namespace;
const items = objects.filter((one) => one.kind === kind && here(one));
console.log(JSON.stringify({ items }));
`,
  );
  chmodSync(file, 0o755);
  return directory;
}

function inject(
  objects: readonly Found[],
  ...more: readonly string[]
): Promise<{ readonly code: number | null; readonly out: string; readonly said: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'hf-inject-'));
  writeFileSync(join(directory, 'd.yaml'), DEPLOYMENT);
  const child = spawn(process.execPath, [PLUGIN, 'inject', '-f', join(directory, 'd.yaml'), ...more], {
    env: { ...process.env, PATH: kubectl(objects) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, said })));
}

// Found and mended: A6
describe('kubectl holdfast inject: whose image', function () {
  this.timeout(60_000);
  const ours = [settings('system', 'holdfast-injector', 'ours:1'), webhook('system/holdfast-injector')];
  const evil = settings('aaa-team', 'holdfast-injector', 'evil.example/holdfast:1');

  it(
    'is that of the installation which cluster-scoped objects name, and is said; a ConfigMap of any namespace ' +
      'is not',
    async () => {
      const { code, out, said } = await inject([evil, ...ours, settings('system', 'other', 'evil.example/2')]);
      expect(code).to.equal(0);
      expect(out).to.include('image: ours:1').and.include('redis://system:6379/0').and.not.include('evil');
      expect(said).to.include('image ours:1, store redis://system:6379/0 (installation system/holdfast-injector)');
    },
  );

  it('without one that can be trusted it is the default, with a warning', async () => {
    const { out, said } = await inject([evil]);
    expect(out).to.not.include('evil');
    expect(said).to.include('no installation was found').and.include('image holdfast:');
  });

  it('of several must be chosen', async () => {
    const two = [...ours, settings('second', 'holdfast-injector', 'theirs:2'), webhook('second/holdfast-injector')];
    const refused = await inject(two);
    expect(refused.code).to.equal(1);
    expect(refused.said).to.include('several installations here (second, system)').and.include('--installation');
    expect(refused.out).to.equal('');
    const chosen = await inject(two, '--installation', 'second');
    expect(chosen.out).to.include('image: theirs:2');
    const nowhere = await inject(two, '--installation', 'empty');
    expect([nowhere.code, nowhere.said]).to.deep.equal([
      1,
      'there is no installation in namespace empty, or it is not yours to read\n',
    ]);
  });
});
