import { expect } from 'chai';
import { lookup } from 'node:dns/promises';
import { createServer, type AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { isPrivateAddress } from '../../src/config/private-addresses.ts';
import {
  COMMON_CLOSE_CODES,
  COMMON_STATUSES,
  classifyFailure,
  type Failure,
} from '../../src/core/session/classify-failure.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { StreamSocket } from '../../src/upstream/stream-socket.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

// Found and mended: A7, D4
describe('a name that resolves to a private address', () => {
  const noOne = (): void => undefined;
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  /** Somebody on this machine who must never be talked to. */
  const neighbour = async (): Promise<{ readonly port: number; readonly calls: () => number }> => {
    let calls = 0;
    const server = createServer((socket) => {
      calls += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    closing.push(() => server.close());
    return { port: (server.address() as AddressInfo).port, calls: () => calls };
  };
  const started = async (file: string): Promise<TestSidecar> => {
    const sidecar = new TestSidecar(file);
    closing.unshift(() => sidecar.stop());
    return sidecar.start();
  };

  for (const healthPath of [undefined, '/health'])
    it(
      `of the consumer${healthPath === undefined ? '' : ' (with a health path)'}: the stream is held and says ` +
        'so; nobody is called',
      async () => {
        // The machine's own name is the one that resolves to a private address everywhere.
        const { address } = await lookup(hostname());
        expect(isPrivateAddress(address), `${hostname()} is ${address}`).to.equal(true);
        const { port, calls } = await neighbour();
        const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 3, serverPingEveryMs: 100 });
        closing.push(() => sim.close());
        const sidecar = await started(
          writeDocuments({
            simPort: await sim.listen(),
            consumerPort: port,
            dialect: 'genesys-streams',
            push: {
              url: `https://${hostname()}:${String(port)}/events`,
              allowRemote: true,
              contentMode: 'structured',
              ...(healthPath === undefined ? {} : { healthPath }),
            },
          }),
        );
        await until('the stream is open', () => sidecar.stream.state === 'OPEN' || sidecar.stream.state === 'LIVE');
        sim.generate(3);
        await until('it is held', () => sidecar.stream.delivery.hold === 'consumer_address_refused');
        expect(sidecar.audits('consumer.held').at(-1)).to.include({ reason: 'consumer_address_refused' });
        expect(sidecar.said).to.include('network.allowPrivate');
        expect(sidecar.stream.events.deadLettered).to.equal(0);
        expect(calls()).to.equal(0);
      },
    );

  it('of the token endpoint: the token fails with private_address, and the log says once what to do', async () => {
    const { port, calls } = await neighbour();
    const sidecar = await started(
      writeDocuments({
        simPort: 1,
        dialect: 'genesys-streams',
        client: {
          reconnect: {},
          token: {},
          hosts: {
            login: `https://localhost:${String(port)}`,
            api: 'https://api.mypurecloud.com',
            streaming: 'wss://api.mypurecloud.com',
          },
        },
        stream: { heartbeat: {} },
      }),
    );
    await until('it says why', () => sidecar.client.token.failure === 'private_address');
    expect(sidecar.said)
      .to.include('HF_PRIVATE_ADDRESS')
      .and.include('localhost resolves to the private address')
      .and.include('--allow-private');
    expect(sidecar.said.split('the token is not asked for')).to.have.length(2);
    expect(calls()).to.equal(0);
  });

  it('of the streaming host: the dial fails with that reason', async () => {
    const { port, calls } = await neighbour();
    const failure = await new Promise<Failure>((resolve) => {
      new StreamSocket(
        { url: `wss://localhost:${String(port)}/`, headers: {}, subprotocols: [] },
        {
          loopback: false,
          allowPrivate: [],
          closeTimeoutMs: 100,
          nowMs: () => performance.now(),
          nowEpochMs: () => Date.now(),
        },
        { opened: noOne, message: noOne, serverPing: noOne, pong: noOne, ended: resolve },
      );
    });
    expect(
      classifyFailure({ closeCodes: COMMON_CLOSE_CODES, statuses: COMMON_STATUSES }, failure, false),
    ).to.deep.equal({
      disposition: 'retry',
      reason: 'private_address',
    });
    expect(calls()).to.equal(0);
  });
});
