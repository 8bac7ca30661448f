import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

/**
 * The platform's side of the bench, in a process of its own: TLS, a token endpoint, and frames built beforehand whose
 * sequence is patched in place, so that the receiver is the bottleneck. argv: certificate, key, event size, events per
 * second (0 = as fast as the socket takes them), total.
 */
const [, , cert = '', key = '', size = '1024', rate = '0', total = '100000'] = process.argv;
const DIGITS = 10;
const when = new Date(Date.now() + 3_600_000).toISOString();

/**
 * A conversation event as the platforms send them: nested members of 10 to 40 bytes, not one long string. The send
 * time stands at the end.
 */
function bodyOf(bytes: number): string {
  const participants: string[] = [];
  for (let k = 0; JSON.stringify(participants).length < bytes; k += 1) {
    participants.push(
      `{"id":"p-${String(k).padStart(6, '0')}","purpose":"agent","state":"connected","wrapupRequired":true,` +
        `"queueId":"q-${String(k * 7919).padStart(8, '0')}","held":false,` +
        `"segments":[${String(k)},${String(k * 3)}],"direction":"inbound"}`,
    );
  }
  return participants.slice(0, Math.max(0, participants.length - 1)).join(',');
}
const body = bodyOf(Number(size) - 230);

function frameOf(n: number): Buffer {
  const digits = String(n).padStart(DIGITS, '0');
  return Buffer.from(
    `{"sequence":1${digits},"id":"evt-${digits}","eventType":"routing.queue.changed",` +
      `"timestamp":"${when}","conversationId":"conv-17","participants":[${body}],` +
      `"data":{"text":"${String(Date.now())}"}}`,
  );
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
  const finish = (): void => {
    ws.send(frameOf(last + 1), { binary: false });
  };
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
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`),
);
