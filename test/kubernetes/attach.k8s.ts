import { expect } from 'chai';
import { mkdtempSync, writeFileSync, cpSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { command } from '../support/process.ts';
import type { Cluster } from './cluster.ts';
import {
  app,
  eventStream,
  injector,
  install,
  namespace,
  pod,
  streamClient,
  type Part,
  type PodObject,
} from './plane.ts';

const LIB = new URL('../../charts/holdfast-lib', import.meta.url).pathname;
const COMPONENT = new URL('../../manifests/kustomize/component', import.meta.url).pathname;

/** What the API server adds, and the order of keys, tell nothing. */
function normal(container: unknown): unknown {
  const drop = new Set(['terminationMessagePath', 'terminationMessagePolicy']);
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !drop.has(name))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, one]) => [name, walk(one)]),
    );
  };
  return walk(container);
}

const sidecarOf = (spec: PodObject['spec']): Record<string, unknown> | undefined =>
  spec.initContainers?.find((one) => one['name'] === 'holdfast');

export function attaching(of: () => Cluster): void {
  describe('attaching', () => {
    let part: Part;
    const seen = new Map<string, unknown>();
    const create = (
      name: string,
      client: string | undefined,
      spec: Record<string, unknown> = {},
      ...more: readonly string[]
    ) => of().pipe(pod(name, client, spec), 'create', '-n', 'apps', ...more);
    const got = (name: string): PodObject => of().get('pod', name, '-n', 'apps') as PodObject;

    before(async () => {
      const done = install(of());
      expect(done.err + done.out).to.include('STATUS: deployed');
      part = await injector(of());
      namespace(of(), 'apps');
      await of().until(
        'the service account is there',
        () => of().kubectl('get', 'serviceaccount', 'default', '-n', 'apps').code === 0,
      );
      expect(
        of().pipe(
          [
            streamClient('orders'),
            eventStream('routing', 'orders'),
            eventStream('calls', 'orders', { path: 'call-streams' }),
          ],
          'apply',
          '-n',
          'apps',
        ).err,
      ).to.equal('');
      await of().until(
        'the injector knows the client',
        () => create('probe', 'orders', {}, '--dry-run=server').code === 0,
      );
    });
    after(async () => {
      await part.end();
    });

    it(
      'a Deployment whose template has the label gets pods with the sidecar, in a namespace that enforces ' +
        'restricted',
      async () => {
        const deployment = {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'orders' },
          spec: {
            replicas: 2,
            selector: { matchLabels: { app: 'orders' } },
            template: {
              metadata: { labels: { app: 'orders', 'holdfast.dev/client': 'orders' } },
              spec: { containers: [app('app'), app('second')] },
            },
          },
        };
        expect(of().pipe(deployment, 'create', '-n', 'apps').err).to.equal('');
        const pods = (): PodObject[] =>
          (of().get('pods', '-n', 'apps', '-l', 'app=orders') as { readonly items: PodObject[] }).items;
        await of().until('its pods are there', () => pods().length === 2, 60_000);
        for (const one of pods()) {
          const sidecar = sidecarOf(one.spec);
          expect(sidecar?.['restartPolicy']).to.equal('Always');
          seen.set('webhook', normal(sidecar));
          // The application keeps its API token; the sidecar has none.
          const mounts = (sidecar?.['volumeMounts'] as { readonly name: string; readonly mountPath: string }[]).filter(
            (mount) => mount.mountPath.includes('serviceaccount'),
          );
          expect(mounts.map((mount) => mount.name)).to.deep.equal(['holdfast-config']);
          expect(JSON.stringify(one.spec.containers[0])).to.include('/var/run/secrets/kubernetes.io/serviceaccount');
          expect(one.metadata.labels?.['holdfast.dev/injected-version']).to.equal('0.1.0');
          for (const container of one.spec.containers)
            expect(container['env']).to.deep.equal([
              { name: 'HOLDFAST_URL', value: 'http://127.0.0.1:9465' },
              { name: 'HOLDFAST_CLIENT', value: 'orders' },
            ]);
          expect(JSON.stringify(one.spec.volumes)).to.not.include('emptyDir');
          const documents = (one.metadata.annotations?.['holdfast.dev/config'] ?? '')
            .split('\n---\n')
            .map((text) => JSON.parse(text) as { readonly kind: string });
          expect(documents.map((document) => document.kind)).to.deep.equal([
            'StreamClient',
            'EventStream',
            'EventStream',
          ]);
        }
      },
    );

    it('the documents are what the sidecar reads', async () => {
      const file = join(mkdtempSync(join(tmpdir(), 'hf-doc-')), 'documents.yaml');
      const pods = (of().get('pods', '-n', 'apps', '-l', 'app=orders') as { readonly items: PodObject[] }).items;
      writeFileSync(
        file,
        (pods[0]?.metadata.annotations?.['holdfast.dev/config'] ?? '').replaceAll(
          '/etc/holdfast/credentials',
          mkdtempSync(join(tmpdir(), 'hf-none-')),
        ),
      );
      const said = await command(['validate', '-f', file]);
      expect(said.err)
        .to.include('HF_CONFIG_SECRET')
        .and.not.include('HF_CONFIG_SCHEMA')
        .and.not.include('HF_CONFIG_RELATION');
    });

    it('existing init containers, variables and volumes stay; the sidecar comes last', () => {
      expect(
        create('busy', 'orders', {
          initContainers: [app('first')],
          volumes: [{ name: 'data', configMap: { name: 'x' } }],
          containers: [app('app', { env: [{ name: 'HOLDFAST_URL', value: 'http://mine' }] })],
        }).err,
      ).to.equal('');
      const { spec } = got('busy');
      expect(spec.initContainers?.map((one) => one['name'])).to.deep.equal(['first', 'holdfast']);
      expect(spec.containers[0]?.['env']).to.deep.equal([
        { name: 'HOLDFAST_URL', value: 'http://mine' },
        { name: 'HOLDFAST_CLIENT', value: 'orders' },
      ]);
      expect(spec.volumes?.map((volume) => volume.name)).to.include.members([
        'data',
        'holdfast-config',
        'holdfast-credentials',
      ]);
      expect(normal(sidecarOf(spec))).to.deep.equal(seen.get('webhook'));
    });

    it(
      'a pod that has the sidecar already is left alone, a dry run too gets it, a pod without the label does ' + 'not',
      () => {
        const first = got('busy');
        const again = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'again', labels: first.metadata.labels },
          spec: { initContainers: first.spec.initContainers, containers: [app('app')], volumes: first.spec.volumes },
        };
        expect(of().pipe(again, 'create', '-n', 'apps').err).to.equal('');
        expect(got('again').spec.initContainers?.length).to.equal(2);
        const dry = create('dry', 'orders', {}, '--dry-run=server', '-o', 'json');
        expect(sidecarOf((JSON.parse(dry.out) as PodObject).spec)).to.not.equal(undefined);
        expect(create('bare', undefined).code).to.equal(0);
        expect(got('bare').spec.initContainers).to.equal(undefined);
      },
    );

    it('an unknown client is refused with a sentence; a short grace period is warned about', () => {
      const refused = create('lost', 'nobody');
      expect(refused.code).to.not.equal(0);
      expect(refused.err)
        .to.include('StreamClient "nobody", which does not exist in namespace "apps"')
        .and.include('or remove the label');
      const warned = create('hasty', 'orders', { terminationGracePeriodSeconds: 5 });
      expect(warned.code).to.equal(0);
      expect(warned.err).to.include('Warning: holdfast: terminationGracePeriodSeconds 5 is less than the 15 s');
    });

    it('a quota and a limit range do not get in the way', () => {
      namespace(of(), 'limited');
      expect(
        of().pipe(
          [
            streamClient('orders'),
            {
              apiVersion: 'v1',
              kind: 'ResourceQuota',
              metadata: { name: 'q' },
              spec: { hard: { 'requests.memory': '1Gi', 'limits.memory': '1Gi' } },
            },
            {
              apiVersion: 'v1',
              kind: 'LimitRange',
              metadata: { name: 'l' },
              spec: {
                limits: [
                  {
                    type: 'Container',
                    default: { memory: '128Mi', cpu: '200m' },
                    defaultRequest: { memory: '64Mi', cpu: '10m' },
                  },
                ],
              },
            },
          ],
          'apply',
          '-n',
          'limited',
        ).err,
      ).to.equal('');
      return of().until(
        'the pod is admitted',
        () => of().pipe(pod('p', 'orders'), 'create', '-n', 'limited').code === 0,
      );
    });

    it('the policy attaches the same container, without a server', async () => {
      expect(install(of(), ['attach.mode=policy']).out).to.include('STATUS: deployed');
      expect(
        of().kubectl('get', 'mutatingwebhookconfiguration', 'holdfast-injector').code,
        'no webhook any more',
      ).to.not.equal(0);
      let said = '';
      await of()
        .until(
          'the policy is in force',
          () => {
            const made = create('by-policy', 'orders', {
              initContainers: [app('first')],
              containers: [app('app'), app('second', { env: [{ name: 'HOLDFAST_URL', value: 'http://mine' }] })],
            });
            said = made.err;
            if (made.code !== 0) return false;
            if (sidecarOf(got('by-policy').spec) !== undefined) return true;
            of().kubectl('delete', 'pod', 'by-policy', '-n', 'apps', '--now');
            return false;
          },
          30_000,
        )
        .catch((error: unknown) => {
          throw new Error(`${String(error)}: ${said}`);
        });
      const { spec, metadata } = got('by-policy');
      seen.set('policy', normal(sidecarOf(spec)));
      expect(spec.initContainers?.map((one) => one['name'])).to.deep.equal(['first', 'holdfast']);
      expect(metadata.labels?.['holdfast.dev/injected-version']).to.equal('0.1.0');
      expect(spec.containers[0]?.['env']).to.deep.equal([
        { name: 'HOLDFAST_URL', value: 'http://127.0.0.1:9465' },
        { name: 'HOLDFAST_CLIENT', value: 'orders' },
      ]);
      expect(
        (spec.containers[1]?.['env'] as { readonly name: string; readonly value: string }[]).find(
          (one) => one.name === 'HOLDFAST_URL',
        )?.value,
      ).to.equal('http://mine');
      const secret = spec.volumes?.find((volume) => volume.name === 'holdfast-credentials') as
        { readonly secret?: { readonly secretName: string } } | undefined;
      expect(secret?.secret?.secretName).to.equal('orders-oauth');
      expect(create('by-policy-lost', 'nobody').err)
        .to.include('got no sidecar')
        .and.include('Does that StreamClient exist?');
    });

    it('the library chart renders the same container', () => {
      const chart = mkdtempSync(join(tmpdir(), 'hf-lib-'));
      mkdirSync(join(chart, 'charts'));
      mkdirSync(join(chart, 'templates'));
      cpSync(LIB, join(chart, 'charts', 'holdfast-lib'), { recursive: true });
      writeFileSync(
        join(chart, 'Chart.yaml'),
        'apiVersion: v2\nname: shop\nversion: 0.0.1\ndependencies:\n- name: holdfast-lib\n  version: 0.1.0\n',
      );
      writeFileSync(
        join(chart, 'templates', 'pod.yaml'),
        `{{- $settings := dict "storeUrl" "redis://127.0.0.1:6379/0" }}
{{- $hf := dict "client" "orders" "secret" "orders-oauth" "settings" $settings }}
apiVersion: v1
kind: Pod
metadata:
  name: by-library
  labels:
    {{- include "holdfast.lib.labels" $hf | nindent 4 }}
spec:
  initContainers:
    {{- include "holdfast.lib.initContainers" $hf | nindent 4 }}
  containers:
    - name: app
      image: example/app:1
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
      env:
        {{- include "holdfast.lib.env" $hf | nindent 8 }}
  volumes:
    {{- include "holdfast.lib.volumes" $hf | nindent 4 }}
`,
      );
      for (const helm of ['helm3', 'helm4']) {
        const rendered = of().run(helm, ['template', 'shop', chart, '--kube-version', '1.36.3']);
        expect(rendered.err).to.equal('');
        expect(of().pipe(rendered.out, 'apply', '-n', 'apps').err).to.equal('');
        seen.set(`library by ${helm}`, normal(sidecarOf(got('by-library').spec)));
        of().kubectl('delete', 'pod', 'by-library', '-n', 'apps', '--now');
      }
    });

    it('the kustomize component and kubectl holdfast inject give the same container', async () => {
      const workload = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'by-hand', labels: { 'holdfast.dev/attach': 'kustomize' } },
        spec: {
          selector: { matchLabels: { app: 'x' } },
          template: {
            metadata: { labels: { app: 'x', 'holdfast.dev/client': 'orders' } },
            spec: { containers: [app('app')] },
          },
        },
      };
      const directory = mkdtempSync(join(tmpdir(), 'hf-kustomize-'));
      cpSync(COMPONENT, join(directory, 'component'), { recursive: true });
      writeFileSync(join(directory, 'workload.yaml'), JSON.stringify(workload));
      writeFileSync(join(directory, 'kustomization.yaml'), 'resources: [workload.yaml]\ncomponents: [component]\n');
      const built = of().kubectl('kustomize', directory);
      expect(built.err).to.equal('');
      const store = (text: string): string =>
        text.replaceAll('redis://holdfast-redis:6379/0', 'redis://127.0.0.1:6379/0');
      const templateOf = (text: string): PodObject['spec'] =>
        (
          parseAllDocuments(text)[0]?.toJS() as {
            readonly spec: { readonly template: { readonly spec: PodObject['spec'] } };
          }
        ).spec.template.spec;
      // The API server fills in its defaults, as it did for the others.
      const asPod = (spec: PodObject['spec'], name: string): unknown => {
        const made = of().pipe(
          { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { 'holdfast.dev/client': 'orders' } }, spec },
          'create',
          '-n',
          'apps',
          '--dry-run=server',
          '-o',
          'json',
        );
        expect(made.err).to.equal('');
        return normal(sidecarOf((JSON.parse(made.out) as PodObject).spec));
      };
      seen.set('kustomize', asPod(templateOf(store(built.out)), 'k'));
      writeFileSync(join(directory, 'all.yaml'), JSON.stringify(workload));
      const injected = await command([
        'inject',
        '-f',
        join(directory, 'all.yaml'),
        '--store',
        'redis://127.0.0.1:6379/0',
      ]);
      expect(injected.code).to.equal(0);
      seen.set('inject', asPod(templateOf(injected.out), 'i'));
    });

    it('all ways of attaching gave one and the same container', () => {
      expect([...seen.keys()]).to.have.members([
        'webhook',
        'policy',
        'library by helm3',
        'library by helm4',
        'kustomize',
        'inject',
      ]);
      for (const [how, container] of seen) expect(container, how).to.deep.equal(seen.get('webhook'));
    });
  });
}
