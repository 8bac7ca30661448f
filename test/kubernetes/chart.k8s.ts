import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import type { Cluster } from './cluster.ts';
import { eventStream, install, namespace, streamClient, SYSTEM } from './plane.ts';

const CHART = new URL('../../charts/holdfast', import.meta.url).pathname;
const MATRIX: readonly (readonly string[])[] = [
  [],
  ['attach.mode=policy'],
  ['attach.mode=none', 'attach.backstop=Warn'],
  ['attach.mode=none', 'attach.backstop=Off', 'guardPolicy.enabled=false', 'pdb.enabled=false'],
  ['scope.namespaces={team-a,team-b}'],
  ['network.allowPrivate={10.20.0.0/16,fd12:3456::/32}', 'network.allowedHosts={login.example.com,*.example.org}'],
  ['redis.evaluation.enabled=true', 'redis.url='],
  [
    'redis.existingSecret=redis-password',
    'sidecar.caConfigMap=private-ca',
    'injector.hostNetwork=true',
    'image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000',
  ],
  ['injector.tls.source=existing', 'injector.tls.existingSecret=tls', 'injector.tls.caBundle=pem'],
  [
    'networkPolicy.enabled=true',
    'commonLabels.team=telephony',
    'controller.nodeSelector.role=infra',
    'injector.annotations.admissions\\.enforcer/disabled=yes',
  ],
  ['metrics.dashboard.enabled=true', 'rbac.aggregate=false', 'crds.keep=false'],
];

export function charting(of: () => Cluster): void {
  describe('the chart', () => {
    const render = (helm: string, values: readonly string[]) =>
      of().run(helm, [
        'template',
        'matrix',
        CHART,
        '--skip-tests',
        '-n',
        SYSTEM,
        '--kube-version',
        '1.36.3',
        '-a',
        'admissionregistration.k8s.io/v1/MutatingAdmissionPolicy',
        '--set',
        'redis.url=redis://127.0.0.1:6379/0',
        ...values.flatMap((value) => ['--set', value]),
      ]);

    for (const values of MATRIX) {
      it(
        'renders the same twice and with Helm 3, and every object is accepted: ' + (values.join(' ') || '(defaults)'),
        () => {
          for (const name of ['team-a', 'team-b', SYSTEM]) namespace(of(), name, 'privileged');
          const first = render('helm4', values);
          expect(first.err).to.equal('');
          expect(render('helm4', values).out, 'twice').to.equal(first.out);
          const plain = (text: string): string =>
            text
              .split('\n')
              .filter((line) => line.trim() !== '')
              .join('\n');
          expect(plain(render('helm3', values).out), 'Helm 3').to.equal(plain(first.out));
          const applied = of().pipe(
            first.out,
            'apply',
            '--server-side',
            '--force-conflicts',
            '--dry-run=server',
            '--validate=strict',
            ...(values.some((value) => value.startsWith('scope.')) ? [] : ['-n', SYSTEM]),
          );
          expect(applied.err, applied.out).to.equal('');
        },
      );
    }

    const refused: readonly (readonly [string, RegExp])[] = [
      ['sidecar.drainSecond=5', /drainSecond/],
      ['attach.mode=webhok', /attach.*mode/],
      ['redis.url=http://x', /redis.*url/],
      ['redis.url=', /redis\.url is missing: name the Redis/],
      ['redis.url=redis://user:hunter2@host:6379', /redis\.url contains a password: remove it/],
      ['injector.timeoutSeconds=60', /timeoutSeconds/],
      ['sidecar.ports.admin=70000', /admin/],
      ['injector.tls.source=existing', /injector\.tls\.existingSecret is missing|injector\.tls\.caBundle is missing/],
      ['image.digest=latest', /digest/],
    ];
    for (const [value, message] of refused) {
      it(`refuses ${value.replace('hunter2', '…')} with a sentence that names the value`, () => {
        for (const helm of ['helm3', 'helm4']) {
          const said = render(helm, [value]);
          expect(said.code).to.not.equal(0);
          expect(said.err).to.match(message).and.not.include('hunter2');
        }
      });
    }

    for (const helm of ['helm3', 'helm4'] as const) {
      it(`install, upgrade, rollback and uninstall with ${helm} keep every StreamClient and EventStream`, () => {
        const run = (...args: readonly string[]) => of().run(helm, [...args, '-n', SYSTEM]);
        of().run('helm4', ['uninstall', 'holdfast', '-n', SYSTEM]);
        expect(install(of(), [], helm).code).to.equal(0);
        namespace(of(), 'kept');
        expect(of().pipe([streamClient('kept'), eventStream('kept', 'kept')], 'apply', '-n', 'kept').err).to.equal('');
        const uid = (): string =>
          of().kubectl('get', 'hfc', 'kept', '-n', 'kept', '-o', 'jsonpath={.metadata.uid}').out;
        const before = uid();
        const upgraded = install(of(), ['sidecar.drainSeconds=20', 'controller.replicas=1'], helm);
        expect(upgraded.code, upgraded.err).to.equal(0);
        expect(
          of().kubectl('get', 'configmap', 'holdfast-injector', '-n', SYSTEM, '-o', 'jsonpath={.data}').out,
        ).to.include('\\"drainSeconds\\":20');
        const back = run('rollback', 'holdfast', '1');
        expect(back.code, back.err).to.equal(0);
        expect(
          of().kubectl('get', 'configmap', 'holdfast-injector', '-n', SYSTEM, '-o', 'jsonpath={.data}').out,
        ).to.include('\\"drainSeconds\\":10');
        const gone = run('uninstall', 'holdfast');
        expect(gone.code, gone.err).to.equal(0);
        expect(of().kubectl('get', 'deploy', '-n', SYSTEM, '-o', 'name').out.trim()).to.equal('');
        expect(uid(), 'the same object').to.equal(before);
        expect(of().kubectl('get', 'hfs', 'kept', '-n', 'kept').code).to.equal(0);
        // What was kept is taken over by the next install.
        const again = install(of(), [], helm);
        expect(again.code, again.err).to.equal(0);
        expect(uid()).to.equal(before);
      });
    }

    it('says what to do next, and warns of an evaluation Redis', () => {
      expect(install(of()).out).to.include('kubectl get holdfast -A').and.include('holdfast.dev/client');
      expect(install(of(), ['redis.evaluation.enabled=true']).out).to.include(
        'WARNING: redis.evaluation is one pod without persistence',
      );
      expect(install(of()).code).to.equal(0);
    });

    it('what is under manifests/ is what the chart renders', () => {
      const said = spawnSync(
        'bash',
        [new URL('../../scripts/render-manifests.sh', import.meta.url).pathname, '--check'],
        { encoding: 'utf8', env: of().environment() },
      );
      expect(said.status, said.stdout + said.stderr).to.equal(0);
      for (const file of ['install.yaml', 'policy/attach.yaml', 'examples/consumer.yaml']) {
        const applied = of().kubectl(
          'apply',
          '--server-side',
          '--force-conflicts',
          '--dry-run=server',
          '--validate=strict',
          '-f',
          new URL(`../../manifests/${file}`, import.meta.url).pathname,
        );
        // A namespace that kubectl made in another way is warned about; nothing may be refused.
        expect(applied.code, `${file}: ${applied.err}`).to.equal(0);
      }
    });
  });
}
