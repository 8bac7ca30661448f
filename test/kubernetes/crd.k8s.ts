import { expect } from 'chai';
import { specSchema, type SchemaNode } from '../../src/config/spec-schema.ts';
import type { Cluster } from './cluster.ts';
import { eventStream, namespace, streamClient } from './plane.ts';
import { wrongClients, wrongStreams } from './wrong.ts';

export function definitions(of: () => Cluster): void {
  describe('the definitions of our kinds', () => {
    before(() => {
      namespace(of(), 'kinds');
    });

    it('are established, with short names, a category and a description of every field', async () => {
      const cluster = of();
      expect(
        cluster.kubectl(
          'wait',
          '--for=condition=Established',
          'crd/streamclients.holdfast.dev',
          'crd/eventstreams.holdfast.dev',
          '--timeout=20s',
        ).code,
      ).to.equal(0);
      const listed = cluster.kubectl('api-resources', '--api-group=holdfast.dev', '-o', 'wide').out;
      expect(listed)
        .to.match(/streamclients +hfc .*StreamClient .*holdfast/)
        .and.match(/eventstreams +hfs .*EventStream .*holdfast/);
      const bare: string[] = [];
      const walk = (node: SchemaNode, path: string): void => {
        if ((node.description ?? '') === '') bare.push(path);
        for (const [name, child] of Object.entries(node.properties ?? {})) walk(child, `${path}.${name}`);
        for (const [name, child] of Object.entries(node.items?.properties ?? {})) walk(child, `${path}[].${name}`);
      };
      for (const kind of ['StreamClient', 'EventStream'] as const) walk(specSchema(kind), kind);
      expect(bare, 'fields without a description').to.deep.equal([]);
      let explained = '';
      await cluster.until('the schema is published', () => {
        explained = cluster.kubectl('explain', 'streamclient.spec', '--recursive').out;
        return explained !== '';
      });
      for (const field of ['credentials', 'refillEvery', 'failureRatePercent', 'minRemainingAtDial'])
        expect(explained).to.include(field);
      expect(cluster.kubectl('explain', 'hfc.spec.lease.ttl').out).to.include('Life of the lease');
    });

    it('give defaults, and columns that read well', () => {
      const cluster = of();
      expect(
        cluster.pipe([streamClient('plain'), eventStream('routing', 'plain')], 'apply', '-n', 'kinds').code,
      ).to.equal(0);
      const { spec } = cluster.get('hfc', 'plain', '-n', 'kinds') as {
        readonly spec: { readonly lease: unknown; readonly gate: unknown };
      };
      expect(spec.lease).to.deep.equal({ ttl: '6s', renewEvery: '2s', margin: '500ms' });
      expect(cluster.kubectl('get', 'hfc', '-n', 'kinds').out).to.match(
        /^NAME +PLATFORM +REGION +LEADER +STATE +PODS +READY +AGE\nplain +GenesysCloud +us-east-1 /,
      );
      expect(cluster.kubectl('get', 'hfs', '-n', 'kinds', '-o', 'wide').out).to.match(
        new RegExp(
          '^NAME +CLIENT +DIALECT +STATE +CONTINUITY +GAPS +LAST-EVENT +READY +REASON +CHECKPOINT ' +
            '+DELIVERING +BACKLOG +PENDING +RECONNECTS +AGE\n',
        ),
      );
      expect(cluster.kubectl('get', 'holdfast', '-n', 'kinds').out)
        .to.include('eventstream.holdfast.dev/routing')
        .and.include('streamclient.holdfast.dev/plain');
      expect(
        cluster
          .kubectl('get', 'hfs', '-n', 'kinds', '--field-selector', 'spec.clientRef.name=plain', '-o', 'name')
          .out.trim(),
      ).to.equal('eventstream.holdfast.dev/routing');
      expect(
        cluster
          .kubectl('get', 'hfs', '-n', 'kinds', '--field-selector', 'spec.clientRef.name=other', '-o', 'name')
          .out.trim(),
      ).to.equal('');
    });

    it('a status that is written leaves spec and generation alone', () => {
      const cluster = of();
      const before = cluster.get('hfc', 'plain', '-n', 'kinds') as {
        readonly metadata: { readonly generation: number };
        readonly spec: unknown;
      };
      expect(
        cluster.kubectl(
          'patch',
          'hfc',
          'plain',
          '-n',
          'kinds',
          '--subresource=status',
          '--type=merge',
          '-p',
          '{"status":{"state":"Active"},"spec":{"region":"elsewhere"}}',
        ).code,
      ).to.equal(0);
      const after = cluster.get('hfc', 'plain', '-n', 'kinds') as {
        readonly metadata: { readonly generation: number };
        readonly spec: unknown;
        readonly status: { readonly state: string };
      };
      expect(after.spec).to.deep.equal(before.spec);
      expect(after.metadata.generation).to.equal(before.metadata.generation);
      expect(after.status.state).to.equal('Active');
    });

    for (const [what, spec, message] of wrongClients) {
      it(`refuse a StreamClient with a wrong ${what}, naming the field`, () => {
        const answer = of().pipe(streamClient('wrong', spec), 'create', '-n', 'kinds', '--dry-run=server');
        expect(answer.code).to.not.equal(0);
        expect(answer.err).to.match(message);
      });
    }

    for (const [what, spec, message] of wrongStreams) {
      it(`refuse an EventStream with a wrong ${what}, naming the field`, () => {
        const answer = of().pipe(eventStream('wrong', 'plain', spec), 'create', '-n', 'kinds', '--dry-run=server');
        expect(answer.code).to.not.equal(0);
        expect(answer.err).to.match(message);
      });
    }

    it('refuse a change of what positions belong to', () => {
      const cluster = of();
      expect(
        cluster.kubectl('patch', 'hfc', 'plain', '-n', 'kinds', '--type=merge', '-p', '{"spec":{"region":"eu-west-1"}}')
          .err,
      ).to.include('region cannot be changed');
      expect(
        cluster.kubectl(
          'patch',
          'hfc',
          'plain',
          '-n',
          'kinds',
          '--type=merge',
          '-p',
          '{"spec":{"platform":"NiceCXone"}}',
        ).err,
      ).to.include('platform cannot be changed');
      expect(
        cluster.kubectl(
          'patch',
          'hfs',
          'routing',
          '-n',
          'kinds',
          '--type=merge',
          '-p',
          '{"spec":{"clientRef":{"name":"other"}}}',
        ).err,
      ).to.include('clientRef.name cannot be changed');
      expect(cluster.pipe(streamClient('n'.repeat(64)), 'create', '-n', 'kinds').err).to.include('longer than 63');
    });

    it('loopback tests may be faster than a platform allows', () => {
      const hosts = Object.fromEntries(['login', 'api', 'streaming'].map((name) => [name, 'http://127.0.0.1:9']));
      expect(
        of().pipe(
          streamClient('local', { hosts, reconnect: { baseDelay: '10ms' } }),
          'create',
          '-n',
          'kinds',
          '--dry-run=server',
        ).err,
      ).to.equal('');
    });
  });
}
