import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDuration } from '../config/quantities.ts';
import type { Action } from '../simulator/actions.ts';
import { SampleConsumer } from '../simulator/sample-consumer.ts';
import { Simulator } from '../simulator/simulator.ts';
import { SIM_CLIENT } from '../simulator/token-office.ts';
import { DemoFleet } from './demo-fleet.ts';
import { demoLine, quantile } from './demo-line.ts';
import { command } from './command.ts';
import { EXIT_OK } from './options.ts';

const USAGE = `holdfast demo [--for 60s] [--rate 200]

Starts the simulator, a redis-server, three replicas (their own processes) with a sample consumer, injects faults,
kills and restarts the leader, shows what happens, and ends with one line:
demo: sent=N delivered=N lost=N duplicates=N gaps=N reconnects=N failovers=N gap_ms_max=N
Exit 1 if anything was lost.
`;

const STREAM_PATH = '/api/v2/routing-streams';
/** Sidecars of the demo, each a process of its own: one leads, and two are left when it is killed. */
const REPLICAS = 3;
/** Time between two pictures of the demo; the rate that is shown is that of this time. */
const REFRESH_MS = 1000;
/** Bounds the wait for events that are under way: after a change of the leader, and before the demo ends. */
const SETTLE_LIMIT_MS = 20_000;

/** What goes wrong, at which share of the running time, and what a newcomer should see in it. */
const FAULTS: readonly {
  readonly at: number;
  readonly say: string;
  readonly actions: readonly Action[] | 'kill' | 'stop';
}[] = [
  { at: 0.12, say: 'the platform resets the connection', actions: [{ do: 'drop', how: 'reset' }] },
  {
    at: 0.24,
    say: 'the platform repeats its last 50 events and swaps neighbours',
    actions: [
      { do: 'resend', count: 50 },
      { do: 'set', faults: { swapNext: 5 } },
    ],
  },
  {
    at: 0.36,
    say: 'the platform answers 429 with Retry-After: 1 and drops the connection',
    actions: [
      { do: 'set', faults: { upgrade: { status: 429, retryAfter: 1, times: 1 } } },
      { do: 'drop', how: 'fin' },
    ],
  },
  { at: 0.5, say: 'all tokens are revoked (close 1008)', actions: [{ do: 'revoke-tokens' }] },
  { at: 0.58, say: 'the leader is killed with SIGKILL and started again: another replica takes over', actions: 'kill' },
  { at: 0.67, say: 'the leader is stopped with SIGTERM and started again: it hands over first', actions: 'stop' },
  { at: 0.75, say: 'the platform loses 20 events for good: one exact gap', actions: [{ do: 'jump', count: 20 }] },
  {
    at: 0.86,
    say: 'the platform says 1013, try again later',
    actions: [{ do: 'close', code: 1013, reason: 'overloaded' }],
  },
];

export const main = command(
  {
    usage: USAGE,
    options: {
      for: { type: 'string', default: process.env['DEMO_FOR'] ?? '60s' },
      rate: { type: 'string', default: '200' },
    },
  },
  async (values) => {
    const forMs = parseDuration(/^\d+$/.test(values.for) ? `${values.for}s` : values.for) ?? 60_000;
    return new Demo(forMs, Number(values.rate) || 200).run();
  },
);

/** Runs the demo: simulator, fleet and sample consumer in one terminal, with changes of leader. */
class Demo {
  readonly #forMs: number;
  readonly #rate: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  readonly #consumer = new SampleConsumer();
  readonly #sim: Simulator;
  readonly #fleet: DemoFleet;
  #leader = '-';
  #silences: number[] = [];
  #stopped = false;
  #lastDelivered = 0;
  #state = 'starting';
  #position = '-';
  #startedAt = performance.now();
  #ports = { sim: 0, consumer: 0 };

  constructor(forMs: number, rate: number) {
    this.#forMs = forMs;
    this.#rate = rate;
    this.#sim = new Simulator({ port: 0, rate: 0, size: 600, keys: 20, skew: 2, serverPingEveryMs: 2000 });
    this.#sim.office.lifeMs = Math.max(10_000, forMs / 2);
    this.#fleet = new DemoFleet(this.#directory, (replica) => this.#writeConfig(replica));
  }

  async run(): Promise<number> {
    const simPort = await this.#sim.listen();
    const consumerPort = await this.#consumer.listen();
    this.#ports = { sim: simPort, consumer: consumerPort };
    this.#writeCredentials();
    this.#sim.journal(STREAM_PATH);
    await this.#fleet.start(REPLICAS);
    say(
      `simulator on 127.0.0.1:${String(simPort)}, consumer on 127.0.0.1:${String(consumerPort)}, ` +
        `redis-server on 127.0.0.1:${String(this.#fleet.redisPort)}, ` +
        `${String(REPLICAS)} replicas, each its own process`,
    );
    say(
      `one stream (genesys-streams, class A) at ${String(this.#rate)} events/s for ` +
        `${String(Math.round(this.#forMs / 1000))} s; the leader pushes the events to the consumer`,
    );
    say('the first leader waits one lease (3 s): an empty store may have forgotten another one\n');
    // A stream without history begins live: what the platform made before the first connection was never offered.
    while (this.#sim.connections.length === 0 && !this.#stopped) await pause(20);
    this.#startedAt = performance.now();
    this.#sim.rate = this.#rate;
    process.once('SIGINT', () => {
      this.#stopped = true;
    });
    process.once('SIGTERM', () => {
      this.#stopped = true;
    });
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

  async #inject(actions: readonly Action[] | 'kill' | 'stop'): Promise<void> {
    if (actions === 'kill') return this.#changeLeader('SIGKILL');
    if (actions === 'stop') return this.#changeLeader('SIGTERM');
    for (const action of actions) this.#sim.do(action);
  }

  /** Lets everything that was sent arrive, then stops the sidecar cleanly. */
  async #settle(): Promise<void> {
    const endsAt = performance.now() + SETTLE_LIMIT_MS;
    while (performance.now() < endsAt && this.#lost() > 0) await pause(50);
    this.#clear();
    await this.#fleet.stop();
  }

  async #finish(): Promise<number> {
    const lost = this.#lost();
    const gaps = this.#consumer.controls.filter((event) => event.type.endsWith('gap.detected')).length;
    const reconnects = Math.max(0, this.#sim.history.of('conn.open').length - 1);
    const sent = this.#sim.history.counts.get('ev.gen') ?? 0;
    say(
      `\ndemo: sent=${String(sent)} delivered=${String(this.#consumer.distinct)} lost=${String(lost)} ` +
        `duplicates=${String(this.#consumer.repeats)} gaps=${String(gaps)} reconnects=${String(reconnects)} ` +
        `failovers=${String(Math.max(0, this.#fleet.leaderChanges - 1))} ` +
        `gap_ms_max=${String(Math.round(Math.max(0, ...this.#silences)))}`,
    );
    await this.#sim.close();
    await this.#consumer.close();
    rmSync(this.#directory, { recursive: true, force: true });
    return lost === 0 ? EXIT_OK : 1;
  }

  /**
   * Returns the number of events that the simulator generated and the consumer does not have. Numbers the platform
   * skipped were never generated.
   */
  #lost(): number {
    let lost = 0;
    for (const journal of this.#sim.journals)
      for (const event of journal.events) if (!this.#consumer.has(event.id)) lost += 1;
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
      leader: this.#leader,
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
    const found = await this.#fleet.leader();
    this.#leader = found?.replica.name ?? 'nobody';
    this.#state = found?.status.state ?? 'FAILOVER';
    this.#position = found?.status.position ?? this.#position;
  }

  /** Ends the leader, and measures the longest silence that the consumer noticed. */
  async #changeLeader(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const found = await this.#fleet.leader();
    if (found === undefined) return;
    const t = process.hrtime.bigint();
    const { name } = found.replica;
    await this.#fleet.end(found.replica, signal);
    const target = this.#consumer.distinct + this.#rate / 4;
    const endsAt = performance.now() + SETTLE_LIMIT_MS;
    while (this.#consumer.distinct < target && performance.now() < endsAt) await pause(10);
    const silence = this.#longestSilenceSince(t);
    this.#silences.push(silence);
    await this.#askStatus();
    say(`    ${this.#leader} leads; the consumer waited ${String(Math.round(silence))} ms`);
    await this.#fleet.add(name);
  }

  #longestSilenceSince(t: bigint): number {
    const { received } = this.#consumer;
    let worst = 0n;
    for (let at = received.length - 1; at > 0; at -= 1) {
      const later = received[at]?.t ?? 0n;
      const earlier = received[at - 1]?.t ?? 0n;
      if (later - earlier > worst) worst = later - earlier;
      if (earlier < t) break;
    }
    return Number(worst / 1000n) / 1000;
  }

  #writeCredentials(): void {
    for (const [name, value] of Object.entries({
      clientId: SIM_CLIENT.clientId,
      clientSecret: SIM_CLIENT.clientSecret,
    }))
      writeFileSync(join(this.#directory, name), value, { mode: 0o600 });
  }

  #writeConfig(replica: string): string {
    const http = `http://127.0.0.1:${String(this.#ports.sim)}`;
    const file = join(this.#directory, `${replica}.yaml`);
    writeFileSync(
      file,
      `apiVersion: holdfast.dev/v1alpha1
kind: StreamClient
metadata: { name: demo }
spec:
  platform: GenesysCloud
  region: local
  hosts: { login: ${http}, api: ${http}, streaming: ws://127.0.0.1:${String(this.#ports.sim)} }
  credentials: { directory: ${this.#directory} }
  reconnect: { baseDelay: 200ms, maxDelay: 2s, extendedBaseDelay: 500ms, extendedMaxDelay: 2s }
  gate: { capacity: 5, refillEvery: 500ms }
  lease: { ttl: 3s, renewEvery: 1s, margin: 300ms }
---
apiVersion: holdfast.dev/v1alpha1
kind: EventStream
metadata: { name: routing }
spec:
  clientRef: { name: demo }
  dialect: genesys-streams
  path: routing-streams
  delivery:
    mode: Push
    push: { url: "http://127.0.0.1:${String(this.#ports.consumer)}/events/${replica}", contentMode: batch }
`,
    );
    return file;
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
