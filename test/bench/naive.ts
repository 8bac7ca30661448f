import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';

/**
 * The loop everybody writes first: ws, JSON.parse, count. No order, no acknowledgement, no checkpoint. argv: url,
 * certificate, total. Prints CPU per event.
 */
const [, , url = '', ca = '', total = '0'] = process.argv;
const ws = new WebSocket(url, { ca: readFileSync(ca), perMessageDeflate: false });
const warm = Math.floor(Number(total) / 5);
let count = 0;
let sum = 0;
const delays: number[] = [];
let started = process.cpuUsage();
let startedAt = performance.now();
ws.on('message', (data: Buffer) => {
  // The first fifth warms up: compilation is not what is measured.
  if (count === warm) {
    started = process.cpuUsage();
    startedAt = performance.now();
  }
  const event = JSON.parse(data.toString()) as { sequence: number; data: { text: string } };
  count += 1;
  sum += event.sequence;
  if (count % 16 === 0) delays.push(Date.now() - Number(event.data.text.slice(-13)));
  if (count < Number(total)) return;
  const cpu = process.cpuUsage(started);
  delays.sort((a, b) => a - b);
  process.stdout.write(
    `${JSON.stringify({
      cpuUs: (cpu.user + cpu.system) / (count - warm),
      perSecond: ((count - warm) * 1000) / (performance.now() - startedAt),
      rssMiB: process.memoryUsage().rss / 2 ** 20,
      p50: delays[delays.length >> 1],
      p99: delays[Math.floor(delays.length * 0.99)],
      sum,
    })}\n`,
  );
  process.exit(0);
});
