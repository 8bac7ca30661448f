import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { issue } from '../../src/operator/webhook/certificates.ts';
import { command } from '../support/process.ts';
import { TestRedis } from '../support/redis.ts';
import type { Cluster } from './cluster.ts';
import { injector, namespace, pod, reinstall, streamClient, SYSTEM, type Part } from './plane.ts';

export function failing(of: () => Cluster): void {
  describe('when the injector fails', () => {
    let part: Part;
    let serial = 0;
    const asked = () => of().pipe(pod(`asks-${String((serial += 1))}`, 'orders'), 'create', '-n', 'faults');
    const bare = () => of().pipe(pod(`bare-${String((serial += 1))}`, undefined), 'create', '-n', 'faults');
    const OURS = "holdfast: the pod asks for StreamClient 'orders' and got no sidecar. The injector did not answer";
    const patch = (...operations: readonly Record<string, unknown>[]): void => {
      const done = of().kubectl(
        'patch',
        'mutatingwebhookconfiguration',
        'holdfast-injector',
        '--type=json',
        '-p',
        JSON.stringify(operations),
      );
      if (done.code !== 0) throw new Error(done.err);
    };
    const recovers = (): Promise<void> =>
      of().until('pods get their sidecar again, without hands', () => asked().code === 0, 40_000);
    /** Others' pods never notice; those that ask get our sentence. */
    async function refusedWithOurWords(): Promise<void> {
      let said = '';
      await of()
        .until('the pod is refused with our words', () => {
          const answer = asked();
          said = answer.err;
          return answer.code !== 0 && said.includes(OURS);
        })
        .catch((error: unknown) => {
          throw new Error(`${String(error)}: ${said}`);
        });
      expect(said).to.include(`kubectl -n ${SYSTEM} rollout status deploy/holdfast-injector`);
      expect(bare().err).to.equal('');
    }

    before(async () => {
      expect(reinstall(of()).err).to.equal('');
      part = await injector(of(), { HOLDFAST_CERTIFICATES_EVERY_MS: '1000' });
      namespace(of(), 'faults');
      await of().until(
        'the service account is there',
        () => of().kubectl('get', 'serviceaccount', 'default', '-n', 'faults').code === 0,
      );
      of().pipe(streamClient('orders'), 'apply', '-n', 'faults');
      await recovers();
    });
    after(async () => {
      await part.end();
    });

    it('holdfast check (helm test) tells the injector from the backstop', async () => {
      const redis = await TestRedis.start();
      const check = (): ReturnType<typeof command> =>
        command(
          ['check', '--store', `redis://127.0.0.1:${String(redis.port)}`, '--namespace', 'faults'],
          of().environment(),
        );
      const well = await check();
      expect(well.out)
        .to.include('ok    kinds: StreamClient is served')
        .and.include('ok    attach: the injector answers')
        .and.include('ok    redis: Redis answers');
      expect(well.code).to.equal(0);
      part.signal('SIGSTOP');
      await redis.stop();
      const ill = await check();
      part.signal('SIGCONT');
      expect(ill.out)
        .to.include('FAIL  attach: the backstop answered, the injector did not')
        .and.include('FAIL  redis: no answer within');
      expect(ill.code).to.equal(70);
      await recovers();
    });

    it('it is down: our sentence, others unaffected; recovery when it is back', async () => {
      await part.end('SIGKILL');
      await refusedWithOurWords();
      part = await injector(of(), { HOLDFAST_CERTIFICATES_EVERY_MS: '1000' });
      await recovers();
    });

    it('it hangs: the API server waits its timeout and no longer; recovery when it goes on', async () => {
      part.signal('SIGSTOP');
      await refusedWithOurWords();
      part.signal('SIGCONT');
      await recovers();
    });

    it('the configuration trusts nobody, or somebody else: it is put right', async () => {
      const other = await issue(['127.0.0.1'], { nowMs: Date.now(), lifeMs: 86_400_000, previousCa: '' });
      patch({
        op: 'replace',
        path: '/webhooks/0/clientConfig/caBundle',
        value: Buffer.from(other.ca).toString('base64'),
      });
      await recovers();
      patch({ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' });
      await recovers();
    });

    it('the Secret with the certificates is emptied or broken: others are made', async () => {
      for (const data of [{ data: null }, { data: { 'tls.crt': Buffer.from('no certificate').toString('base64') } }]) {
        expect(
          of().kubectl(
            'patch',
            'secret',
            'holdfast-injector-tls',
            '-n',
            SYSTEM,
            '--type=merge',
            '-p',
            JSON.stringify(data),
          ).code,
        ).to.equal(0);
        await of().until(
          'another certificate is there',
          () =>
            of().kubectl('get', 'secret', 'holdfast-injector-tls', '-n', SYSTEM, '-o', 'jsonpath={.data.tls\\.key}').out
              .length > 100,
        );
        await recovers();
      }
    });

    it('a certificate near its end is replaced while pods are created, and none is refused', async () => {
      await part.end();
      part = await injector(of(), { HOLDFAST_CERTIFICATES_EVERY_MS: '1000' }, ['--tls-days', '0.00025']);
      const cert = (): string =>
        of().kubectl('get', 'secret', 'holdfast-injector-tls', '-n', SYSTEM, '-o', 'jsonpath={.data.tls\\.crt}').out;
      await recovers();
      const seen = new Set<string>();
      await of().until(
        'three certificates were served',
        () => {
          seen.add(cert());
          expect(asked().err, 'during a rotation').to.equal('');
          return seen.size >= 3;
        },
        60_000,
      );
    });

    it('a certificate that has ended is served: our sentence; another one is made without hands', async () => {
      await part.end();
      of().kubectl('patch', 'secret', 'holdfast-injector-tls', '-n', SYSTEM, '--type=merge', '-p', '{"data":null}');
      // Ends after 9 s and is looked at every 25 s.
      part = await injector(of(), { HOLDFAST_CERTIFICATES_EVERY_MS: '25000' }, ['--tls-days', '0.0001']);
      await recovers();
      const ends = (): number =>
        Date.parse(
          new X509Certificate(
            Buffer.from(
              of().kubectl('get', 'secret', 'holdfast-injector-tls', '-n', SYSTEM, '-o', 'jsonpath={.data.tls\\.crt}')
                .out,
              'base64',
            ),
          ).validTo,
        );
      await of().until('it has ended', () => Date.now() > ends() + 1000);
      // A connection that is open goes on with the certificate it began with: another address makes a new one.
      patch({
        op: 'replace',
        path: '/webhooks/0/clientConfig/url',
        value: `https://127.0.0.1:${String(part.ports.webhook)}/mutate/anew`,
      });
      await refusedWithOurWords();
      await recovers();
    });

    it(
      'certificates that have ended while it was down: our ' + 'sentence, and recovery when the injector is back',
      async () => {
        await part.end('SIGKILL');
        await refusedWithOurWords();
        part = await injector(of(), { HOLDFAST_CERTIFICATES_EVERY_MS: '1000' });
        await recovers();
        expect(part.output).to.not.match(/PRIVATE KEY/);
      },
    );
  });
}
