import { expect } from 'chai';
import fc from 'fast-check';
import { identityOf } from '../../../src/cli/run-settings.ts';
import { admissionReview, type Known } from '../../../src/operator/webhook/admission-review.ts';
import {
  applyTo,
  attach,
  attached,
  DEFAULT_SETTINGS,
  patchOf,
  type PatchOperation,
  type PodLike,
} from '../../../src/operator/attach/attach.ts';
import { compileDocuments } from '../../../src/operator/attach/compile-documents.ts';
import { injectWorkloads } from '../../../src/operator/attach/workload-yaml.ts';
import type { ClientObject, StreamObject } from '../../../src/operator/api/resources.ts';
import { eventStream, streamClient } from '../../kubernetes/plane.ts';

const client = streamClient('orders') as unknown as ClientObject;
const stream = eventStream('routing', 'orders') as unknown as StreamObject;
const known: Known = {
  client: (namespace, name) => (namespace === 'apps' && name === 'orders' ? client : undefined),
  streamsOf: () => [stream],
};

/** RFC 6902, the operation that is used. */
function patched(pod: PodLike, operations: readonly PatchOperation[]): unknown {
  const out = structuredClone(pod) as unknown as Record<string, unknown>;
  for (const { path, value } of operations) {
    const parts = path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = parts.pop() ?? '';
    const at = parts.reduce<Record<string, unknown>>((node, part) => node[part] as Record<string, unknown>, out);
    if (Array.isArray(at) && last === '-') (at as unknown[]).push(value);
    else at[last] = value;
  }
  return out;
}

const named = fc.record({ name: fc.constantFrom('a', 'b', 'istio-proxy') });
const pods: fc.Arbitrary<PodLike> = fc.record({
  metadata: fc.record(
    { labels: fc.constant({ 'holdfast.dev/client': 'orders' }), annotations: fc.constant({ own: 'x' }) },
    { requiredKeys: ['labels'] },
  ),
  spec: fc.record(
    {
      containers: fc.array(
        fc.record(
          {
            name: fc.constantFrom('app', 'second'),
            env: fc.array(
              fc.record({ name: fc.constantFrom('A', 'HOLDFAST_URL', 'HOLDFAST_CLIENT'), value: fc.constant('mine') }),
              { maxLength: 3 },
            ),
          },
          { requiredKeys: ['name'] },
        ),
        { minLength: 1, maxLength: 3 },
      ),
      initContainers: fc.array(named, { maxLength: 2 }),
      volumes: fc.array(fc.record({ name: fc.constantFrom('data', 'holdfast-config') }), { maxLength: 2 }),
    },
    { requiredKeys: ['containers'] },
  ),
});

describe('the attach function', () => {
  const attachment = (pod: PodLike) => attach(pod, { name: 'orders', secret: 's' }, DEFAULT_SETTINGS, '{}');

  it('patching a pod and applying to it come to the same; twice is once; nothing of its own is lost', () => {
    fc.assert(
      fc.property(pods, (pod) => {
        const after = applyTo(pod, attachment(pod));
        expect(patched(pod, patchOf(pod, attachment(pod)))).to.deep.equal(after);
        expect(applyTo(after, attachment(after))).to.equal(after);
        expect(patchOf(after, attachment(after))).to.deep.equal([]);
        expect(after.spec.initContainers?.at(-1)?.name).to.equal('holdfast');
        pod.spec.containers.forEach((one, index) => {
          for (const variable of one.env ?? []) expect(after.spec.containers[index]?.env).to.deep.include(variable);
        });
        expect(after.spec.volumes).to.include.deep.members([...(pod.spec.volumes ?? [])]);
      }),
    );
  });

  it('has no token, no emptyDir, no secret value, and the restricted security context', () => {
    const text = JSON.stringify(attachment({ spec: { containers: [] } }));
    expect(text)
      .to.not.include('emptyDir')
      .and.not.match(/password"?:\s*"[^"]/);
    expect(attachment({ spec: { containers: [] } }).container['securityContext']).to.deep.equal({
      runAsNonRoot: true,
      runAsUser: 65_532,
      runAsGroup: 65_532,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    const mounts = attachment({ spec: { containers: [] } }).container['volumeMounts'] as readonly {
      readonly name: string;
      readonly mountPath: string;
    }[];
    expect(mounts.find((mount) => mount.mountPath === '/var/run/secrets/kubernetes.io/serviceaccount')?.name).to.equal(
      'holdfast-config',
    );
  });

  // Found and mended: "Read, not run" (a lease moved once in a rollout of a Deployment only)
  it('names the template of every kind of workload, and the sidecar takes the one that is there', () => {
    const env = attachment({ spec: { containers: [] } }).container.env as readonly {
      readonly name: string;
      readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
    }[];
    const by = (label: string): string =>
      env.find((one) => one.valueFrom?.fieldRef.fieldPath === `metadata.labels['${label}']`)?.name ?? 'none';
    const revision = (labels: Readonly<Record<string, string>>): string =>
      identityOf(
        Object.fromEntries(
          ['pod-template-hash', 'controller-revision-hash'].map((label) => [by(label), labels[label] ?? '']),
        ),
      ).revision;
    expect(revision({ 'pod-template-hash': 'a' })).to.equal('a');
    expect(revision({ 'controller-revision-hash': 'web-b' })).to.equal('web-b');
    expect(revision({})).to.equal('');
  });

  it('documents that do not fit together are one sentence with the object and the field', () => {
    const wrong = eventStream('calls', 'orders', { path: 'nowhere' }) as unknown as StreamObject;
    expect(compileDocuments(client, [stream, wrong]))
      .to.have.property('problem')
      .that.matches(/EventStream calls: spec\.path must be one of/);
    const good = compileDocuments(client, [stream]);
    expect(good)
      .to.have.property('documents')
      .that.includes('"directory":"/etc/holdfast/credentials"')
      .and.not.include('secretRef');
  });

  it('refuses documents that no annotation holds', () => {
    const many = Array.from(
      { length: 40 },
      (_, index) =>
        eventStream(`s${String(index)}`, 'orders', {
          topics: Array.from({ length: 100 }, (__, n) => `topic-${String(n)}-${'x'.repeat(150)}`),
        }) as unknown as StreamObject,
    );
    expect(compileDocuments(client, many)).to.have.property('problem').that.includes('larger than');
  });
});

// Found and mended: A7
describe("the consumer's token out of a Secret", () => {
  const pushed = (name: string, tokenSecretRef: Record<string, string>, more: Record<string, unknown> = {}) =>
    eventStream(name, 'orders', {
      delivery: { mode: 'Push', push: { url: 'http://127.0.0.1:8080/', tokenSecretRef, ...more } },
    }) as unknown as StreamObject;
  const pod: PodLike = {
    metadata: { labels: { 'holdfast.dev/client': 'orders' } },
    spec: { containers: [{ name: 'app' }] },
  };
  const review = (streams: readonly StreamObject[], settings = DEFAULT_SETTINGS) =>
    admissionReview(
      { uid: 'u', namespace: 'apps', operation: 'CREATE', object: pod },
      { ...known, streamsOf: () => streams },
      settings,
    );
  const after = (streams: readonly StreamObject[]): PodLike =>
    patched(
      pod,
      JSON.parse(Buffer.from(review(streams).patch ?? '', 'base64').toString()) as PatchOperation[],
    ) as PodLike;

  it('is mounted under the name of its stream, one key and no more, and the documents name that file', () => {
    const made = after([pushed('calls', { name: 'b', key: 'word' }), pushed('audit', { name: 'a' }), stream]);
    expect(made.spec.volumes).to.deep.include({
      name: 'holdfast-tokens',
      projected: {
        sources: [
          { secret: { name: 'a', items: [{ key: 'token', path: 'audit/token' }], optional: true } },
          { secret: { name: 'b', items: [{ key: 'word', path: 'calls/token' }], optional: true } },
        ],
      },
    });
    expect(made.spec.initContainers?.at(-1)?.['volumeMounts']).to.deep.include({
      name: 'holdfast-tokens',
      mountPath: '/etc/holdfast/tokens',
      readOnly: true,
    });
    expect(made.metadata?.annotations?.['holdfast.dev/config'])
      .to.include('"tokenFile":"/etc/holdfast/tokens/calls/token"')
      .and.not.include('tokenSecretRef');
    expect(JSON.stringify(after([stream]))).to.not.include('holdfast-tokens');
  });

  it('is never the Secret of the OAuth client or of the store', () => {
    const settings = { ...DEFAULT_SETTINGS, storeSecret: 'redis' };
    for (const name of ['orders-oauth', 'redis'])
      expect(review([pushed('s', { name })], settings).status?.message, name).to.include(
        `EventStream s: spec.delivery.push.tokenSecretRef names Secret ${name}`,
      );
  });

  it('goes to another machine only where the installation names it; no tokenFile of any other place is taken', () => {
    const remote = { url: 'https://orders.example.org/', allowRemote: true };
    expect(review([pushed('s', { name: 'x' }, remote)]).status?.message).to.include('network.allowedHosts');
    expect(
      review([pushed('s', { name: 'x' }, remote)], { ...DEFAULT_SETTINGS, allowedHosts: '*.example.org' }).allowed,
    ).to.equal(true);
    const thief = eventStream('s', 'orders', {
      delivery: { mode: 'Push', push: { ...remote, tokenFile: '/etc/holdfast/store/password' } },
    }) as unknown as StreamObject;
    expect(review([thief]).status?.message).to.include('EventStream s: spec.delivery.push.tokenFile is not below');
    expect(
      review([pushed('s', { name: 'x' }, { tokenFile: '/etc/holdfast/tokens/s/token' })]).status?.message,
    ).to.include('stands beside tokenFile');
  });

  it('a Secret of credentials goes to no host of the choice of whoever writes the StreamClient', () => {
    const thief = streamClient('orders', { hosts: { login: 'https://evil.example' } }) as unknown as ClientObject;
    const { status } = admissionReview(
      { uid: 'u', namespace: 'apps', operation: 'CREATE', object: pod },
      { ...known, client: () => thief },
      DEFAULT_SETTINGS,
    );
    expect(status?.message).to.include('StreamClient orders: spec.hosts.login would send the credentials');
  });

  it('the sidecar is told the lists of the installation', () => {
    const { args } = attach(
      pod,
      { name: 'c', secret: 's' },
      { ...DEFAULT_SETTINGS, allowPrivate: '10.0.0.0/8', allowedHosts: 'a.example' },
    ).container;
    expect((args as string[]).join(' ')).to.include('--allow-private 10.0.0.0/8 --allowed-hosts a.example');
  });
});

describe('the answer to a pod', () => {
  const review = (pod: PodLike, namespace = 'apps') =>
    admissionReview({ uid: 'u', namespace, operation: 'CREATE', object: pod }, known, DEFAULT_SETTINGS);
  const asks: PodLike = {
    metadata: { labels: { 'holdfast.dev/client': 'orders' } },
    spec: { containers: [{ name: 'app' }] },
  };

  it('attaches, once, for whoever asks', () => {
    const { allowed, patch } = review(asks);
    expect(allowed).to.equal(true);
    const after = patched(
      asks,
      JSON.parse(Buffer.from(patch ?? '', 'base64').toString()) as PatchOperation[],
    ) as PodLike;
    expect(attached(after)).to.equal(true);
    expect(review(after)).to.deep.equal({ uid: 'u', allowed: true });
    expect(review({ spec: { containers: [{ name: 'app' }] } })).to.deep.equal({ uid: 'u', allowed: true });
  });

  it('refuses a client of another namespace', () => {
    expect(review(asks, 'elsewhere').status?.message).to.include('does not exist in namespace "elsewhere"');
  });

  it('warns of a short grace period', () => {
    expect(review({ ...asks, spec: { ...asks.spec, terminationGracePeriodSeconds: 3 } }).warnings).to.have.length(1);
  });

  // Found and mended: A24
  const refused: readonly (readonly [string, Partial<PodLike['spec']>, RegExp])[] = [
    [
      'a container of its own with our name',
      { containers: [{ name: 'holdfast' }] },
      /container of its own with the name/,
    ],
    ['an init container of its own with our name', { initContainers: [{ name: 'holdfast' }] }, /container of its own/],
    ['Windows', { os: { name: 'windows' } }, /for Windows/],
    ['Windows by selector', { nodeSelector: { 'kubernetes.io/os': 'windows' } }, /for Windows/],
    ['the host network', { hostNetwork: true }, /every process of the node/],
  ];
  for (const [what, spec, sentence] of refused)
    it(`refuses ${what}, by webhook and by inject`, () => {
      const pod = { ...asks, spec: { ...asks.spec, ...spec } };
      expect(review(pod).status?.message).to.match(sentence);
      const text = [client, { kind: 'Pod', ...pod }].map((one) => JSON.stringify(one)).join('\n---\n');
      expect(injectWorkloads(text, DEFAULT_SETTINGS).problems.join()).to.match(sentence);
    });

  it('warns of an application that wants a port of the sidecar, also when only OpenTelemetry says so', () => {
    const warnings = (container: Record<string, unknown>): readonly string[] =>
      review({ ...asks, spec: { containers: [{ name: 'app', ...container }] } }).warnings ?? [];
    expect(
      warnings({ ports: [{ containerPort: 9464 }, { containerPort: 9465 }, { containerPort: 80 }] }),
    ).to.have.length(2);
    const otel = { name: 'OTEL_METRICS_EXPORTER', value: 'prometheus' };
    expect(warnings({ env: [otel] }).join()).to.include('container app uses port 9464');
    expect(warnings({ env: [otel, { name: 'OTEL_EXPORTER_PROMETHEUS_PORT', value: '9999' }] })).to.deep.equal([]);
    expect(warnings({ ports: [{ containerPort: 8080 }] })).to.deep.equal([]);
  });

  it('null stands for nothing, as in the API', () => {
    const pod = {
      metadata: { labels: { 'holdfast.dev/client': 'orders' }, annotations: null },
      spec: {
        containers: [{ name: 'app', env: null, ports: null }],
        initContainers: null,
        volumes: null,
        nodeSelector: null,
      },
    } as PodLike;
    const after = patched(
      pod,
      JSON.parse(Buffer.from(review(pod).patch ?? '', 'base64').toString()) as PatchOperation[],
    ) as PodLike;
    expect(attached(after)).to.equal(true);
    expect(after.spec.containers[0]?.env).to.have.length(2);
  });
});

describe('inject', () => {
  const text = [
    client,
    stream,
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'c' },
      spec: { jobTemplate: { spec: { template: asTemplate() } } },
    },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: { template: asTemplate() } },
    { kind: 'Service', metadata: { name: 's' } },
  ]
    .map((one) => JSON.stringify(one))
    .join('\n---\n');
  function asTemplate(): PodLike {
    return { metadata: { labels: { 'holdfast.dev/client': 'orders' } }, spec: { containers: [{ name: 'app' }] } };
  }

  it('attaches to every kind of workload, with the documents of the same text, and is idempotent', () => {
    const done = injectWorkloads(text, DEFAULT_SETTINGS);
    expect(done.attached).to.deep.equal(['CronJob c', 'Deployment d']);
    expect(done.problems).to.deep.equal([]);
    expect(done.text).to.include('holdfast.dev/config').and.include('restartPolicy: Always');
    expect(injectWorkloads(done.text, DEFAULT_SETTINGS).text).to.equal(done.text);
  });

  it('says what is not YAML, and what lacks its client', () => {
    expect(injectWorkloads('a: [', DEFAULT_SETTINGS).problems).to.not.deep.equal([]);
    expect(
      injectWorkloads(
        JSON.stringify({ kind: 'Deployment', metadata: { name: 'd' }, spec: { template: asTemplate() } }),
        DEFAULT_SETTINGS,
      ).warnings[0],
    ).to.include('StreamClient orders is not among the documents');
  });
});
