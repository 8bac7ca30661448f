import { expect } from 'chai';
import { get, type IncomingMessage } from 'node:http';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

// Found and mended: "Read, not run" (takeover by a foreign page)
describe('a foreign page in a browser', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  it('cannot dismiss the consumer: its request names no Origin, but where it comes from', async () => {
    const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 3, serverPingEveryMs: 100 });
    const sidecar = await new TestSidecar(
      writeDocuments({ simPort: await sim.listen(), dialect: 'genesys-streams' }),
    ).start();
    closing.push(
      () => sidecar.stop(),
      () => sim.close(),
    );
    const ask = (query: string, headers: Record<string, string> = {}): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const url = `http://127.0.0.1:${String(sidecar.deliveryPort)}/v1/streams/main/events${query}`;
        const request = get(url, { headers }, resolve).once('error', reject);
        closing.unshift(() => request.destroy());
      });
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
    const consumer = await ask('');
    let ended = false;
    consumer.resume().once('close', () => {
      ended = true;
    });
    expect(consumer.statusCode).to.equal(200);
    const image = { 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'image' };
    expect((await ask('?takeover=1', image)).statusCode).to.equal(403);
    expect(ended).to.equal(false);
    // A page of this machine, and what is no browser, may.
    expect((await ask('?takeover=1', { 'sec-fetch-site': 'same-origin' })).statusCode).to.equal(200);
    await until('the first one is dismissed', () => ended);
  });
});
