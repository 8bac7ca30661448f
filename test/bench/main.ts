import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { NODE_FLAG } from '../../src/cli/node-flag.ts';

/**
 * npm run bench: everything in one run, so that ratios can be compared: a naive ws + JSON.parse loop, and the whole
 * path (TLS in, order, window, acknowledgements, fenced checkpoints) by WebSocket pull, SSE and HTTP push in batches of
 * 100, for 300 B, 1 KB and 4 KB; then added latency at a fixed rate. CPU is that of the measured process alone
 * (/metrics, process_cpu_seconds_total).
 */
const here = fileURLToPath(new URL('.', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'hf-bench-'));
const cert = join(directory, 'cert.pem');
const key = join(directory, 'key.pem');
const SIZES = [300, 1024, 4096];
const TOTAL = Number(process.env['BENCH_EVENTS'] ?? 150_000);
const RATE = Number(process.env['BENCH_RATE'] ?? 2000);

interface Figures {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly rssMiB: number;
  readonly p50?: number | undefined;
  readonly p99?: number | undefined;
  readonly loopP99Ms?: number | undefined;
}

execFileSync(
  'openssl',
  [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout',
    key,
    '-out',
    cert,
  ],
  { stdio: 'ignore' },
);
writeFileSync(join(directory, 'clientId'), 'bench');
writeFileSync(join(directory, 'clientSecret'), 'bench-secret-0123456789');

function firstLine(child: ChildProcess): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => {
      reject(new Error(`ended with ${String(code)}`));
    });
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => {
        resolve(JSON.parse(line) as Record<string, unknown>);
      });
  });
}

async function firehose(
  size: number,
  rate: number,
  total: number,
): Promise<{ readonly port: number; readonly stop: () => void }> {
  const child = spawn(
    process.execPath,
    [join(here, 'firehose.ts'), cert, key, String(size), String(rate), String(total)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  return { port: Number((await firstLine(child))['port']), stop: () => child.kill('SIGKILL') };
}

async function naive(size: number, rate: number, total: number): Promise<Figures> {
  const source = await firehose(size, rate, total);
  const child = spawn(
    process.execPath,
    [join(here, 'naive.ts'), `wss://localhost:${String(source.port)}/api/v2/routing-streams`, cert, String(total)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const figures = (await firstLine(child)) as unknown as Figures;
  source.stop();
  return figures;
}

type Mode = 'ws' | 'sse' | 'push';

async function holdfast(mode: Mode, size: number, rate: number, total: number): Promise<Figures> {
  const source = await firehose(size, rate, total);
  const taker = new Taker(total);
  const pushPort = mode === 'push' ? await taker.listen() : 0;
  const host = `localhost:${String(source.port)}`;
  const config = join(directory, `${mode}.yaml`);
  const delivery =
    mode === 'push'
      ? `{ mode: Push, order: stream, push: { url: "http://127.0.0.1:${String(pushPort)}/", contentMode: ` +
        'batch, maxBatch: 100 } }'
      : '{ mode: Pull }';
  writeFileSync(
    config,
    `apiVersion: holdfast.dev/v1alpha1
kind: StreamClient
metadata: { name: bench }
spec:
  platform: GenesysCloud
  region: local
  hosts: { login: "https://${host}", api: "https://${host}", streaming: "wss://${host}" }
  credentials: { directory: ${directory} }
  gate: { capacity: 100, refillEvery: 10ms }
---
apiVersion: holdfast.dev/v1alpha1
kind: EventStream
metadata: { name: main }
spec: { clientRef: { name: bench }, dialect: genesys-streams, path: routing-streams, delivery: ${delivery} }
`,
  );
  const child = spawn(
    process.execPath,
    [
      NODE_FLAG,
      join(here, '../../src/cli/main.ts'),
      'run',
      '-f',
      config,
      '--store',
      `embedded:${mkdtempSync(join(directory, 'store-'))}`,
      '--admin-port',
      '0',
      '--delivery-port',
      '0',
      '--log-level',
      'error',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_EXTRA_CA_CERTS: cert } },
  );
  const { listening } = (await firstLine(child)) as { listening: { admin: number; delivery: number } };
  if (mode === 'ws') taker.connectWs(listening.delivery);
  if (mode === 'sse') await taker.connectSse(listening.delivery);
  await taker.warm;
  const before = await metrics(listening.admin);
  const startedAt = performance.now();
  const counted = total - taker.count;
  await taker.done;
  const elapsed = performance.now() - startedAt;
  const after = await metrics(listening.admin);
  child.kill('SIGKILL');
  source.stop();
  taker.close();
  return {
    cpuUs: ((after.cpu - before.cpu) * 1e6) / counted,
    perSecond: (counted * 1000) / elapsed,
    rssMiB: after.rss / 2 ** 20,
    loopP99Ms: after.loopP99 * 1000,
    ...taker.quantiles(),
  };
}

async function metrics(
  port: number,
): Promise<{ readonly cpu: number; readonly rss: number; readonly loopP99: number }> {
  const text = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
  const value = (name: string): number => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? 0);
  return {
    cpu: value('process_cpu_seconds_total'),
    rss: value('process_resident_memory_bytes'),
    loopP99: value('nodejs_eventloop_lag_p99_seconds'),
  };
}

/** The consumer: takes events as cheaply as it can and acknowledges once per message. */
class Taker {
  readonly done: Promise<void>;
  /** A fifth has come: what follows is measured. */
  readonly warm: Promise<void>;
  #warmed: () => void = () => undefined;
  readonly #total: number;
  #finish: () => void = () => undefined;
  count = 0;
  readonly #delays: number[] = [];
  #close: () => void = () => undefined;

  constructor(total: number) {
    this.#total = total;
    this.warm = new Promise((resolve) => {
      this.#warmed = resolve;
    });
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  close(): void {
    this.#close();
  }

  quantiles(): { readonly p50: number | undefined; readonly p99: number | undefined } {
    this.#delays.sort((a, b) => a - b);
    return { p50: this.#delays[this.#delays.length >> 1], p99: this.#delays[Math.floor(this.#delays.length * 0.99)] };
  }

  connectWs(port: number): void {
    const ws = new WebSocket(
      `ws://127.0.0.1:${String(port)}/v1/streams/main/ws?batch=256&credit=512&takeover=1`,
      'holdfast.v1',
    );
    ws.on('unexpected-response', () => {
      setTimeout(() => {
        this.connectWs(port);
      }, 20);
    });
    ws.on('error', () => undefined);
    ws.on('message', (data: Buffer) => {
      const text = data.toString('latin1');
      if (text.startsWith('{"type":"ackok"')) return;
      const last = text.lastIndexOf('"hfcursor":"');
      ws.send(`{"type":"ack","upTo":"${text.slice(last + 12, text.indexOf('"', last + 12))}"}`);
      this.#took(text);
    });
    this.#close = () => {
      ws.terminate();
    };
  }

  async connectSse(port: number): Promise<void> {
    const base = `http://127.0.0.1:${String(port)}/v1/streams/main`;
    const abort = new AbortController();
    this.#close = () => {
      abort.abort();
    };
    let response = await fetch(`${base}/events`, { signal: abort.signal });
    while (!response.ok) response = await fetch(`${base}/events`, { signal: abort.signal });
    let ack: string | undefined;
    let posting = false;
    const post = (): void => {
      if (posting || ack === undefined) return;
      posting = true;
      const body = `{"upTo":"${ack}"}`;
      ack = undefined;
      void fetch(`${base}/acks`, { method: 'POST', body }).then(
        () => {
          posting = false;
          post();
        },
        () => undefined,
      );
    };
    let pending = '';
    const read = async (): Promise<void> => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        pending += Buffer.from(chunk).toString('latin1');
        const cut = pending.lastIndexOf('\n\n');
        if (cut === -1) continue;
        const whole = pending.slice(0, cut);
        pending = pending.slice(cut);
        const last = whole.lastIndexOf('\nid: ');
        if (last !== -1) ack = whole.slice(last + 5, whole.indexOf('\n', last + 5));
        this.#took(whole);
        post();
      }
    };
    read().catch(() => undefined);
  }

  async listen(): Promise<number> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        response.writeHead(204).end();
        this.#took(Buffer.concat(parts).toString('latin1'));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#close = () => {
      server.closeAllConnections();
      server.close();
    };
    return (server.address() as AddressInfo).port;
  }

  #took(text: string): void {
    for (let at = text.indexOf('"hfcursor"'); at !== -1; at = text.indexOf('"hfcursor"', at + 10)) this.count += 1;
    if (this.count >= this.#total / 5) this.#warmed();
    const tail = /(\d{13})"\}\}/.exec(text.slice(-200))?.[1];
    if (tail !== undefined) this.#delays.push(Date.now() - Number(tail));
    if (this.count >= this.#total) this.#finish();
  }
}

function row(name: string, figures: Figures, base: Figures): string {
  const cells = [
    name.padEnd(30),
    `${figures.cpuUs.toFixed(2)} us`.padStart(10),
    `${(figures.cpuUs / base.cpuUs).toFixed(2)} x`.padStart(8),
    `${Math.round(figures.perSecond).toString()}/s`.padStart(10),
    `${figures.rssMiB.toFixed(0)} MiB`.padStart(8),
  ];
  return cells.join('  ');
}

process.stdout.write(
  `node ${process.version}, ${String(cpus().length)} cores, ` +
    `${readFileSync('/proc/cpuinfo', 'utf8').match(/model name\s*: (.*)/)?.[1] ?? 'unknown CPU'}; ` +
    `${String(TOTAL)} events each, TLS in\n`,
);
for (const size of SIZES) {
  process.stdout.write(`\n${String(size)} B                           CPU/event   ratio     events/s      RSS\n`);
  const base = await naive(size, 0, TOTAL);
  process.stdout.write(`${row('ws + JSON.parse (naive)', base, base)}\n`);
  const names = { ws: 'holdfast, WebSocket pull', sse: 'holdfast, SSE', push: 'holdfast, push, batch 100' };
  for (const mode of ['ws', 'sse', 'push'] as const)
    process.stdout.write(`${row(names[mode], await holdfast(mode, size, 0, TOTAL), base)}\n`);
}
const TIMED = RATE * 8;
process.stdout.write(`\nplatform to consumer at ${String(RATE)} events/s, 1 KB (one clock, ms)\n`);
const direct = await naive(1024, RATE, TIMED);
process.stdout.write(
  `ws + JSON.parse (naive)         p50 ${String(direct.p50)}  p99 ${String(direct.p99)}  RSS ` +
    `${direct.rssMiB.toFixed(0)} MiB  CPU ${direct.cpuUs.toFixed(1)} us\n`,
);
for (const mode of ['ws', 'sse', 'push'] as const) {
  const figures = await holdfast(mode, 1024, RATE, TIMED);
  process.stdout.write(
    `holdfast, ${mode.padEnd(20)}  p50 ${String(figures.p50)}  p99 ${String(figures.p99)}  RSS ` +
      `${figures.rssMiB.toFixed(0)} MiB  CPU ${figures.cpuUs.toFixed(1)} us  event-loop lag p99 ` +
      `${figures.loopP99Ms?.toFixed(1) ?? '-'} ms\n`,
  );
}
process.exit(0);
