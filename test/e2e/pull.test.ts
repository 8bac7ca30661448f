import { expect } from 'chai';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments, type DocumentOptions } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

interface Message {
  readonly type: string;
  readonly id: string;
  readonly upTo?: string;
  readonly durable?: boolean;
  readonly code?: string;
  readonly problems?: readonly { readonly id: string; readonly reason: string }[];
  readonly event: {
    readonly id: string;
    readonly type: string;
    readonly hfattempt: number;
    readonly data: { readonly sequence: number };
  };
  readonly events?: readonly Message[];
}

/** A consumer on holdfast.v1 that keeps what it saw. */
class WsClient {
  readonly messages: Message[] = [];
  readonly ws: WebSocket;
  closed: number | undefined;
  refused: number | undefined;
  constructor(url: string, protocol = 'holdfast.v1') {
    this.ws = new WebSocket(url, protocol);
    this.ws.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Message;
      this.messages.push(...(message.type === 'events' ? (message.events ?? []) : [message]));
    });
    this.ws.on('close', (code) => {
      this.closed = code;
    });
    this.ws.on('unexpected-response', (_request, response) => {
      this.refused = response.statusCode;
    });
    this.ws.on('error', () => undefined);
  }
  send(message: unknown): void {
    this.ws.send(JSON.stringify(message));
  }
  get events(): Message[] {
    return this.messages.filter((message) => message.type === 'event');
  }
  get numbers(): number[] {
    return this.events.map((message) => message.event.data.sequence);
  }
}

describe('pull', () => {
  let sim: Simulator;
  let sidecar: TestSidecar;
  let url: string;
  const start = async (more: Partial<DocumentOptions> = {}): Promise<void> => {
    sim = new Simulator({ port: 0, rate: 0, size: 200, keys: 5, serverPingEveryMs: 100 });
    sidecar = await new TestSidecar(
      writeDocuments({
        simPort: await sim.listen(),
        dialect: 'genesys-streams',
        delivery: { control: 'gaps', ackTimeout: '5s', ...more.delivery },
      }),
    ).start();
    await until('the stream is open', () => sim.connections.length > 0 && sidecar.stream.state === 'OPEN');
    url = `127.0.0.1:${String(sidecar.deliveryPort)}/v1/streams/main`;
  };
  const connect = async (query = ''): Promise<WsClient> => {
    const client = new WsClient(`ws://${url}/ws${query}`);
    await until(
      'the consumer is connected or refused',
      () => client.ws.readyState === WebSocket.OPEN || client.refused !== undefined,
    );
    return client;
  };
  const post = async (body: unknown): Promise<number> =>
    (
      await fetch(`http://${url}/acks`, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
    ).status;
  afterEach(async () => {
    await sidecar.stop();
    await sim.close();
  });

  it('WebSocket: nothing before credit, total order, acknowledged up to an id, told when it is durable', async () => {
    await start();
    const client = await connect();
    sim.generate(100);
    await until('events wait', () => sidecar.stream.delivery.backlog === 100);
    expect(client.events).to.deep.equal([]);
    client.send({ type: 'credit', n: 10 });
    await until('the credit is used', () => client.events.length === 10);
    client.send({ type: 'credit', n: 100 });
    await until('the rest comes', () => client.events.length === 100);
    expect(client.numbers).to.deep.equal(Array.from({ length: 100 }, (_, n) => n + 1));
    client.send({ type: 'ack', upTo: client.events[99]?.id });
    await until('the acknowledgement is durable', () =>
      client.messages.some(
        (message) => message.type === 'ackok' && message.upTo === client.events[99]?.id && message.durable === true,
      ),
    );
    expect((await sidecar.store.load('GenesysCloud:local:acme', 'main'))?.position).to.equal('sequence:100');
  });

  it('acks out of order move the checkpoint only to the end of the contiguous prefix', async () => {
    await start();
    const client = await connect('?credit=100');
    sim.generate(10);
    await until('events arrive', () => client.events.length === 10);
    const ids = client.events.map((message) => message.id);
    client.send({ type: 'ack', ids: [ids[0], ids[1], ids[3], ids[9]] });
    await until(
      'a checkpoint is stored',
      async () => (await sidecar.store.load('GenesysCloud:local:acme', 'main'))?.position === 'sequence:2',
    );
    client.send({ type: 'ack', ids: [ids[2]] });
    await until(
      'the hole is filled',
      async () => (await sidecar.store.load('GenesysCloud:local:acme', 'main'))?.position === 'sequence:4',
    );
  });

  it('nack with delay comes again marked; progress extends; term becomes a dead letter', async () => {
    await start({ delivery: { ackTimeout: '400ms' } });
    const client = await connect('?credit=100');
    sim.generate(3);
    await until('events arrive', () => client.events.length === 3);
    const [a, b, c] = client.events.map((message) => message.id);
    client.send({ type: 'nack', ids: [a], delayMs: 100 });
    client.send({ type: 'term', ids: [b], reason: 'never' });
    await until('the refused one comes again', () =>
      client.events.some((message) => message.id === a && message.event.hfattempt === 2),
    );
    await until('the other is a dead letter', () => sidecar.stream.events.deadLettered === 1);
    for (let n = 0; n < 5; n += 1) {
      client.send({ type: 'progress', ids: [c] });
      const before = performance.now();
      await until('some time passes', () => performance.now() - before > 150);
    }
    expect(client.events.filter((message) => message.id === c).length, 'not sent again while in progress').to.equal(1);
    await until(
      'without progress it comes again',
      () => client.events.filter((message) => message.id === c).length > 1,
    );
  });

  it(
    'a consumer that leaves gets everything unacknowledged ' + 'again, in order; one that acknowledged does not',
    async () => {
      await start();
      const first = await connect('?credit=100');
      sim.generate(50);
      await until('events arrive', () => first.events.length === 50);
      first.send({ type: 'ack', upTo: first.events[19]?.id });
      await until('twenty are settled', () => sidecar.stream.delivery.backlog === 30);
      first.ws.terminate();
      await until('the place is free', () => !sidecar.stream.delivery.ready);
      const second = await connect('?credit=100');
      await until('the rest comes again', () => second.events.length === 30);
      expect(second.numbers).to.deep.equal(Array.from({ length: 30 }, (_, n) => n + 21));
      expect(second.events.every((message) => message.event.hfattempt === 2)).to.equal(true);
    },
  );

  it('a second consumer is refused with 409, unless it takes over', async () => {
    await start();
    const first = await connect();
    const second = await connect();
    expect(second.refused).to.equal(409);
    const third = await connect('?takeover=1&credit=5');
    await until('the first is dismissed', () => first.closed === 4000);
    sim.generate(1);
    await until('the new one gets events', () => third.events.length === 1);
  });

  it('several events share a frame when the consumer asks for it', async () => {
    await start();
    const client = await connect('?batch=50&credit=200');
    let frames = 0;
    client.ws.on('message', () => {
      frames += 1;
    });
    sim.generate(200);
    await until('all arrive', () => client.events.length === 200);
    expect(frames).to.be.lessThan(60);
  });

  it('refuses bad acknowledgements with the reason and keeps the connection (96, 97)', async () => {
    await start();
    const client = await connect('?credit=1');
    sim.generate(2);
    await until('one arrives', () => client.events.length === 1);
    const epoch = client.events[0]?.id.split('.')[0] ?? '';
    client.send({ type: 'ack', ids: [`${epoch}.2`, '1.1x', '99.1', `${epoch}.-1`] });
    await until('it is told', () => client.messages.some((message) => message.code === 'HF_API_ACK_UNKNOWN'));
    const { problems } = client.messages.find((message) => message.code === 'HF_API_ACK_UNKNOWN')!;
    expect(problems?.map((one) => one.reason)).to.deep.equal([
      'not_delivered',
      'malformed',
      'older_epoch',
      'malformed',
    ]);
    client.send({ type: 'novel' });
    client.send({ type: 'credit', n: -1 });
    await until('it is told', () => client.messages.filter((message) => message.code === 'HF_API_BODY').length === 2);
    client.send({ type: 'ack', ids: [`${epoch}.1`] });
    client.send({ type: 'ack', ids: [`${epoch}.1`] });
    await until('the next comes', () => client.events.length === 2);
    client.ws.send('not json');
    await until('nonsense closes it', () => client.closed === 4400);
    expect(await post({ ids: ['9.9'] })).to.equal(409);
    expect(await post({ type: 'nack', upTo: `${epoch}.1` }), 'a nack is never an acknowledgement').to.equal(400);
    expect(await post('[')).to.equal(400);
    expect(await post({ ids: Array.from({ length: 10_001 }, () => 'x') })).to.equal(400);
    expect(await post('x'.repeat(2 * 1024 * 1024))).to.equal(413);
  });

  it('refuses foreign hosts and origins, unknown paths and methods (94, 95)', async () => {
    await start();
    const status = async (path: string, init: RequestInit): Promise<number> =>
      (await fetch(`http://127.0.0.1:${String(sidecar.deliveryPort)}${path}`, init)).status;
    expect(await status('/v1/streams/main/events', { headers: { origin: 'https://evil.example' } })).to.equal(403);
    expect(await status('/v1/streams/nope/events', {})).to.equal(404);
    expect(await status('/v1/streams/main/events', { method: 'PUT' })).to.equal(405);
    expect(await status('/../etc/passwd', {})).to.equal(404);
    const raw = new WsClient(`ws://127.0.0.1:${String(sidecar.deliveryPort)}//`);
    await until('it is refused', () => raw.refused === 400 || raw.closed !== undefined);
    const wrong = new WsClient(`ws://${url}/ws`, 'other');
    await until('it is refused', () => wrong.refused === 400);
  });

  it(
    'SSE: cursor as id, acknowledgements by POST, resumes behind ' + 'Last-Event-ID, resync for a foreign cursor',
    async () => {
      await start();
      const seen: { readonly id: string; readonly n: number }[] = [];
      const resyncs: string[] = [];
      const source = (cursor?: string): EventSource => {
        const one = new EventSource(`http://${url}/events`, {
          fetch: (input, init) =>
            fetch(input, {
              ...init,
              headers: { ...init.headers, ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
            }),
        });
        one.addEventListener('message', (event) =>
          seen.push({
            id: event.lastEventId,
            n: (JSON.parse(String(event.data)) as { data: { sequence: number } }).data.sequence,
          }),
        );
        one.addEventListener('resync', (event) => resyncs.push(String(event.data)));
        return one;
      };
      const first = source();
      await until('it is connected', () => sidecar.stream.delivery.ready);
      sim.generate(20);
      await until('events arrive', () => seen.length === 20);
      expect(await post({ upTo: seen[9]?.id })).to.equal(200);
      first.close();
      await until('the place is free', () => !sidecar.stream.delivery.ready);
      const cursor = seen[14]?.id;
      seen.length = 0;
      const second = source(cursor);
      await until('only what it has not seen comes', () => seen.length === 5);
      expect(seen.map((one) => one.n)).to.deep.equal([16, 17, 18, 19, 20]);
      expect(await post({ upTo: seen[4]?.id })).to.equal(200);
      await until('all is settled', () => sidecar.stream.delivery.backlog === 0);
      second.close();
      await until('the place is free', () => !sidecar.stream.delivery.ready);
      const third = source('1.999999');
      await until('the foreign cursor is answered', () => resyncs.length === 1);
      third.close();
    },
  );
});
