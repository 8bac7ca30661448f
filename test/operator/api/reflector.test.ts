import { expect } from 'chai';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { Kube } from '../../../src/operator/api/kube.ts';
import { Reflector } from '../../../src/operator/api/reflector.ts';
import { until } from '../../support/until.ts';

const object = (name: string, resourceVersion: string) => ({ metadata: { name, namespace: 'n', resourceVersion } });
const event = (type: string, of: unknown): string => `${JSON.stringify({ type, object: of })}\n`;

describe('the reflector, against a server that misbehaves as API servers do', () => {
  it(
    'survives 500, 410 in the answer and in the stream, a break in the middle of a line, and forgets what is ' + 'gone',
    async () => {
      const lists = [
        [object('a', '1'), object('b', '2')],
        [object('b', '2'), object('c', '9')],
        [object('c', '9'), object('d', '20')],
      ];
      const watched: string[] = [];
      let listed = 0;
      const script: ((response: ServerResponse) => void)[] = [
        (response) => {
          response.writeHead(500).end('{"message":"no"}');
        },
        (response) => {
          response.write(event('MODIFIED', object('a', '3')) + event('BOOKMARK', object('', '7')) + '{"type":"ADD');
          setImmediate(() => {
            response.destroy();
          });
        },
        (response) => {
          response.writeHead(410).end('{"reason":"Expired","message":"too old"}');
        },
        (response) => {
          response.write(event('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }));
        },
        (response) => {
          response.write(event('DELETED', object('c', '21')) + event('ADDED', object('e', '22')));
        },
      ];
      const server = createServer((request, response) => {
        const url = new URL(request.url ?? '', 'http://x');
        if (url.searchParams.get('watch') !== 'true') {
          response.end(
            JSON.stringify({
              metadata: { resourceVersion: String(listed * 10 + 5) },
              items: lists[Math.min(listed, lists.length - 1)],
            }),
          );
          listed += 1;
          return;
        }
        watched.push(url.searchParams.get('resourceVersion') ?? '');
        expect(url.searchParams.get('allowWatchBookmarks')).to.equal('true');
        const step = script.shift();
        if (step === undefined) response.write('\n');
        else step(response);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const config = new KubeConfig();
      config.loadFromOptions({
        clusters: [
          {
            name: 'c',
            server: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
            skipTLSVerify: true,
          },
        ],
        users: [{ name: 'u' }],
        contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
        currentContext: 'x',
      });
      const seen: string[] = [];
      const troubles: unknown[] = [];
      const reflector = new Reflector(
        new Kube(config, 'test'),
        { path: '/things' },
        {
          changed: (key, now) => {
            seen.push(`${now === undefined ? '-' : '+'}${key}`);
            throw new Error('a host that fails');
          },
          trouble: (error) => {
            troubles.push(error);
          },
        },
        { nowMs: () => performance.now(), random: () => 0 },
      );
      void reflector.run();
      await until(
        'the last event is in',
        () => reflector.objects.has('n/e'),
        15_000,
        () => [...seen, ...troubles.map(String)].join(' '),
      );
      expect([...reflector.objects.keys()].sort()).to.deep.equal(['n/d', 'n/e']);
      expect(reflector.listed).to.equal(true);
      expect(watched.slice(0, 3), 'after a 500 from the same version, after a break from the bookmark').to.deep.equal([
        '5',
        '5',
        '7',
      ]);
      expect(seen).to.include.members(['+n/a', '-n/a', '+n/c', '-n/b', '-n/c', '+n/e']);
      expect(troubles.length).to.be.greaterThan(0);
      reflector.stop();
      server.closeAllConnections();
      server.close();
    },
  );
});
