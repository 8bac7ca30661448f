import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { HTTP, type CloudEvent } from 'cloudevents';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A consumer of any behaviour, and a sidecar that pushes to it. */
describe('push, on the wire', () => {
  let sim: Simulator;
  let sidecar: TestSidecar;
  let server: Server;
  let answer: (request: Request, response: ServerResponse) => void;
  let requests: Request[];

  const start = async (push: Record<string, unknown>, delivery: Record<string, unknown> = {}): Promise<void> => {
    requests = [];
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1');
      });
      request.on('end', () => {
        const seen = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body };
        requests.push(seen);
        answer(seen, response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 3, serverPingEveryMs: 100 });
    const consumerPort = (server.address() as AddressInfo).port;
    sidecar = await new TestSidecar(
      writeDocuments({
        simPort: await sim.listen(),
        consumerPort,
        dialect: 'genesys-streams',
        push,
        delivery: { control: 'gaps', ...delivery },
      }),
    ).start();
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
  };
  const settled = (): Promise<void> =>
    until('all is settled', () => sidecar.stream.events.received > 0 && sidecar.stream.delivery.backlog === 0);
  beforeEach(() => {
    answer = (_request, response) => {
      response.writeHead(204).end();
    };
  });
  afterEach(async () => {
    await sidecar.stop();
    server.closeAllConnections();
    server.close();
    await sim.close();
  });

  it("structured: the CloudEvents SDK reads it, and the data is the platform's bytes", async () => {
    await start({ contentMode: 'structured' });
    sim.generate(1);
    await settled();
    const [request] = requests;
    const event = HTTP.toEvent({ headers: request?.headers ?? {}, body: request?.body }) as CloudEvent<{ id: string }>;
    expect(event.validate()).to.equal(true);
    expect(event).to.include({
      specversion: '1.0',
      source: '/holdfast/GenesysCloud/local/acme/main',
      sequence: '00000000000000000001',
      hfreplay: 'live',
      hfattempt: 1,
      datacontenttype: 'application/json',
    });
    const original = sim.journals[0]?.events[0]?.bytes.toString() ?? '-';
    expect(request?.body.includes(`"data":${original}}`), 'the bytes as they came').to.equal(true);
  });

  it('binary: attributes as headers, percent-encoded, data untouched', async () => {
    await start({ contentMode: 'binary' });
    const text =
      '{"sequence":1,"id":"a%b c","eventType":"x","conversationId":"日本","timestamp":"2026-01-01T00:00:00Z"}';
    sim.do({ do: 'send', text });
    await settled();
    const [request] = requests;
    expect(Buffer.from(request?.body ?? '', 'latin1').toString()).to.equal(text);
    expect(request?.headers).to.include({
      'ce-specversion': '1.0',
      'ce-id': 'a%25b%20c',
      'ce-subject': '%E6%97%A5%E6%9C%AC',
      'ce-type': 'com.genesys.cloud.x',
      'content-type': 'application/json',
    });
  });

  it(
    "batch: one by one by Dapr's bulk list; a missing entry is a retry, a failed one takes back the later ones " +
      'of its key',
    async () => {
      const tries = new Map<string, number>();
      answer = (request, response) => {
        const events = JSON.parse(request.body) as { id: string; data: { sequence: number } }[];
        for (const event of events) tries.set(event.id, (tries.get(event.id) ?? 0) + 1);
        const statuses = events.flatMap((event) => {
          const first = tries.get(event.id) === 1;
          if (event.data.sequence === 1 && first) return [{ entryId: event.id, status: 'RETRY' }];
          if (event.data.sequence === 2 && first) return [];
          return [{ entryId: event.id, status: event.data.sequence === 3 ? 'DROP' : 'SUCCESS' }];
        });
        response.end(JSON.stringify({ statuses }));
      };
      await start({ contentMode: 'batch' });
      sim.generate(6);
      await settled();
      const count = (n: number): number => tries.get(sim.journals[0]?.events[n - 1]?.id ?? '') ?? 0;
      // Three keys: 1 and 4, 2 and 5, 3 and 6.
      expect([1, 2, 3, 4, 5, 6].map(count)).to.deep.equal([2, 2, 1, 2, 2, 1]);
      expect(sidecar.stream.events.deadLettered).to.equal(0);
    },
  );

  it('body statuses RETRY and DEADLETTER are honoured, anything else is an acknowledgement', async () => {
    let n = 0;
    answer = (_request, response) => {
      n += 1;
      response.end(['{"status":"RETRY"}', '{"status":"DEADLETTER"}', 'thank you'][n - 1] ?? '');
    };
    await start({ contentMode: 'structured' }, { order: 'stream' });
    sim.generate(2);
    await settled();
    expect([n, sidecar.stream.events.deadLettered]).to.deep.equal([3, 1]);
  });

  it('nothing is sent before the app is healthy; then OPTIONS, whose failure is not fatal', async () => {
    let healthy = false;
    answer = (request, response) => {
      response.writeHead(request.method === 'OPTIONS' ? 405 : request.path === '/health' && !healthy ? 503 : 204).end();
    };
    await start({ contentMode: 'structured', healthPath: '/health' });
    sim.generate(1);
    await until('health is asked', () => requests.some((request) => request.path === '/health'));
    expect(requests.some((request) => request.method === 'POST')).to.equal(false);
    healthy = true;
    await settled();
    expect(requests.map((request) => request.method)).to.include('OPTIONS');
  });

  it('an answer that drips is not an answer: the deadline counts, and the event comes again', async () => {
    let first = true;
    answer = (_request, response) => {
      if (!first) return void response.writeHead(204).end();
      first = false;
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => {
        clearInterval(timer);
      });
      return undefined;
    };
    await start({ contentMode: 'structured' }, { ackTimeout: '300ms' });
    sim.generate(1);
    await settled();
    expect(sidecar.stream.events.redelivered).to.equal(1);
  });
});
