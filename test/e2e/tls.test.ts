import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseStoreUrl } from '../../src/coordination/store-url.ts';
import { issue, type Certificates } from '../../src/operator/webhook/certificates.ts';
import { Fleet, statusOf } from '../support/fleet.ts';
import { freePort, TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const LIFE_MS = 3_600_000;

interface Served {
  readonly redis: TestRedis;
  readonly url: string;
  readonly ca: string;
}

/** A Redis that speaks TLS, with a certificate for `name`. */
async function serve(
  name: string,
  options: { readonly ca?: Certificates; readonly lifeMs?: number } = {},
): Promise<Served> {
  const made = await issue([name], { nowMs: Date.now(), lifeMs: options.lifeMs ?? LIFE_MS, previousCa: '' });
  const directory = mkdtempSync(join(tmpdir(), 'hf-tls-'));
  const file = (part: string, text: string): string => {
    const path = join(directory, part);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const port = await freePort();
  const redis = await TestRedis.start([
    '--tls-port',
    String(port),
    '--tls-cert-file',
    file('tls.crt', made.cert),
    '--tls-key-file',
    file('tls.key', made.key),
    '--tls-ca-cert-file',
    file('own-ca.crt', made.ca),
    '--tls-auth-clients',
    'no',
  ]);
  return { redis, url: `rediss://localhost:${String(port)}`, ca: file('ca.crt', (options.ca ?? made).ca) };
}

/** What a replica says when its Redis cannot be trusted. */
async function refused({ redis, url, ca }: Served): Promise<string> {
  const fleet = await Fleet.start(
    { replicas: 0, dialect: 'genesys-streams', store: url, env: { NODE_EXTRA_CA_CERTS: ca } },
    redis,
  );
  const replica = await fleet.add();
  await until(
    'it says why',
    () =>
      replica.program.output.includes('"level":"warn"') &&
      /certificate|self.signed|ALTNAME|speaks no TLS/i.test(replica.program.output),
    8000,
    () => replica.program.output,
  );
  expect((await statusOf(replica)).clients[0]?.role).to.equal('standby');
  expect(fleet.sim.history.of('conn.req')).to.deep.equal([]);
  const { output } = replica.program;
  await fleet.stop();
  return output;
}

describe('Redis over TLS', () => {
  it('two replicas work over it, and one takes over when the other is killed', async () => {
    const { redis, url, ca } = await serve('localhost');
    const fleet = await Fleet.start(
      {
        replicas: 2,
        dialect: 'genesys-streams',
        store: url,
        env: { NODE_EXTRA_CA_CERTS: ca },
        lease: { ttl: '3s', renewEvery: '1s', margin: '300ms' },
      },
      redis,
    );
    fleet.sim.rate = 200;
    await until('events flow', () => fleet.consumer.distinct > 200);
    const leader = await fleet.leader();
    expect(leader).to.not.equal(undefined);
    if (leader !== undefined) await fleet.end(leader, 'SIGKILL');
    const before = fleet.consumer.distinct;
    await until('they flow again', () => fleet.consumer.distinct > before + 200);
    fleet.sim.rate = 0;
    await until('everything is there', () => fleet.verdict.complete());
    fleet.verdict.check({ maxDuplicates: 512, gaps: 0 });
    await fleet.stop();
  });

  it('a certificate of an unknown authority is refused, and the reason is said', async () => {
    const other = await issue(['localhost'], { nowMs: Date.now(), lifeMs: LIFE_MS, previousCa: '' });
    await refused(await serve('localhost', { ca: other }));
  });

  it('a certificate for another host is refused', async () => {
    expect(await refused(await serve('redis.example'))).to.match(/ALTNAME|altnames/i);
  });

  it('a server that speaks no TLS is refused', async () => {
    const served = await serve('localhost');
    await refused({ ...served, url: `rediss://localhost:${String(served.redis.port)}` });
  });

  it('an address needs no server name, a host has one', () => {
    const tlsOf = (url: string): unknown =>
      (parseStoreUrl(url, 'hf', undefined) as { readonly options?: { readonly tls?: unknown } }).options?.tls;
    expect(tlsOf('rediss://redis.example:6380')).to.deep.equal({ minVersion: 'TLSv1.2', servername: 'redis.example' });
    expect(tlsOf('rediss://10.0.0.1:6380')).to.deep.equal({ minVersion: 'TLSv1.2' });
    expect(tlsOf('rediss://[::1]:6380')).to.deep.equal({ minVersion: 'TLSv1.2' });
    expect(tlsOf('redis://redis.example')).to.equal(undefined);
  });
});
