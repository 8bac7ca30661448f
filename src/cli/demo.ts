import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseDuration } from '../config/units.ts';
import type { Action } from '../simulator/actions.ts';
import { SampleConsumer } from '../simulator/consumer.ts';
import { Simulator } from '../simulator/server.ts';
import { SIM_CLIENT } from '../simulator/tokens.ts';
import { demoLine, quantile } from './demo-view.ts';
import { EXIT_OK, guarded } from './options.ts';

const USAGE = `holdfast demo [--for 60s] [--rate 200]

Starts the simulator, a sidecar (its own process) and a sample consumer, injects faults, shows what happens, and ends with one line:
demo: sent=N delivered=N lost=N duplicates=N gaps=N reconnects=N
Exit 1 if anything was lost.
`;

const STREAM_PATH = '/api/v2/routing-streams';
const REFRESH_MS = 1000;
const SETTLE_LIMIT_MS = 20_000;

/** What goes wrong, at which share of the running time, and what a newcomer should see in it. */
const FAULTS: readonly { readonly at: number; readonly say: string; readonly actions: readonly Action[] | 'kill' }[] = [
  { at: 0.12, say: 'the platform resets the connection', actions: [{ do: 'drop', how: 'reset' }] },
  { at: 0.24, say: 'the platform repeats its last 50 events and swaps neighbours', actions: [{ do: 'resend', count: 50 }, { do: 'set', faults: { swapNext: 5 } }] },
  { at: 0.36, say: 'the platform answers 429 with Retry-After: 1 and drops the connection', actions: [{ do: 'set', faults: { upgrade: { status: 429, retryAfter: 1, times: 1 } } }, { do: 'drop', how: 'fin' }] },
  { at: 0.5, say: 'all tokens are revoked (close 1008)', actions: [{ do: 'revoke-tokens' }] },
  { at: 0.62, say: 'the sidecar is killed with SIGKILL and started again', actions: 'kill' },
  { at: 0.75, say: 'the platform loses 20 events for good: one exact gap', actions: [{ do: 'jump', count: 20 }] },
  { at: 0.86, say: 'the platform says 1013, try again later', actions: [{ do: 'close', code: 1013, reason: 'overloaded' }] },
];

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values } = parseArgs({ args: [...args], options: { for: { type: 'string', default: process.env['DEMO_FOR'] ?? '60s' }, rate: { type: 'string', default: '200' }, help: { type: 'boolean', short: 'h', default: false } } });
    if (values.help) {
      process.stdout.write(USAGE);
      return EXIT_OK;
    }
    const forMs = parseDuration(/^\d+$/.test(values.for) ? `${values.for}s` : values.for) ?? 60_000;
    return new Demo(forMs, Number(values.rate) || 200).run();
  });
}

class Demo {
  readonly #forMs: number;
  readonly #rate: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  readonly #consumer = new SampleConsumer();
  readonly #sim: Simulator;
  #sidecar: ChildProcess | undefined;
  #adminPort = 0;
  #stopped = false;
  #lastDelivered = 0;
  #state = 'starting';
  #position = '-';
  readonly #startedAt = performance.now();

  constructor(forMs: number, rate: number) {
    this.#forMs = forMs;
    this.#rate = rate;
    this.#sim = new Simulator({ port: 0, rate: 0, size: 600, keys: 20, serverPingEveryMs: 2000 });
    this.#sim.office.lifeMs = Math.max(10_000, forMs / 2);
  }

  async run(): Promise<number> {
    const simPort = await this.#sim.listen();
    const consumerPort = await this.#consumer.listen();
    this.#writeFiles(simPort, consumerPort);
    say(`simulator on 127.0.0.1:${String(simPort)}, consumer on 127.0.0.1:${String(consumerPort)}, sidecar in its own process`);
    say(`one stream (genesys-streams, class A) at ${String(this.#rate)} events/s for ${String(Math.round(this.#forMs / 1000))} s; events are pushed to the consumer\n`);
    this.#sim.journal(STREAM_PATH);
    await this.#startSidecar();
    // A stream without history begins live: what the platform made before the first connection was never offered.
    while (this.#sim.connections.length === 0 && !this.#stopped) await pause(20);
    this.#sim.rate = this.#rate;
    process.once('SIGINT', () => { this.#stopped = true; });
    process.once('SIGTERM', () => { this.#stopped = true; });
    await this.#live();
    this.#sim.rate = 0;
    await this.#settle();
    return this.#finish();
  }

  async #live(): Promise<void> {
    const pending = [...FAULTS];
    let nextShowAt = REFRESH_MS;
    while (!this.#stopped && this.#elapsed() < this.#forMs) {
      await pause(50);
      const next = pending[0];
      if (next !== undefined && this.#elapsed() >= next.at * this.#forMs) {
        pending.shift();
        this.#clear();
        say(`--- ${next.say}`);
        await this.#inject(next.actions);
      }
      if (this.#elapsed() >= nextShowAt) {
        nextShowAt += REFRESH_MS;
        await this.#show();
      }
    }
  }

  async #inject(actions: readonly Action[] | 'kill'): Promise<void> {
    if (actions === 'kill') return this.#killAndRestart();
    for (const action of actions) this.#sim.do(action);
  }

  /** Lets everything that was sent arrive, then stops the sidecar cleanly. */
  async #settle(): Promise<void> {
    const endsAt = performance.now() + SETTLE_LIMIT_MS;
    while (performance.now() < endsAt && this.#lost() > 0) await pause(50);
    this.#clear();
    await this.#stopSidecar('SIGTERM');
  }

  async #finish(): Promise<number> {
    const lost = this.#lost();
    const gaps = this.#consumer.controls.filter((event) => event.type.endsWith('gap.detected')).length;
    const reconnects = Math.max(0, this.#sim.history.of('conn.open').length - 1);
    const sent = this.#sim.history.counts.get('ev.gen') ?? 0;
    say(`\ndemo: sent=${String(sent)} delivered=${String(this.#consumer.distinct)} lost=${String(lost)} duplicates=${String(this.#consumer.repeats)} gaps=${String(gaps)} reconnects=${String(reconnects)}`);
    await this.#sim.close();
    await this.#consumer.close();
    rmSync(this.#directory, { recursive: true, force: true });
    return lost === 0 ? EXIT_OK : 1;
  }

  /** Events the simulator generated that the consumer does not have. Numbers the platform skipped were never generated. */
  #lost(): number {
    let lost = 0;
    for (const journal of this.#sim.journals) for (const event of journal.events) if (!this.#consumer.has(event.id)) lost += 1;
    return lost;
  }

  async #show(): Promise<void> {
    await this.#askStatus();
    const delivered = this.#consumer.distinct;
    const sent = this.#sim.history.counts.get('ev.gen') ?? 0;
    const recent = this.#consumer.latenciesMs.slice(-this.#rate * 2);
    const line = demoLine({
      elapsedS: this.#elapsed() / 1000,
      totalS: Math.round(this.#forMs / 1000),
      state: this.#state,
      position: this.#position,
      rate: ((delivered - this.#lastDelivered) * 1000) / REFRESH_MS,
      sent,
      delivered,
      lag: sent - delivered,
      p50Ms: quantile(recent, 0.5),
      p99Ms: quantile(recent, 0.99),
      reconnects: Math.max(0, this.#sim.history.of('conn.open').length - 1),
      gaps: this.#consumer.controls.filter((event) => event.type.endsWith('gap.detected')).length,
      duplicates: this.#consumer.repeats,
    });
    this.#lastDelivered = delivered;
    // On a terminal the line is rewritten in place; in a file every fifth is kept.
    if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${line.slice(0, (process.stdout.columns || 200) - 1)}`);
    else if (Math.round(this.#elapsed() / REFRESH_MS) % 5 === 0) say(line);
  }

  #clear(): void {
    if (process.stdout.isTTY) process.stdout.write('\r\u001b[K');
  }

  async #askStatus(): Promise<void> {
    try {
      const response = await fetch(`http://127.0.0.1:${String(this.#adminPort)}/status`, { signal: AbortSignal.timeout(500) });
      const status = (await response.json()) as { streams: { state: string; position?: string }[] };
      this.#state = status.streams[0]?.state ?? 'starting';
      this.#position = status.streams[0]?.position?.split(':')[1] ?? '-';
    } catch {
      this.#state = 'down';
    }
  }

  async #killAndRestart(): Promise<void> {
    await this.#stopSidecar('SIGKILL');
    this.#state = 'killed';
    await this.#startSidecar();
  }

  async #startSidecar(): Promise<void> {
    const main = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));
    const child = spawn(process.execPath, [main, 'run', '-f', join(this.#directory, 'config.yaml'), '--store', `embedded:${join(this.#directory, 'store')}`, '--admin-port', '0', '--delivery-port', '0', '--log-level', 'error'], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#sidecar = child;
    this.#adminPort = await new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => { reject(new Error(`the sidecar ended with code ${String(code)}`)); });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const message = JSON.parse(line) as { listening?: { admin: number } };
        if (message.listening !== undefined) resolve(message.listening.admin);
      });
    });
  }

  async #stopSidecar(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#sidecar;
    if (child === undefined || child.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => { resolve(); });
      child.kill(signal);
    });
  }

  #writeFiles(simPort: number, consumerPort: number): void {
    for (const [name, value] of Object.entries({ clientId: SIM_CLIENT.clientId, clientSecret: SIM_CLIENT.clientSecret })) writeFileSync(join(this.#directory, name), value, { mode: 0o600 });
    const http = `http://127.0.0.1:${String(simPort)}`;
    writeFileSync(
      join(this.#directory, 'config.yaml'),
      `apiVersion: holdfast.dev/v1alpha1
kind: StreamClient
metadata: { name: demo }
spec:
  platform: GenesysCloud
  region: local
  hosts: { login: ${http}, api: ${http}, streaming: ws://127.0.0.1:${String(simPort)} }
  credentials: { directory: ${this.#directory} }
  reconnect: { baseDelay: 200ms, maxDelay: 2s, extendedBaseDelay: 500ms, extendedMaxDelay: 2s }
  gate: { capacity: 5, refillEvery: 500ms }
---
apiVersion: holdfast.dev/v1alpha1
kind: EventStream
metadata: { name: routing }
spec:
  clientRef: { name: demo }
  dialect: genesys-streams
  path: routing-streams
  delivery: { mode: Push, push: { url: "http://127.0.0.1:${String(consumerPort)}/events", contentMode: batch } }
`,
    );
  }

  #elapsed(): number {
    return performance.now() - this.#startedAt;
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
