import type { AddressInfo } from 'node:net';
import { createServer as createHttp, type RequestListener as Listener } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadDocuments } from '../../src/config/load-documents.ts';
import { resolve, type ClientPlan } from '../../src/config/plan.ts';
import { HoldfastError } from '../../src/core/errors.ts';
import { readSecret } from '../../src/upstream/credentials.ts';
import { createAgent } from '../../src/upstream/http-client.ts';
import { fetchToken } from '../../src/upstream/oauth.ts';
import { credentialsDirectory, writeDocuments } from '../support/documents.ts';

const CREDENTIALS = { clientId: 'id', clientSecret: 'secret-value-42', refreshToken: undefined };

async function ask(
  answer: Listener,
  credentials: { clientId: string; clientSecret: string | undefined; refreshToken: string | undefined } = CREDENTIALS,
  plan: Partial<ClientPlan> = {},
) {
  const server = createHttp(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const base = resolve(loadDocuments([writeDocuments({ simPort: port, dialect: 'genesys-streams' })]))[0]!;
  const agent = createAgent({ loopback: true, allowPrivate: [] });
  try {
    return await fetchToken(agent, { ...base, ...plan }, credentials, () => Date.now());
  } finally {
    await agent.destroy();
    server.closeAllConnections();
    server.close();
  }
}
const says =
  (status: number, body: unknown, headers: Record<string, string> = {}): Listener =>
  (_request, response) => {
    response.writeHead(status, headers);
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const failure = async (
  work: Promise<unknown>,
): Promise<{ code: string; details: Readonly<Record<string, unknown>>; message: string }> =>
  work.then(
    () => {
      throw new Error('it was expected to fail');
    },
    (error: unknown) => {
      if (!(error instanceof HoldfastError)) throw error;
      return { code: error.code, details: error.details, message: error.message };
    },
  );

describe('fetchToken', () => {
  it('A2: form body, Basic credentials, grant client_credentials', async () => {
    let seen = '';
    const token = await ask((request, response) => {
      request.on('data', (chunk: Buffer) => {
        seen +=
          `${String(request.headers.authorization)} ${String(request.headers['content-type'])} ` + chunk.toString();
      });
      request.on('end', () => response.end('{"access_token":"tok","expires_in":3600}'));
    });
    expect(seen).to.equal(
      `Basic ${Buffer.from('id:secret-value-42').toString('base64')} application/x-www-form-urlencoded ` +
        'grant_type=client_credentials',
    );
    expect(token).to.deep.include({ accessToken: 'tok', lifeMs: 3_600_000, refreshToken: undefined });
  });

  it(
    'A6: a JSON body where the endpoint wants one; A7: a used-up ' + 'refresh token falls back to client credentials',
    async () => {
      const bodies: string[] = [];
      const plan = resolve(loadDocuments([writeDocuments({ simPort: 1, dialect: 'cxone-realtime' })]))[0]!;
      const token = await ask(
        (request, response) => {
          request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
          request.on('end', () => {
            response.statusCode = bodies.length === 1 ? 400 : 200;
            response.end(
              bodies.length === 1
                ? '{"error":"invalid_grant"}'
                : '{"access_token":"tok","expires_in":60,"refresh_token":"next"}',
            );
          });
        },
        { ...CREDENTIALS, refreshToken: 'used-up-token' },
        { tokenEndpoint: plan.tokenEndpoint },
      );
      expect(JSON.parse(bodies[0] ?? '')).to.deep.equal({
        grant_type: 'refresh_token',
        refresh_token: 'used-up-token',
        client_id: 'id',
        client_secret: 'secret-value-42',
      });
      expect(JSON.parse(bodies[1] ?? '')).to.have.property('grant_type', 'client_credentials');
      expect(token.refreshToken).to.equal('next');
    },
  );

  it('87-90: every other answer is a typed error, and none carries the secret', async () => {
    const cases: readonly (readonly [string, Listener])[] = [
      ['HF_TOKEN_ANSWER', says(200, '<html>secret-value-42</html>')],
      ['HF_TOKEN_ANSWER', says(200, '')],
      ['HF_TOKEN_ANSWER', says(200, '{"access_token":"t')],
      ['HF_TOKEN_ANSWER', says(200, {})],
      ['HF_TOKEN_ANSWER', says(200, { access_token: 'two words' })],
      ['HF_TOKEN_ANSWER', says(200, { access_token: 'ü' })],
      ['HF_TOKEN_ANSWER', says(200, { access_token: 'x'.repeat(20_000) })],
      ['HF_TOKEN_ANSWER', says(200, { access_token: 't', token_type: 'mac' })],
      ['HF_TOKEN_UNREACHABLE', says(200, 'x'.repeat(200_000))],
      ['HF_TOKEN_UNREACHABLE', says(302, '', { location: 'http://169.254.169.254/' })],
      ['HF_TOKEN_UNREACHABLE', says(500, {})],
      [
        'HF_TOKEN_UNREACHABLE',
        (_request, response) => {
          response.destroy();
        },
      ],
      ['HF_TOKEN_CREDENTIALS', says(400, { error: 'invalid_client' })],
      ['HF_TOKEN_GRANT', says(400, { error: 'invalid_grant' })],
      ['HF_TOKEN_CREDENTIALS', says(401, {})],
      ['HF_TOKEN_FORBIDDEN', says(403, {})],
      ['HF_TOKEN_THROTTLED', says(429, {}, { 'retry-after': '7' })],
    ];
    for (const [code, answer] of cases) {
      const error = await failure(ask(answer));
      expect(error.code).to.equal(code);
      expect(JSON.stringify(error)).to.not.include('secret-value-42');
    }
    expect((await failure(ask(says(429, {}, { 'retry-after': '7' })))).details['retryAfterMs']).to.equal(7000);
    expect((await failure(ask(says(429, {})))).details['retryAfterMs'], 'S1: 5 s when absent').to.equal(5000);
  });

  it("A2, 88: odd lives are clamped and said once; a JWT's exp is a hint", async () => {
    const bounds = { lifeBounds: { minMs: 60_000, maxMs: 86_400_000 } };
    for (const [expires, life] of [
      [undefined, 1_800_000],
      [0, 1_800_000],
      [-1, 1_800_000],
      [1e12, 86_400_000],
      ['3600', 3_600_000],
      [5, 60_000],
    ] as const) {
      const token = await ask(says(200, { access_token: 't', expires_in: expires }), CREDENTIALS, bounds);
      expect(token.lifeMs, String(expires)).to.equal(life);
    }
    const claims = JSON.stringify({ exp: Math.floor(Date.now() / 1000) + 600 });
    const jwt = `x.${Buffer.from(claims).toString('base64url')}.y`;
    expect((await ask(says(200, { access_token: jwt, expires_in: 3600 }), CREDENTIALS, bounds)).lifeMs).to.be.within(
      598_000,
      601_000,
    );
  });

  it('A16, 93: measures skew from the Date header', async () => {
    const token = await ask(
      says(200, { access_token: 't', expires_in: 60 }, { date: new Date(Date.now() + 7_200_000).toUTCString() }),
    );
    expect(token.skewMs).to.be.within(7_190_000, 7_210_000);
  });
});

describe('credential files (reliability 5.4)', () => {
  it('78-81: every broken file has its rule, and the value is never in it', async () => {
    const directory = credentialsDirectory({});
    const rule = async (bytes: string | Buffer): Promise<string> => {
      writeFileSync(join(directory, 'f'), bytes);
      const read = await readSecret(join(directory, 'f'));
      return 'rule' in read ? read.rule : `value of ${String(read.value.length)}`;
    };
    expect(await rule('good-secret\n')).to.equal('value of 11');
    expect(await rule('good-secret\r\n')).to.equal('value of 11');
    expect(await rule('')).to.include('empty');
    expect(await rule('   \n')).to.include('empty');
    expect(await rule('two words')).to.include('white space');
    expect(await rule('\ufeffx')).to.include('byte order mark');
    expect(await rule(Buffer.from([0xff, 0xfe]))).to.include('UTF-8');
    expect(await rule('x'.repeat(70_000))).to.include('larger');
    expect(await rule('YOUR_CLIENT_SECRET')).to.include('placeholder');
    expect(await readSecret(directory)).to.deep.equal({ rule: 'is a directory' });
    expect(await readSecret(join(directory, 'none'))).to.deep.equal({ rule: 'does not exist' });
  });
});
