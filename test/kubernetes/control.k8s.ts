import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { request } from 'node:https';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { freePort, TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import type { Cluster } from './cluster.ts';
import { Sidecar } from './kubelet.ts';
import { eventStream, injector, namespace, Part, pod, reinstall, streamClient } from './plane.ts';

const PLUGIN = new URL('../../src/cli/kubectl-holdfast.ts', import.meta.url).pathname;
const NS = 'live';
/** The promise: what the status says is true within this. */
const TRUTH_MS = 5000;
/** The API server writes its audit log in lots, each at most 100 ms late. */
const AUDIT_LAG_MS = 500;
const OUTAGE_MS = Number(process.env['HOLDFAST_OUTAGE_MS'] ?? 60_000);

interface Conditions {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
    readonly state?: string;
    readonly leader?: { readonly podName: string; readonly epoch: number };
    readonly podsSummary?: string;
    readonly continuity?: { readonly gaps: number };
  };
}

export function controlling(of: () => Cluster): void {
  describe('the controller, with sidecars as processes against simulator and Redis', function () {
    // Each step stands on the one before.
    this.bail(true);
    const sim = new Simulator({ port: 0, rate: 50, size: 300, keys: 5, serverPingEveryMs: 200 });
    const consumer = new SampleConsumer();
    const sidecars: Sidecar[] = [];
    const parts: Part[] = [];
    let redis: TestRedis;
    let restarted = { from: Infinity, to: -Infinity };
    let simPort = 0;
    let consumerPort = 0;

    const client = (): Conditions => of().get('hfc', 'acme', '-n', NS) ?? {};
    const stream = (): Conditions => of().get('hfs', 'main', '-n', NS) ?? {};
    const condition = (object: Conditions, type: string): string => {
      const one = object.status?.conditions?.find((condition) => condition.type === type);
      return one === undefined ? 'none' : `${one.status} ${one.reason}`;
    };
    const told = (what: string, done: () => boolean | Promise<boolean>, limitMs = TRUTH_MS): Promise<void> =>
      until(
        what,
        done,
        limitMs,
        () =>
          `${JSON.stringify([client().status, stream().status])} ` +
          sidecars.map((one) => one.output.slice(-500)).join(''),
      );
    const events = (reason: string): string =>
      of().kubectl(
        'get',
        'events.events.k8s.io',
        '-n',
        NS,
        '-o',
        `jsonpath={range .items[?(@.reason=="${reason}")]}{.regarding.kind}/{.regarding.name}: {.note}{"\\n"}{end}`,
      ).out;
    const leader = (): Sidecar => {
      const name = client().status?.leader?.podName;
      const found = sidecars.find((one) => one.name === name);
      if (found === undefined) throw new Error(`no leader: ${String(name)}`);
      return found;
    };
    const flows = async (count: number): Promise<void> => {
      const target = consumer.distinct + count;
      await until('events flow', () => consumer.distinct >= target, 30_000);
    };
    const controller = async (): Promise<Part> => {
      const part = await Part.start(of(), 'controller', ['--store', `redis://127.0.0.1:${String(redis.port)}/0`]);
      parts.push(part);
      return part;
    };
    const kubectl = (
      ...args: readonly string[]
    ): { readonly code: number; readonly out: string; readonly err: string } => of().run('kubectl', args);

    before(async () => {
      redis = await TestRedis.start();
      simPort = await sim.listen();
      consumerPort = await consumer.listen();
      expect(reinstall(of()).err).to.equal('');
      parts.push(await injector(of()));
      namespace(of(), NS);
      await of().until(
        'the service account is there',
        () => of().kubectl('get', 'serviceaccount', 'default', '-n', NS).code === 0,
      );
      const http = `http://127.0.0.1:${String(simPort)}`;
      // kubectl is waited for in this process, where the simulator stands still meanwhile: silence is no fault here.
      const fast = {
        hosts: { login: http, api: http, streaming: `ws://127.0.0.1:${String(simPort)}` },
        reconnect: { baseDelay: '20ms', maxDelay: '200ms', extendedBaseDelay: '30ms', extendedMaxDelay: '300ms' },
        circuitBreaker: { open: '6s', minSamples: 3, window: '3s', failureRatePercent: 50 },
        gate: { capacity: 1000, refillEvery: '10ms', concurrent: 10 },
        token: { leadTime: '1s', minRemainingAtDial: '100ms', minRemainingAtRedial: '100ms', minInterval: '50ms' },
        lease: { ttl: '3s', renewEvery: '1s', guard: '300ms' },
      };
      const delivery = {
        mode: 'Push',
        push: { url: `http://127.0.0.1:${String(consumerPort)}/events`, contentMode: 'batch' },
        retryBaseDelay: '20ms',
        retryMaxDelay: '200ms',
      };
      expect(
        of().pipe(
          [
            streamClient('acme', { region: 'local', ...fast }),
            eventStream('main', 'acme', {
              heartbeat: { silence: '30s' },
              resume: { reorderWindow: '100ms' },
              delivery,
            }),
          ],
          'apply',
          '-n',
          NS,
        ).err,
      ).to.equal('');
      await controller();
    });
    after(async () => {
      for (const sidecar of sidecars) await sidecar.end('SIGKILL');
      for (const part of parts) await part.end('SIGKILL');
      await sim.close();
      await consumer.close();
      await redis.stop();
    });

    it('says what is missing: no pods, then credentials, and that the application may start all the same', async () => {
      await told(
        'there are no pods',
        () => condition(client(), 'LeaderElected') === 'False NoPods' && client().status?.state === 'NoPods',
        20_000,
      );
      for (const name of ['acme-0', 'acme-1', 'acme-2']) {
        await of().until('the pod is admitted', () => of().pipe(pod(name, 'acme'), 'create', '-n', NS).code === 0);
        const sidecar = new Sidecar(of(), { name, namespace: NS }, { redisPort: redis.port, admin: await freePort() });
        sidecars.push(sidecar);
        sidecar.start();
      }
      await told(
        'credentials are missing',
        () => condition(client(), 'Authenticated') === 'False CredentialsMissing',
        20_000,
      );
      expect(client().status?.conditions?.find((one) => one.type === 'Ready')?.message).to.include(
        'put the credential there',
      );
      expect(await sidecars[0]?.healthy(), 'started, so the application starts').to.equal(true);
      for (const sidecar of sidecars) sidecar.credentials();
      await told(
        'somebody leads',
        () => condition(client(), 'Ready') === 'True Leading' && client().status?.podsSummary === '3/3',
        20_000,
      );
      await flows(50);
      await told('the stream is live', () => condition(stream(), 'Ready') === 'True Streaming', 10_000);
      expect(condition(stream(), 'Resumable')).to.equal('True BySequence');
      expect(condition(stream(), 'Continuous')).to.equal('True NoGaps');
    });

    it('kubectl reads well: wait, get, describe, labels of pods', async () => {
      expect(kubectl('wait', '--for=condition=Ready', 'hfc/acme', '-n', NS, '--timeout=10s').code).to.equal(0);
      expect(kubectl('get', 'hfc', 'acme', '-n', NS).out).to.match(
        /acme +GenesysCloud +local +acme-\d +Active +3\/3 +True/,
      );
      expect(kubectl('get', 'hfs', 'main', '-n', NS).out).to.match(
        /main +acme +genesys-streams +Streaming +100\.000% +0 +\S+ +True/,
      );
      await told(
        'the pods say their role',
        () =>
          kubectl('get', 'pods', '-n', NS, '-l', 'holdfast.dev/role=leader', '-o', 'name').out.trim() ===
            `pod/${leader().name}` &&
          kubectl('get', 'pods', '-n', NS, '-l', 'holdfast.dev/role=standby', '-o', 'name').out.trim().split('\n')
            .length === 2,
      );
      await told('there is an Event', () => events('LeaderElected').includes('StreamClient/acme'));
      expect(kubectl('describe', 'hfc', 'acme', '-n', NS).out)
        .to.include('LeaderElected')
        .and.include('leads with epoch');
      expect(kubectl('events', '-n', NS, '--for', 'streamclient/acme').out).to.include('LeaderElected');
    });

    it('a leader that crashes: another one is shown in time, with an Event, and one pod less', async () => {
      const old = leader();
      const { epoch = 0 } = client().status?.leader ?? {};
      await old.end('SIGKILL');
      await flows(50);
      await told(
        'the new leader is shown',
        () => (client().status?.leader?.epoch ?? 0) > epoch && client().status?.leader?.podName !== old.name,
      );
      await told('one sidecar is silent', () => client().status?.podsSummary === '2/3', TRUTH_MS * 2);
      expect(
        events('LeaderElected')
          .split('\n')
          .filter((line) => line !== '').length,
      ).to.be.at.least(2);
      const again = new Sidecar(
        of(),
        { name: old.name, namespace: NS },
        { redisPort: redis.port, admin: await freePort() },
      );
      again.credentials();
      sidecars.splice(sidecars.indexOf(old), 1, again);
      again.start();
      await told('all are back', () => client().status?.podsSummary === '3/3', 20_000);
    });

    it('tokens that are refused: not authenticated, with the reason; true again when they are given', async () => {
      sim.do({ do: 'set', faults: { token: { status: 401, times: 1000, body: '{"error":"invalid_client"}' } } });
      sim.do({ do: 'revoke-tokens' });
      await told(
        'the failure is shown',
        () => condition(client(), 'Authenticated').startsWith('False'),
        TRUTH_MS + 3000,
      );
      await told('there is an Event', () => events('TokenRefreshFailed').includes('StreamClient/acme'));
      sim.do({ do: 'set', faults: { token: undefined } });
      await told(
        'it is authenticated again',
        () =>
          condition(client(), 'Authenticated') === 'True TokenValid' && condition(client(), 'Ready') === 'True Leading',
        60_000,
      );
      await flows(20);
    });

    it('a breaker that opens is shown, and that it closed', async () => {
      sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 5 } } });
      sim.do({ do: 'drop' });
      await told('the breaker is open', () => condition(client(), 'CircuitClosed').startsWith('False'), 20_000);
      await told('the Event is there', () => events('CircuitOpened') !== '');
      expect(condition(client(), 'Ready')).to.match(/^False (Open|HalfOpen)/);
      await told(
        'it is closed again',
        () => condition(client(), 'CircuitClosed') === 'True Closed' && condition(client(), 'Ready') === 'True Leading',
        60_000,
      );
      await flows(20);
    });

    it('a gap is counted, explained and an Event', async () => {
      const { gaps = 0 } = stream().status?.continuity ?? {};
      sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 2 } } });
      sim.do({ do: 'drop' });
      sim.do({ do: 'generate', count: 300 });
      sim.do({ do: 'purge', keep: 20 });
      await flows(50);
      await told(
        'it is counted',
        () =>
          (stream().status?.continuity?.gaps ?? 0) > gaps && condition(stream(), 'Continuous') === 'False ResumeGap',
      );
      expect(stream().status?.conditions?.find((one) => one.type === 'Continuous')?.message).to.match(
        /gaps were announced; the last one from \d+ to \d+/,
      );
      await told('there is an Event', () => events('ResumeGap').includes('EventStream/main'));
      await told(
        'all else is well',
        () => condition(client(), 'Ready') === 'True Leading' && condition(stream(), 'Ready') === 'True Streaming',
        60_000,
      );
    });

    it('the plugin: status, gaps, handover, outdated, from any directory, with -n, -A and --context', async () => {
      const bin = mkdtempSync(join(tmpdir(), 'hf-plugin-'));
      writeFileSync(join(bin, 'kubectl-holdfast'), `#!/bin/sh\nexec "${process.execPath}" "${PLUGIN}" "$@"\n`);
      chmodSync(join(bin, 'kubectl-holdfast'), 0o755);
      const plugin = (...args: readonly string[]) => {
        const done = spawnSync(join(of().bin, 'kubectl'), ['holdfast', ...args], {
          encoding: 'utf8',
          cwd: tmpdir(),
          env: { ...of().environment(), PATH: `${bin}:${of().environment()['PATH'] ?? ''}` },
        });
        return { code: done.status, out: done.stdout, err: done.stderr };
      };
      expect(plugin().out).to.include('kubectl holdfast COMMAND');
      expect(plugin('statu', '-n', NS).err).to.include('unknown command "statu"');
      const shown = plugin('status', 'acme', '-n', NS, '--context', 'test');
      expect(shown.out)
        .to.match(/live +acme +acme-\d +\d+ +Active +3\/3/)
        .and.match(/live +main +acme +Streaming/)
        .and.match(/acme-\d +acme +leader/);
      expect(shown.out).to.include('Continuous is False (ResumeGap)');
      expect(plugin('status', '-A').out).to.match(/live +acme/);
      expect(plugin('status', 'nobody', '-n', NS).err).to.include('there is no StreamClient nobody here');
      expect(plugin('gaps', 'main', '-n', NS).out)
        .to.match(/live +main +\d+\.\d+% +\d+ +\d+ gaps were announced/)
        .and.include('TIME');
      expect(plugin('outdated', '-n', NS).out).to.include('all 3 sidecars are of version 0.1.0');
      kubectl('label', 'pod', 'acme-0', '-n', NS, 'holdfast.dev/injected-version=0.0.9', '--overwrite');
      expect(plugin('outdated', '-n', NS).out).to.match(/live +acme-0 +0\.0\.9 +0\.1\.0/);
      await told('the pod has an Event', () => events('SidecarOutdated').includes('Pod/acme-0'));
      kubectl('label', 'pod', 'acme-0', '-n', NS, 'holdfast.dev/injected-version=0.1.0', '--overwrite');
      const before = leader().name;
      const moved = plugin('handover', 'acme', '-n', NS);
      expect(moved.err).to.equal('');
      expect(moved.out).to.match(/asked acme-\d \(epoch \d+\) to hand over\nacme-\d leads with epoch \d+/);
      expect(leader().name).to.not.equal(before);
      expect(plugin('handover', 'nobody', '-n', NS).err).to.include('not found');
      await flows(20);
      await told('an Event tells of it', () => events('LeaseHandedOver').includes('StreamClient/acme'));
    });

    it('changed documents reach the sidecars, which begin anew one after another; nothing is missed', async () => {
      const { continuity, leader: old } = { ...stream().status, ...client().status };
      expect(
        kubectl('patch', 'hfs', 'main', '-n', NS, '--type=merge', '-p', '{"spec":{"delivery":{"maxInFlight":128}}}')
          .code,
      ).to.equal(0);
      const annotated = (name: string): string =>
        kubectl('get', 'pod', name, '-n', NS, '-o', 'jsonpath={.metadata.annotations.holdfast\\.dev/config}').out;
      await told('the annotations are new', () =>
        sidecars.every((one) => annotated(one.name).includes('"maxInFlight":128')),
      );
      // Here a kubelet would write the file.
      const restarts = sidecars.map((one) => one.restarts);
      for (const one of sidecars) one.project();
      await until(
        'each has begun anew',
        () => sidecars.every((one, index) => one.restarts === (restarts[index] ?? 0) + 1),
        60_000,
      );
      await flows(50);
      await told(
        'another term has begun and all is well',
        () =>
          (client().status?.leader?.epoch ?? 0) > (old?.epoch ?? 0) &&
          condition(client(), 'Ready') === 'True Leading' &&
          client().status?.podsSummary === '3/3' &&
          condition(stream(), 'Ready') === 'True Streaming',
        30_000,
      );
      expect(stream().status?.continuity?.gaps ?? 0).to.be.at.most(continuity?.gaps ?? 0);
    });

    it('suspend closes the streams, and resume opens them', async () => {
      const project = async (word: string): Promise<void> => {
        await told('the annotations are new', () =>
          sidecars.every(
            (one) =>
              kubectl(
                'get',
                'pod',
                one.name,
                '-n',
                NS,
                '-o',
                'jsonpath={.metadata.annotations.holdfast\\.dev/config}',
              ).out.includes(`"suspend":${word},"token"`) ||
              kubectl('get', 'pod', one.name, '-n', NS, '-o', 'jsonpath={.metadata.annotations.holdfast\\.dev/config}')
                .out.split('\n---\n')[0]
                ?.includes(`"suspend":${word}`) === true,
          ),
        );
        for (const one of sidecars) one.project();
      };
      kubectl('patch', 'hfc', 'acme', '-n', NS, '--type=merge', '-p', '{"spec":{"suspend":true}}');
      await told(
        'it says that it begins',
        () =>
          condition(client(), 'Ready') === 'False Suspending' ||
          condition(client(), 'Ready') === 'False ConfigurationPending',
      );
      await project('true');
      await until('no connection is open', () => sim.connections.length === 0, 60_000);
      await told(
        'it says so',
        () =>
          client().status?.state === 'Suspended' &&
          condition(client(), 'Ready') === 'False Suspended' &&
          stream().status?.state === 'Suspended',
        20_000,
      );
      kubectl('patch', 'hfc', 'acme', '-n', NS, '--type=merge', '-p', '{"spec":{"suspend":false}}');
      await project('false');
      await until('a connection is open', () => sim.connections.length > 0, 60_000);
      await flows(50);
      await told(
        'all is well',
        () => condition(client(), 'Ready') === 'True Leading' && client().status?.podsSummary === '3/3',
        30_000,
      );
    });

    it(
      'the API server is gone for a minute: the streams do not ' + 'notice, and the status is true again afterwards',
      async () => {
        const opened = sim.history.of('conn.open').length;
        const before = consumer.distinct;
        await of().stopApiServer();
        const endMs = performance.now() + OUTAGE_MS;
        let last = consumer.distinct;
        while (performance.now() < endMs) {
          await new Promise((resolve) => setTimeout(resolve, 1000));
          expect(consumer.distinct, 'events in each second').to.be.greaterThan(last);
          last = consumer.distinct;
        }
        expect(sim.history.of('conn.open').length, 'no reconnection').to.equal(opened);
        expect(consumer.distinct - before).to.be.at.least((OUTAGE_MS / 1000) * 25);
        const from = Date.now();
        of().startApiServer();
        await of().ready();
        restarted = { from, to: Date.now() + 10_000 };
        const old = leader();
        await old.end('SIGKILL');
        const again = new Sidecar(
          of(),
          { name: old.name, namespace: NS },
          { redisPort: redis.port, admin: await freePort() },
        );
        again.credentials();
        sidecars.splice(sidecars.indexOf(old), 1, again);
        again.start();
        await told(
          'the next change is shown',
          () => client().status?.leader?.podName !== old.name && condition(client(), 'Ready') === 'True Leading',
          40_000,
        );
      },
    );

    it('of two controllers one writes; when it is killed the other one goes on, never both', async () => {
      const [, first] = parts;
      const second = await controller();
      await first?.end('SIGKILL');
      // What it wrote last comes into the log with the next lot.
      await pause(AUDIT_LAG_MS);
      const line = of().audit().length;
      kubectl('annotate', 'hfs', 'main', '-n', NS, 'test/touched=1', '--overwrite');
      kubectl(
        'patch',
        'hfs',
        'main',
        '-n',
        NS,
        '--subresource=status',
        '--type=merge',
        '-p',
        '{"status":{"state":"Wrong"}}',
      );
      await until('the other one has put it right', () => stream().status?.state === 'Streaming', 60_000);
      const third = await controller();
      // Given back on a clean stop: the next one need not wait for the end of the lease.
      await second.end('SIGTERM');
      kubectl(
        'patch',
        'hfs',
        'main',
        '-n',
        NS,
        '--subresource=status',
        '--type=merge',
        '-p',
        '{"status":{"state":"Wrong"}}',
      );
      await until('the third one has put it right', () => stream().status?.state === 'Streaming', 30_000);
      const writers = (): readonly string[] =>
        of()
          .audit()
          .slice(line)
          .filter(
            (one) =>
              String(one['userAgent']).startsWith('holdfast-controller') &&
              one['verb'] === 'patch' &&
              (one['objectRef'] as { readonly subresource?: string }).subresource === 'status',
          )
          .map((one) => String(one['userAgent']));
      await until('the log of the API server has both', () => new Set(writers()).size >= 2, 10_000);
      const writes = writers();
      expect(new Set(writes).size).to.equal(2);
      expect(writes.lastIndexOf(writes[0] ?? ''), 'their writes do not mix').to.be.lessThan(
        writes.findIndex((one) => one !== writes[0]),
      );
      expect(third.output).to.not.include('fatal');
    });

    it('Redis is away: nobody is said to lead; all is true again when it is back', async () => {
      await redis.stop();
      await told(
        'it is not known',
        () =>
          condition(client(), 'LeaderElected') === 'Unknown StoreUnavailable' &&
          condition(stream(), 'Ready') === 'Unknown StoreUnavailable',
        TRUTH_MS * 3,
      );
      await redis.again();
      await told(
        'somebody leads',
        () => condition(client(), 'Ready') === 'True Leading' && condition(stream(), 'Ready') === 'True Streaming',
        40_000,
      );
      await flows(50);
    });

    it('the controller may label a pod and bring its documents, and nothing else', async () => {
      const token = kubectl('create', 'token', 'holdfast-controller', '-n', 'holdfast-system').out.trim();
      // kubectl would read the pod first, which the controller may not.
      const call = (method: string, path: string, body?: unknown): Promise<string> =>
        new Promise((resolve, reject) => {
          const asked = request(
            `https://127.0.0.1:${String(of().port)}${path}`,
            {
              method,
              rejectUnauthorized: false,
              headers: { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' },
            },
            (response) => {
              let text = '';
              response.on('data', (chunk: Buffer) => {
                text += chunk.toString();
              });
              response.on('end', () => {
                resolve(response.statusCode === 200 ? '' : text);
              });
            },
          );
          asked.once('error', reject);
          asked.end(body === undefined ? undefined : JSON.stringify(body));
        });
      const patch = (body: unknown): Promise<string> => call('PATCH', `/api/v1/namespaces/${NS}/pods/acme-0`, body);
      expect(await patch({ metadata: { labels: { 'holdfast.dev/role': 'standby' } } })).to.equal('');
      expect(await patch({ metadata: { labels: { 'app.kubernetes.io/name': 'other' } } })).to.include(
        'may set the label holdfast.dev/role and no other',
      );
      expect(await patch({ metadata: { labels: { 'holdfast.dev/client': null } } })).to.include('and no other');
      expect(await patch({ metadata: { annotations: { 'other/key': 'x' } } })).to.include(
        'may set the annotation holdfast.dev/config and no other',
      );
      expect(await patch({ spec: { containers: [{ name: 'app', image: 'evil' }] } })).to.not.equal('');
      expect(await call('GET', `/api/v1/namespaces/${NS}/secrets`)).to.include('forbidden');
      expect(
        await call('PATCH', `/apis/holdfast.dev/v1alpha1/namespaces/${NS}/streamclients/acme`, {
          spec: { suspend: true },
        }),
      ).to.include('forbidden');
    });

    it('least privilege, by the audit log: every right that is given is used, and none was missing', () => {
      const used = new Map<string, Set<string>>([
        ['controller', new Set()],
        ['injector', new Set()],
      ]);
      const refused: string[] = [];
      for (const line of of().audit()) {
        const agent = /^holdfast-(controller|injector)\//.exec(String(line['userAgent']))?.[1];
        const {
          apiGroup = '',
          resource = '',
          subresource,
        } = (line['objectRef'] ?? {}) as {
          readonly apiGroup?: string;
          readonly resource?: string;
          readonly subresource?: string;
        };
        if (agent === undefined || resource === '') continue;
        const code = Number((line['responseStatus'] as { readonly code?: number } | undefined)?.code);
        const part = subresource === undefined ? '' : `/${subresource}`;
        const right = `${String(line['verb'])} ${apiGroup}/${resource}${part}`;
        // While the API server starts it does not know its own roles yet.
        const at = Date.parse(String(line['stageTimestamp']));
        const starting = at >= restarted.from && at <= restarted.to;
        if (code === 403 && !starting) refused.push(`${agent}: ${right}`);
        used.get(agent)?.add(right);
      }
      expect(refused, 'refused').to.deep.equal([]);
      interface Rules {
        readonly rules: readonly {
          readonly apiGroups: readonly string[];
          readonly resources: readonly string[];
          readonly verbs: readonly string[];
        }[];
      }
      const granted = (part: string): readonly string[] => {
        const roles = [
          of().get('clusterrole', `holdfast-${part}`),
          of().get('role', `holdfast-${part}-own`, '-n', 'holdfast-system'),
          of().get('clusterrole', `holdfast-${part}-own`),
        ].filter((one) => one !== undefined) as unknown as readonly Rules[];
        return roles
          .flatMap((role) => role.rules)
          .flatMap((rule) =>
            rule.apiGroups.flatMap((group) =>
              rule.resources.flatMap((resource) => rule.verbs.map((verb) => `${verb} ${group}/${resource}`)),
            ),
          );
      };
      for (const part of ['controller', 'injector'])
        expect([...(used.get(part) ?? [])], part).to.have.members([...new Set(granted(part))]);
    });

    it(
      'the end of a pod: preStop hands over at once, SIGTERM ' + 'finds nothing left to do, and nothing is lost',
      async () => {
        const old = leader();
        const { epoch = 0 } = client().status?.leader ?? {};
        const { drained } = await old.terminate(15_000);
        expect(drained, 'preStop').to.equal(0);
        kubectl('delete', 'pod', old.name, '-n', NS, '--now');
        await flows(50);
        await told(
          'another one leads',
          () => (client().status?.leader?.epoch ?? 0) > epoch && condition(client(), 'Ready') === 'True Leading',
        );
        sim.rate = 0;
        const [gap] = consumer.controls.filter((one) => one.type === 'dev.holdfast.gap.detected').slice(-1);
        expect(
          Number((gap?.data as { readonly to?: string } | undefined)?.to ?? 0),
          'no gap but the one that was made',
        ).to.be.lessThan(Number.MAX_SAFE_INTEGER);
        expect(old.output).to.not.match(/sim-secret|sim-access/);
      },
    );
  });
}
