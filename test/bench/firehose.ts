import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

/**
 * The platform's side of the bench, in a process of its own: TLS, a token endpoint, and frames built beforehand whose sequence is patched in place,
 * so that the receiver is the bottleneck. argv: certificate, key, event size, events per second (0 = as fast as the socket takes them), total.
 */
const [, , cert = '', key = '', size = '1024', rate = '0', total = '100000'] = process.argv;
const DIGITS = 10;
const prefix = '{"sequence":1';
const middle = `,"id":"evt-`;
const rest = `","eventType":"routing.queue.changed","timestamp":"${new Date(Date.now() + 3_600_000).toISOString()}","conversationId":"conv-17","data":{"text":"`;
const end = '"}}';

function frameOf(n: number): Buffer {
  const digits = String(n).padStart(DIGITS, '0');
  const bare = prefix + digits + middle + digits + rest;
  const at = String(Date.now());
  return Buffer.from(`${bare}${'x'.repeat(Math.max(0, Number(size) - bare.length - end.length - at.length))}${at}${end}`);
}

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  request.resume();
  response.setHeader('content-type', 'application/json');
  response.end(request.url === '/oauth/token' ? '{"access_token":"bench-token-0123456789","expires_in":86400}' : '{}');
});
const wss = new WebSocketServer({ server, perMessageDeflate: false });
wss.on('connection', (ws, request) => {
  // Resumes where it is asked to, like the platform (inclusive).
  const asked = new URL(request.url ?? '/', 'http://x').searchParams.get('sequence');
  let n = asked === null ? 0 : Math.max(0, Number(asked) - 10 ** DIGITS - 1);
  const last = Number(total);
  const finish = (): void => { ws.send(frameOf(last + 1), { binary: false }); };
  if (Number(rate) > 0) {
    const startedAt = performance.now();
    const timer = setInterval(() => {
      const due = Math.min(last, Math.floor(((performance.now() - startedAt) * Number(rate)) / 1000));
      while (n < due) ws.send(frameOf((n += 1)), { binary: false });
      if (n < last) return;
      clearInterval(timer);
      finish();
    }, 2);
    return;
  }
  // Prebuilt frames, sent in bursts while the socket takes them.
  const burst = (): void => {
    for (let k = 0; k < 200 && n < last; k += 1) ws.send(frameOf((n += 1)), { binary: false });
    if (n >= last) return finish();
    if (ws.bufferedAmount > 4_000_000) setTimeout(burst, 1);
    else setImmediate(burst);
  };
  burst();
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`));
