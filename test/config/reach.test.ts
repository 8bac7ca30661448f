import { expect } from 'chai';
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ATTACHED, BY_HAND, type Installation } from '../../src/config/installation.ts';
import { checkDocuments } from '../../src/config/load-documents.ts';
import { tokenFileProblem } from '../../src/config/token-file-problem.ts';
import { readPlans } from '../../src/cli/read-plans.ts';
import { ConfigError } from '../../src/config/config-problem.ts';
import { eventStream, streamClient } from '../kubernetes/plane.ts';

type Fields = Record<string, unknown>;
const CLIENT: Fields = { credentials: { directory: '/etc/holdfast/credentials' } };
const problems = (client: Fields, stream: Fields, installation: Installation): string =>
  checkDocuments(
    [
      {
        name: 'f',
        text: [streamClient('c', { ...CLIENT, ...client }), eventStream('s', 'c', stream)]
          .map((one) => JSON.stringify(one))
          .join('\n---\n'),
      },
    ],
    installation,
  )
    .problems.map(({ field, rule, remedy }) => `${field} ${rule}: ${remedy}`)
    .join('\n');
const push = (fields: Fields): Fields => ({
  delivery: { mode: 'Push', push: { url: 'http://127.0.0.1:8080/', ...fields } },
});

// Found and mended: A7
describe('what the author of an EventStream cannot reach', () => {
  const ofToken = (tokenFile: string, installation = ATTACHED): string =>
    problems({}, push({ tokenFile }), installation);

  it(
    "attached: a file that is not below /etc/holdfast/tokens is no consumer's token, however its path is " + 'written',
    () => {
      for (const file of [
        '/etc/holdfast/store/password',
        '/etc/holdfast/credentials/clientSecret',
        '/etc/holdfast/tokens/../store/password',
        '/etc/holdfast/tokens/s/../../credentials/clientSecret',
        '/etc/holdfast/tokens',
        '/etc/holdfast/tokensx/token',
        '//etc/passwd',
        'etc/holdfast/tokens/s/token',
        '/proc/self/environ',
      ])
        expect(ofToken(file), file).to.match(/push\.tokenFile is not below .*tokenSecretRef/);
      expect(ofToken('/etc/holdfast/tokens/s/token')).to.equal('');
      expect(ofToken('/run/secrets/token', BY_HAND), 'run by hand').to.equal('');
    },
  );

  it('the real path is what counts: symbolic links and ".." are followed before anything is read', () => {
    const root = mkdtempSync(join(tmpdir(), 'hf-reach-'));
    for (const name of ['tokens/s', 'store', 'credentials', 'elsewhere'])
      mkdirSync(join(root, name), { recursive: true });
    for (const name of ['tokens/s/token', 'store/password', 'credentials/clientSecret', 'elsewhere/token'])
      writeFileSync(join(root, name), 'secret-value');
    // A projected volume is made of links, too.
    mkdirSync(join(root, 'tokens/..data'));
    writeFileSync(join(root, 'tokens/..data/real'), 'secret-value');
    symlinkSync('..data/real', join(root, 'tokens/inside'));
    symlinkSync(join(root, 'store/password'), join(root, 'tokens/file-link'));
    symlinkSync(join(root, 'store'), join(root, 'tokens/dir-link'));
    symlinkSync(join(root, 'credentials/clientSecret'), join(root, 'elsewhere/link'));
    const never = [join(root, 'credentials'), join(root, 'store/password')];
    const attached = (name: string): string | undefined =>
      tokenFileProblem(`${root}/${name}`, { below: join(root, 'tokens'), never });
    const byHand = (name: string): string | undefined =>
      tokenFileProblem(`${root}/${name}`, { below: undefined, never });
    for (const name of ['tokens/s/token', 'tokens/inside', 'tokens/none'])
      expect(attached(name), name).to.equal(undefined);
    for (const name of ['tokens/file-link', 'tokens/dir-link/password', 'tokens/../store/password', 'elsewhere/token'])
      expect(attached(name), name).to.include('does not lie below');
    for (const name of ['elsewhere/token', 'tokens/s/token']) expect(byHand(name), name).to.equal(undefined);
    for (const name of [
      'credentials/clientSecret',
      'elsewhere/link',
      'tokens/file-link',
      'elsewhere/../store/password',
    ])
      expect(byHand(name), name).to.include('among other credentials');
  });

  it('a link to the password of the store is refused at the start, run by hand too', async () => {
    const root = mkdtempSync(join(tmpdir(), 'hf-reach-'));
    const file = (name: string, text: string): string => {
      writeFileSync(join(root, name), text);
      return join(root, name);
    };
    mkdirSync(join(root, 'credentials'));
    for (const name of ['clientId', 'clientSecret']) file(`credentials/${name}`, 'a-long-value');
    const passwordFile = file('password', 'the-shared-redis-password');
    symlinkSync(passwordFile, join(root, 'token'));
    const documents = file(
      'documents.yaml',
      [
        streamClient('c', { credentials: { directory: join(root, 'credentials') } }),
        eventStream('s', 'c', push({ tokenFile: join(root, 'token') })),
      ]
        .map((one) => stringify(one))
        .join('---\n'),
    );
    const read = (name: string | undefined) =>
      readPlans([documents], [], { installation: BY_HAND, passwordFile: name });
    const found = await read(passwordFile).catch((error: unknown) => error);
    expect(found).to.be.instanceOf(ConfigError);
    expect(JSON.stringify((found as ConfigError).problems))
      .to.include('lies among other credentials')
      .and.not.include('the-shared-redis-password');
    expect((await read(undefined)).plans).to.have.length(1);
    // Attached: the path looks right, and the link leads out of the one directory.
    mkdirSync(join(root, 'tokens'));
    symlinkSync(passwordFile, join(root, 'tokens/token'));
    writeFileSync(documents, readFileSync(documents, 'utf8').replace(join(root, 'token'), join(root, 'tokens/token')));
    const installation = { ...ATTACHED, tokensDirectory: join(root, 'tokens') };
    const attached = await readPlans([documents], [], { installation, passwordFile: undefined }).catch(
      (error: unknown) => error,
    );
    expect(attached).to.be.instanceOf(ConfigError);
    expect((attached as ConfigError).problems.map((one) => one.rule).join()).to.include('does not lie below');
  });

  it('attached: a token goes to another machine only where the installation names it', () => {
    const remote = push({
      url: 'https://orders.example.org/in',
      allowRemote: true,
      tokenFile: '/etc/holdfast/tokens/s/token',
    });
    expect(problems({}, remote, ATTACHED)).to.match(/push\.url would send the token .* network\.allowedHosts/);
    for (const allowedHosts of [['orders.example.org'], ['*.example.org']])
      expect(problems({}, remote, { ...ATTACHED, allowedHosts })).to.equal('');
    for (const allowedHosts of [['example.org'], ['*.orders.example.org'], ['*.xample.org']])
      expect(problems({}, remote, { ...ATTACHED, allowedHosts })).to.include('would send the token');
  });

  it(
    'a private address in a push URL is refused in every spelling, unless the installation allows it; loopback ' +
      'stays',
    () => {
      for (const host of [
        '10.0.0.5',
        '0x0a000005',
        '012.0.0.5',
        '167772165',
        '10.5',
        '10.0.0.5.',
        '[::ffff:10.0.0.5]',
        '[fd00::5]',
        '[64:ff9b::a00:5]',
      ]) {
        const stream = push({ url: `https://${host}:8443/`, allowRemote: true });
        expect(problems({}, stream, BY_HAND), host).to.match(/push\.url names the private address .*--allow-private/);
        expect(
          problems({}, stream, { ...BY_HAND, allowPrivate: ['10.0.0.0/8', 'fd00::/8', '64:ff9b::/96'] }),
          host,
        ).to.equal('');
      }
      for (const host of [
        '169.254.169.254',
        '2852039166',
        '0251.0376.0251.0376',
        '[::ffff:169.254.169.254]',
        '0.0.0.0',
        '[::]',
        '[fe80::1]',
      ])
        expect(
          problems({}, push({ url: `https://${host}/`, allowRemote: true }), {
            ...BY_HAND,
            allowPrivate: ['0.0.0.0/0', '::/0'],
          }),
          host,
        ).to.include('names the private address');
      for (const url of [
        'http://127.0.0.1:8080/',
        'http://localhost:8080/',
        'http://[::1]:8080/',
        'http://2130706433/',
      ])
        expect(problems({}, push({ url }), ATTACHED), url).to.equal('');
      expect(problems({}, push({ url: 'https://8.8.8.8/', allowRemote: true }), BY_HAND)).to.equal('');
    },
  );
});

// Found and mended: A7
describe('what the author of a StreamClient cannot reach', () => {
  const SECRET: Fields = { credentials: { secretRef: { name: 'any-secret' } } };
  const vendor = { login: 'https://login.mypurecloud.de', api: 'https://api.mypurecloud.de' };

  it("a Secret goes to the vendor's own hosts, to the same machine, and to hosts that the installation allows", () => {
    for (const client of [
      { hosts: { login: 'https://login.evil.example' } },
      { hosts: { ...vendor, streaming: 'wss://evil.example' } },
      { hosts: { login: 'https://login.mypurecloud.de.evil.example' } },
      { hosts: { login: 'https://notmypurecloud.de' } },
      { region: 'evil.example' },
    ]) {
      expect(problems({ ...SECRET, ...client }, {}, BY_HAND), JSON.stringify(client)).to.include(
        'network.allowedHosts',
      );
      expect(problems(client, {}, ATTACHED), JSON.stringify(client)).to.include('network.allowedHosts');
      expect(problems(client, {}, BY_HAND), 'files of one own').to.equal('');
    }
    const local = { login: 'http://127.0.0.1:1', api: 'http://127.0.0.1:1', streaming: 'ws://127.0.0.1:1' };
    for (const client of [{ hosts: vendor }, { hosts: local }, { region: 'mypurecloud.jp' }])
      expect(problems(client, {}, ATTACHED), JSON.stringify(client)).to.equal('');
    const proxy = { hosts: { login: 'https://genesys.proxy.example' } };
    expect(problems(proxy, {}, { ...ATTACHED, allowedHosts: ['*.proxy.example'] })).to.equal('');
  });

  it('a key of the Secret is a plain file name', () => {
    for (const clientId of ['../store/password', '..', '.', '/etc/passwd', 'a/b'])
      expect(problems({ credentials: { directory: '/x', keys: { clientId } } }, {}, ATTACHED), clientId).to.include(
        'credentials.keys.clientId must be a file name',
      );
  });

  it('a private address as a host is refused, unless the installation allows it', () => {
    for (const host of ['10.0.0.5', '167772165', '012.0.0.5', '[::ffff:10.0.0.5]']) {
      const client = { hosts: { login: `https://${host}` } };
      expect(problems(client, {}, BY_HAND), host).to.match(/hosts\.login names the private address .*--allow-private/);
      expect(problems(client, {}, { ...BY_HAND, allowPrivate: ['10.0.0.0/8'] }), host).to.equal('');
    }
    expect(problems({ hosts: { login: 'https://8.8.8.8' } }, {}, BY_HAND)).to.include('is an IP address');
  });
});
