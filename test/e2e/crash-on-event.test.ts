import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect } from 'chai';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const DEADLY = 50;
const EVENTS = 600;

/** An application that loses all its connections whenever it gets one event, and is back at once. */
class CrashingApplication {
  readonly taken = new Set<number>();
  crashes = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown;
      const numbers = (Array.isArray(body) ? body : [body]).map(
        (ce) => (ce as { readonly data?: { readonly data?: { readonly n?: number } } }).data?.data?.n ?? 0,
      );
      if (numbers.includes(DEADLY)) {
        this.crashes += 1;
        for (const socket of this.#sockets) socket.resetAndDestroy();
        return;
      }
      for (const n of numbers) if (n > 0) this.taken.add(n);
      response.writeHead(204).end();
    });
  });

  async listen(): Promise<number> {
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

// Found and mended: C1
describe('an event that ends the application each time', function () {
  this.timeout(60_000);

  for (const push of [{ contentMode: 'structured' }, { contentMode: 'batch' }])
    for (const order of ['key', 'stream'])
      it(`${push.contentMode}, order ${order}: all others arrive, and one dead letter says why`, async () => {
        const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 7 });
        const application = new CrashingApplication();
        const [simPort, consumerPort] = [await sim.listen(), await application.listen()];
        const file = writeDocuments({
          simPort,
          consumerPort,
          dialect: 'genesys-streams',
          push,
          delivery: { order },
        });
        const sidecar = await new TestSidecar(file).start();
        await until('the stream is open', () => sim.connections.length > 0);
        sim.generate(EVENTS);
        await until('all others arrive', () => application.taken.size === EVENTS - 1, 30_000);
        await until('everything is settled', () => sidecar.stream.delivery.backlog === 0);
        const answer = await fetch(`http://127.0.0.1:${String(sidecar.deliveryPort)}/v1/streams/main/dead-letters`);
        const [letter, ...more] = ((await answer.json()) as { letters: { readonly reason: string }[] }).letters;
        expect([letter?.reason, more.length]).to.deep.equal(['consumer_crash', 0]);
        expect(application.crashes).to.be.within(3, 12);
        await sidecar.stop();
        application.close();
        await sim.close();
      });
});
