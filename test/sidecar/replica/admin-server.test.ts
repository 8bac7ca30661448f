import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'chai';
import { limitConnections } from '../../../src/sidecar/replica/connection-limits.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';

// Found and mended: A12
describe('connections of the admin port', () => {
  const sockets: Socket[] = [];
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const close of closing.splice(0)) await close();
  });
  /** A connection that says nothing. */
  const open = (port: number, localAddress = '127.0.0.1'): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.once('connect', () => {
        resolve(socket);
      });
    });
  const several = async (count: number, port: number, localAddress?: string): Promise<readonly Socket[]> => {
    const made: Socket[] = [];
    while (made.length < count) made.push(await open(port, localAddress));
    return made;
  };
  const sidecar = async (): Promise<TestSidecar> => {
    const one = new TestSidecar(writeDocuments({ simPort: 1, dialect: 'genesys-streams' }));
    closing.push(() => one.stop());
    return one.start();
  };
  /** A server with small limits whose answers wait until they are let go. */
  const small = async (total: number, perAddress: number) => {
    const waiting: (() => void)[] = [];
    const server = createServer((_request, response) => {
      waiting.push(() => response.end('ok'));
    });
    limitConnections(server, { total, perAddress });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port, waiting };
  };

  it('however many a stranger keeps open, a probe is answered', async () => {
    const { adminPort } = await sidecar();
    await several(200, adminPort, '127.0.0.2');
    await several(200, adminPort);
    const answer = await fetch(`http://127.0.0.1:${String(adminPort)}/healthz`, { signal: AbortSignal.timeout(5000) });
    expect(answer.status).to.equal(200);
  });

  it('one address loses its own oldest idle connection, not that of another', async () => {
    const { port } = await small(100, 4);
    const probe = await open(port);
    const stranger = await several(7, port, '127.0.0.2');
    await until('three are closed', () => stranger.filter((one) => one.destroyed || one.readableEnded).length === 3);
    expect(stranger.slice(0, 3).every((one) => one.destroyed || one.readableEnded)).to.equal(true);
    expect(probe.destroyed).to.equal(false);
  });

  it('who is being answered is not cut off: then the new one is refused', async () => {
    const { port, waiting } = await small(2, 2);
    const busy = await several(2, port);
    const texts = busy.map((socket) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      return () => text;
    });
    await until('both are asked', () => waiting.length === 2);
    const third = await open(port);
    await until('the third is refused', () => third.destroyed || third.readableEnded);
    for (const go of waiting) go();
    await until('both are answered', () => texts.every((text) => text().includes('ok')));
  });

  it('headers that do not end are waited for some seconds, not a minute', async function () {
    this.timeout(20_000);
    const { adminPort } = await sidecar();
    const slow = await open(adminPort);
    slow.write('GET /healthz HTTP/1.1\r\nhost: x');
    slow.resume();
    await until('it is cut off', () => slow.destroyed || slow.readableEnded, 10_000);
  });
});
