import { createServer, connect, type AddressInfo } from 'node:net';
import { expect } from 'chai';
import {
  addressRule,
  guardedLookup,
  isPrivateAddress,
  networkProblem,
  type Resolve,
} from '../../src/config/private-addresses.ts';
import { networkOf } from '../../src/config/installation.ts';

const PRIVATE = [
  '10.1.2.3',
  '100.64.0.1',
  '172.31.255.255',
  '192.168.0.1',
  'fd00::1',
  'fec0::1',
  '64:ff9b::a00:1',
  '2002:a00:1::',
  '::ffff:10.0.0.1',
  '::ffff:a00:1',
];
/** Loopback, link-local, metadata services: the machine itself or its cloud. */
const NEVER = [
  '0.0.0.0',
  '127.0.0.1',
  '169.254.169.254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:169.254.169.254',
  '::7f00:1',
  'fe80::1',
  'fe80::1%eth0',
  'fd00:ec2::254',
  'ff02::1',
];
const PUBLIC = ['8.8.8.8', '172.32.0.1', '192.169.0.1', '2600::1', '::ffff:8.8.8.8'];

// Found and mended: A7
describe('addresses that a document may lead to', () => {
  it('private ones are refused however they are written, public ones are not', () => {
    for (const address of [...PRIVATE, ...NEVER]) expect(isPrivateAddress(address), address).to.equal(true);
    for (const address of PUBLIC) expect(isPrivateAddress(address), address).to.equal(false);
    for (const text of ['', 'ten', '10.1', '0x0a000001']) expect(isPrivateAddress(text), text).to.equal(true);
  });

  it(
    'an installation allows its own networks and nothing beside them, and never the machine, its link or its ' +
      'cloud',
    () => {
      const refused = addressRule(['10.1.0.0/16', 'fd00::/8']);
      expect(['10.1.2.3', '::ffff:10.1.2.3', 'fd12::1'].filter(refused)).to.deep.equal([]);
      expect(['10.2.0.1', '192.168.0.1', 'fec0::1'].filter((one) => !refused(one))).to.deep.equal([]);
      const everything = addressRule(['0.0.0.0/0', '::/0']);
      expect(NEVER.filter((one) => !everything(one))).to.deep.equal([]);
      expect(PRIVATE.filter(everything)).to.deep.equal([]);
    },
  );

  it('a list that is wrong is refused with the item in the sentence', () => {
    for (const text of ['10.0.0.1', '10.0.0.0/33', 'ten/8', 'fd00::/129', '127.0.0.0/8', '169.254.0.0/16', 'fe80::/64'])
      expect(networkProblem(text), text).to.include(text);
    for (const text of ['10.0.0.0/8', 'fd00::/8', '0.0.0.0/0', '192.168.1.1/32'])
      expect(networkProblem(text), text).to.equal(undefined);
    expect(() => networkOf('10.0.0.0/8,x', '')).to.throw(/--allow-private/);
    expect(() => networkOf('', 'https://a.example')).to.throw(/--allowed-hosts/);
    expect(networkOf(' 10.0.0.0/8 , fd00::/8', 'Login.Example.com,*.example.org')).to.deep.equal({
      allowPrivate: ['10.0.0.0/8', 'fd00::/8'],
      allowedHosts: ['login.example.com', '*.example.org'],
    });
  });
});

// Found and mended: A7, D4
describe('a name at connect time', () => {
  const resolving =
    (...addresses: readonly string[]): Resolve =>
    (_hostname, _options, callback) => {
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    };
  /** Connects as every client does, by name. @returns the error's code and text, or "connected". */
  const connected = (port: number, allowPrivate: readonly string[], resolve: Resolve): Promise<string> =>
    new Promise((done) => {
      const socket = connect({ host: 'platform.example.com', port, lookup: guardedLookup(allowPrivate, resolve) });
      socket.once('connect', () => {
        socket.destroy();
        done('connected');
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        done(`${String(error.code)} ${error.message}`);
      });
    });

  it(
    'one private address among its answers is enough to refuse ' + 'it, with the name, the address and the remedy',
    async () => {
      for (const address of ['10.0.0.5', '169.254.169.254', '::ffff:127.0.0.1', 'fd00::5'])
        expect(await connected(9, [], resolving('8.8.8.8', address)))
          .to.match(/^HF_PRIVATE_ADDRESS platform\.example\.com /)
          .and.include(address)
          .and.include('network.allowPrivate');
    },
  );

  it('loopback is not reached by name, whatever is allowed', async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const accepted: unknown[] = [];
    server.on('connection', (socket) => accepted.push(socket));
    for (const allowed of [[], ['0.0.0.0/0', '::/0']])
      expect(await connected(port, allowed, resolving('127.0.0.1'))).to.include('HF_PRIVATE_ADDRESS');
    expect(accepted).to.deep.equal([]);
    server.close();
  });
});
