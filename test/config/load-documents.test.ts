import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { nearest, loadDocuments } from '../../src/config/load-documents.ts';
import { ConfigError, type ConfigProblem } from '../../src/config/config-problem.ts';
import { resolve } from '../../src/config/plan.ts';
import { parseDuration } from '../../src/config/quantities.ts';
import { environmentProblems } from '../../src/cli/options.ts';
import { command } from '../support/process.ts';

const GOOD = `apiVersion: holdfast.dev/v1alpha1
kind: StreamClient
metadata: { name: acme }
spec:
  platform: GenesysCloud
  region: us-east-1
  credentials: { directory: /run/secrets/acme }
---
apiVersion: holdfast.dev/v1alpha1
kind: EventStream
metadata: { name: routing }
spec:
  clientRef: { name: acme }
  dialect: genesys-streams
  path: routing-streams
  delivery: { mode: Push, push: { url: "http://127.0.0.1:8080/events" } }
`;
const directory = mkdtempSync(join(tmpdir(), 'hf-config-'));
let serial = 0;
const fileOf = (text: string): string => {
  serial += 1;
  const file = join(directory, `c${String(serial)}.yaml`);
  writeFileSync(file, text);
  return file;
};
const problems = (...files: readonly string[]): readonly ConfigProblem[] => {
  try {
    loadDocuments(files);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
};
/** The good configuration with one value changed; `path` is client.… or stream.… */
const changed = (path: string, value: unknown): readonly ConfigProblem[] => {
  const documents = GOOD.split('---\n').map((text) => parse(text) as Record<string, unknown>);
  const [which, ...steps] = path.split('.');
  let at = documents[which === 'client' ? 0 : 1] as Record<string, unknown>;
  for (const step of steps.slice(0, -1)) at = (at[step] ??= {}) as Record<string, unknown>;
  at[steps.at(-1) ?? ''] = value;
  return problems(fileOf(documents.map((one) => stringify(one)).join('---\n')));
};

describe('configuration (reliability 5.3)', () => {
  it('a good one resolves with the defaults of the contract', () => {
    const [client] = resolve(loadDocuments([fileOf(GOOD)]));
    expect(client?.hosts).to.deep.equal({
      login: 'https://login.mypurecloud.com',
      api: 'https://api.mypurecloud.com',
      streaming: 'wss://api.mypurecloud.com',
    });
    expect(client?.dialing.gate).to.deep.equal({ capacity: 3, refillEveryMs: 6000, concurrent: 1 });
    expect(client?.streams[0]?.outbox).to.deep.include({
      maxInFlight: 256,
      maxUncheckpointed: 256,
      ackTimeoutMs: 30_000,
      maxBufferedBytes: 8 * 1024 * 1024,
    });
    expect(client?.streams[0]?.source).to.equal('/holdfast/GenesysCloud/us-east-1/acme/routing');
  });

  it('53 empty, missing, directory, and comments only', () => {
    for (const file of [fileOf(''), join(directory, 'none'), directory, fileOf('# nothing\n')])
      expect(problems(file)[0], file).to.include.keys('field', 'rule', 'remedy');
    expect(problems()[0]?.field).to.equal('-f');
  });
  it('54 syntax errors name line and column', () =>
    expect(problems(fileOf('a: [1,\nb: }'))[0]?.field).to.match(/:\d+:\d+$/));
  it('55 an unknown key names the nearest known one', () => {
    expect(changed('client.spec.reconect', {})[0]?.remedy).to.include('"reconnect"');
    expect(changed('stream.spec.delivery.maxInflight', 3)[0]?.remedy).to.include('"maxInFlight"');
    expect(nearest('zzzzzz', ['spec'])).to.equal(undefined);
  });

  const refused: readonly (readonly [string, string, unknown, string])[] = [
    ['57 renew too slow for the lease', 'client.spec.lease', { ttl: '6s', renewEvery: '3s' }, 'lease.renewEvery'],
    ['57 margin too long', 'client.spec.lease', { margin: '3s' }, 'lease.margin'],
    ['58 a duration with a space', 'client.spec.reconnect', { baseDelay: '15 sec' }, 'reconnect.baseDelay'],
    ['58 a negative duration', 'client.spec.reconnect', { baseDelay: '-1s' }, 'reconnect.baseDelay'],
    ['58 zero', 'stream.spec.heartbeat', { silence: '0ms' }, 'heartbeat.silence'],
    ['58 not a number', 'stream.spec.delivery.maxInFlight', Number.NaN, 'maxInFlight'],
    ['59 ws toward a foreign host', 'client.spec.hosts', { streaming: 'ws://stream.example.com' }, 'hosts.streaming'],
    ['59 http toward a foreign host', 'client.spec.hosts', { login: 'http://login.example.com' }, 'hosts.login'],
    ['60 user info', 'client.spec.hosts', { api: 'https://u:p@api.mypurecloud.com' }, 'hosts.api'],
    ['61 token in a URL', 'client.spec.hosts', { api: 'https://api.mypurecloud.com/?access_token=x' }, 'hosts.api'],
    [
      '61 token in the push URL',
      'stream.spec.delivery',
      { mode: 'Push', push: { url: 'http://127.0.0.1/?access_token=x' } },
      'push.url',
    ],
    ['62 IP literal', 'client.spec.hosts', { api: 'https://10.0.0.1' }, 'hosts.api'],
    ['62 decimal IP', 'client.spec.hosts', { api: 'https://167772161' }, 'hosts.api'],
    ['62 mapped IPv6', 'client.spec.hosts', { api: 'https://[::ffff:10.0.0.1]' }, 'hosts.api'],
    ['62 trailing dot', 'client.spec.hosts', { api: 'https://api.mypurecloud.com.' }, 'hosts.api'],
    ['62 punycode', 'client.spec.hosts', { api: 'https://xn--pi-7na.example.com' }, 'hosts.api'],
    ['62 an address in the region', 'client.spec.region', 'x.y@169.254.169.254', 'region'],
    ['63 CRLF', 'client.spec.tenantId', 'a\r\nb', 'tenantId'],
    ['63 NUL', 'stream.spec.topics', ['a\u0000'], 'topics'],
    ['65 not DNS-1123', 'stream.metadata.name', 'Routing_Stream', 'metadata.name'],
    ['66 unknown region', 'client.spec.region', 'mars', 'region'],
    ['a wrong path', 'stream.spec.path', 'chat-streams', 'path'],
    ['a dialect of the other vendor', 'stream.spec.dialect', 'cxone-events', 'dialect'],
    ['a keep-alive where none is allowed', 'stream.spec.heartbeat', { pingEvery: '20s' }, 'pingEvery'],
    [
      'S4: ping below 5 s',
      'stream.spec',
      { clientRef: { name: 'acme' }, dialect: 'genesys-architect', heartbeat: { pingEvery: '3s' } },
      'pingEvery',
    ],
    [
      'S4: ping above 45 s',
      'stream.spec',
      { clientRef: { name: 'acme' }, dialect: 'genesys-architect', heartbeat: { pingEvery: '50s' } },
      'pingEvery',
    ],
    ['a base delay that gets the client locked out', 'client.spec.reconnect', { baseDelay: '100ms' }, 'baseDelay'],
    [
      'push toward another machine',
      'stream.spec.delivery',
      { mode: 'Push', push: { url: 'http://10.1.2.3/' } },
      'push.url',
    ],
    ['a REST path that leaves the host', 'stream.spec.resume', { snapshotPath: '@evil.example/x' }, 'snapshotPath'],
    [
      'a secret in the document',
      'client.spec.credentials',
      { directory: '/x', clientSecret: 'hunter2-hunter2' },
      'clientSecret',
    ],
    [
      'a window that ends before it begins',
      'client.spec.maintenance',
      [{ from: '2026-01-02T00:00:00Z', to: '2026-01-01T00:00:00Z' }],
      'maintenance',
    ],
  ];
  for (const [name, path, value, field] of refused) {
    it(`${name} is refused with field, rule and remedy`, () => {
      const found = changed(path, value).filter((one) => one.field.includes(field));
      expect(found.length, 'a problem that names the field').to.be.at.least(1);
      expect(found[0]?.rule).to.not.equal('');
      expect(found[0]?.remedy).to.not.equal('');
      expect(JSON.stringify(found)).to.not.include('hunter2');
    });
  }

  it('56 duplicate names, and one OAuth client in two documents', () => {
    const [client = '', stream = ''] = GOOD.split('---\n');
    expect(problems(fileOf([client, stream, stream].join('---\n')))[0]?.rule).to.include('already');
    expect(
      problems(fileOf([client, client.replace('name: acme', 'name: other'), stream].join('---\n'))).some((one) =>
        one.rule.includes('OAuth client'),
      ),
    ).to.equal(true);
  });
  it('77 ten thousand streams are refused with the limit', () => {
    const [client = '', stream = ''] = GOOD.split('---\n');
    const many = Array.from({ length: 201 }, (_, n) => stream.replace('name: routing', `name: s${String(n)}`));
    expect(problems(fileOf([client, ...many].join('---\n'))).some((one) => one.rule.includes('200'))).to.equal(true);
  });
  it('says everything that is wrong at once', () => {
    expect(
      problems(
        fileOf(
          GOOD.replace('us-east-1', 'mars')
            .replace('path: routing-streams', 'path: x')
            .replace('http://127.0.0.1:8080/events', 'nothing'),
        ),
      ).length,
    ).to.be.at.least(3);
  });
  it('warns about unknown hosts and never rewrites them', () => {
    const documents = loadDocuments([
      fileOf(GOOD.replace('region: us-east-1', 'region: us-east-1\n  hosts: { api: https://api.corp.example }')),
    ]);
    expect(documents.warnings.join()).to.include('api.corp.example');
  });
  it('74 an environment under which no secret is safe is refused', () => {
    expect(environmentProblems({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }).length).to.equal(1);
    expect(environmentProblems({ NODE_OPTIONS: '--inspect' }).length).to.equal(1);
    expect(environmentProblems({ NODE_OPTIONS: '--max-old-space-size=100' })).to.deep.equal([]);
  });
  it('reads durations', () => {
    expect(['250ms', '12s', '5m', '1.5h', '1d', '5'].map(parseDuration)).to.deep.equal([
      250,
      12_000,
      300_000,
      5_400_000,
      undefined,
      undefined,
    ]);
  });
});

describe('the command line', () => {
  it('validate: exit 0 and what will be held; exit 78 and one JSON line per problem', async () => {
    const credentials = mkdtempSync(join(tmpdir(), 'hf-cli-'));
    writeFileSync(join(credentials, 'clientId'), 'the-client');
    const file = fileOf(GOOD.replace('/run/secrets/acme', credentials));
    const missing = await command(['validate', '-f', file]);
    expect([missing.code, JSON.parse(missing.err.split('\n')[0] ?? '')]).to.deep.equal([
      78,
      {
        level: 'fatal',
        code: 'HF_CONFIG_SECRET',
        field: join(credentials, 'clientSecret'),
        rule: 'does not exist',
        hint: 'put the credential there: one line, UTF-8, nothing else',
      },
    ]);
    writeFileSync(join(credentials, 'clientSecret'), 'the-secret-value');
    const good = await command(['validate', '-f', file]);
    expect(good.code).to.equal(0);
    expect(good.out)
      .to.include('genesys-streams, class A')
      .and.include('websocket:read, routing:queue:read')
      .and.not.include('the-secret-value');
  });
  it('70 a port in use, an unknown command, an unknown option: exit 78 with one sentence', async () => {
    expect((await command(['nonsense'])).code).to.equal(78);
    expect((await command(['run', '--frobnicate'])).code).to.equal(78);
    expect((await command(['run', '-f', 'x', '--admin-port', '70000'])).err).to.include('--admin-port');
    expect((await command(['run', '-f', 'x', '--store', 'redis://:pw-in-the-url@h'])).err)
      .to.include('--store')
      .and.not.include('pw-in-the-url');
    for (const name of ['run', 'validate', 'status', 'dlq', 'simulate', 'demo'])
      expect((await command([name, '--help'])).code, name).to.equal(0);
  });
});
