import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

/** One masked text frame of a WebSocket client. */
function frameOf(text: string): Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const head = Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))]);
}

// Found and mended: A22
describe('a consumer that sends wrong acknowledgements and reads no answer', () => {
  it('is closed before a few MiB of answers wait for it', async () => {
    const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 1 });
    const sidecar = await new TestSidecar(
      writeDocuments({ simPort: await sim.listen(), dialect: 'genesys-streams' }),
    ).start();
    const socket = connect(sidecar.deliveryPort, '127.0.0.1');
    let closed = false;
    socket.on('close', () => (closed = true));
    socket.on('error', () => undefined);
    socket.write(
      'GET /v1/streams/main/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ' +
        'holdfast.v1\r\n\r\n',
    );
    await until('it is connected', () => sidecar.stream.delivery.ready);
    // Never read: whatever is answered waits in the sidecar.
    socket.pause();
    const wrong = frameOf(JSON.stringify({ type: 'ack', ids: Array.from({ length: 300 }, (_, n) => `x${String(n)}`) }));
    const sends = setInterval(() => {
      if (!socket.destroyed && socket.writable) for (let n = 0; n < 20; n += 1) socket.write(wrong);
    }, 1);
    await until('it is let go', () => !sidecar.stream.delivery.ready || closed);
    clearInterval(sends);
    socket.destroy();
    await sidecar.stop();
    await sim.close();
  });
});
