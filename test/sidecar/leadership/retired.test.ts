import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { WebSocketServer, type WebSocket } from 'ws';
import { IN_FLIGHT_MS } from '../../../src/sidecar/stream/time-gap.ts';
import { SampleConsumer } from '../../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';

/**
 * A gateway of our own: it hands out tokens as the simulator does, and sends on each connection exactly what a test
 * says.
 */
class Gateway {
  readonly links: WebSocket[] = [];
  readonly #tokens = new Simulator({ port: 0, rate: 0, size: 300, keys: 1 });
  readonly #server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'genesys' });

  async start(consumerPort: number): Promise<TestSidecar> {
    this.#server.on('connection', (link) => this.links.push(link));
    const http = `http://127.0.0.1:${String(await this.#tokens.listen())}`;
    const streaming = `ws://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
    const file = writeDocuments({
      simPort: 1,
      dialect: 'genesys-gateway',
      consumerPort,
      client: { hosts: { login: http, api: http, streaming } },
      // The links are silent on purpose, and a link that is not read answers no ping.
      stream: { heartbeat: { pingEvery: '10s', pongTimeout: '9s', silence: '60s' } },
    });
    return new TestSidecar(file).start();
  }

  event(link: number, id: string): void {
    this.say(link, { eventType: 'presence.changed', id, conversationId: 'k', timestamp: new Date().toISOString() });
  }

  say(link: number, what: unknown): void {
    this.links[link]?.send(JSON.stringify(what));
  }

  async stop(): Promise<void> {
    for (const link of this.links) link.terminate();
    this.#server.close();
    await this.#tokens.close();
  }
}

// Found and mended: A20.
describe('the link that an overlap has retired', () => {
  let gateway: Gateway;
  let consumer: SampleConsumer;
  let sidecar: TestSidecar;
  const ids = (): readonly string[] =>
    consumer.received.filter((one) => one.type.includes('presence')).map((one) => one.id);
  const connectionId = (): unknown =>
    (sidecar.supervisor.status() as { readonly streams: readonly { readonly connectionId?: string }[] }).streams[0]
      ?.connectionId;

  beforeEach(async () => {
    gateway = new Gateway();
    consumer = new SampleConsumer();
    sidecar = await gateway.start(await consumer.listen());
    await until('the first link is open', () => sidecar.stream.state === 'OPEN');
    gateway.event(0, 'early');
    gateway.say(0, { type: 'socket_closing' });
    await until('the second link is open', () => gateway.links.length === 2);
    gateway.event(1, 'both');
    // Unread, the close of the sidecar waits here, and the link stays what it is to it: retired, and not yet ended.
    gateway.links[0]?.pause();
    const first = connectionId();
    await until('the second link took over', () => connectionId() !== first);
  });
  afterEach(async () => {
    await sidecar.stop();
    await consumer.close();
    await gateway.stop();
  });

  it('delivers until it ends: what was under way on it for longer than the overlap is not lost', async () => {
    gateway.event(0, 'both');
    gateway.say(0, { type: 'socket_closing' });
    gateway.event(0, 'late');
    gateway.event(1, 'new');
    gateway.links[0]?.resume();
    await until('the first link has ended', () => gateway.links[0]?.readyState === 3);
    await until('what came is delivered', () => ids().length >= 4);
    expect([...ids()].sort(), 'once each').to.deep.equal(['both', 'early', 'late', 'new']);
    expect(sidecar.stream.continuity).to.deep.include({ gaps: 0, rate: 1 });
    expect(sidecar.stream.events).to.deep.include({ received: 4, duplicates: 1 });
    expect(sidecar.stream.connection.attempts, 'its notice is not one of the new link').to.equal(2);
  });

  it(
    'says nothing of the new link: where that one is lost, the ' + 'gap begins with what itself delivered last',
    async () => {
      gateway.event(1, 'last');
      await until('it is delivered', () => ids().includes('last'));
      const lastAtMs = Date.now();
      await until('the clock has moved', () => Date.now() > lastAtMs + 20);
      gateway.event(0, 'late');
      await until('it is delivered too', () => ids().includes('late'));
      gateway.links[1]?.terminate();
      await until('the gap is announced', () => sidecar.stream.continuity.gaps === 1);
      const [gap] = sidecar.audits('gap.detected');
      expect(Date.parse(String(gap?.['fromTime']))).to.be.at.most(lastAtMs - IN_FLIGHT_MS);
    },
  );
});
