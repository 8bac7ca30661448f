import { parseArgs } from 'node:util';
import { EXIT_INTERNAL, EXIT_OK, guarded, portOf } from './options.ts';

const USAGE = `holdfast status [--admin-port N] [--json]

Shows what the sidecar on this machine does (GET /status).
`;

interface StreamStatus {
  readonly name: string;
  readonly dialect: string;
  readonly class: string;
  readonly state: string;
  readonly reason?: string;
  readonly retryInMs?: number;
  readonly connection: { readonly reconnects: number };
  readonly events: { readonly received: number; readonly deadLettered: number };
  readonly continuity: { readonly rate: number; readonly gaps: number };
  readonly delivery: { readonly mode: string; readonly hold?: string; readonly backlog: number };
  readonly lastEventAt?: string;
}

interface ClientStatus {
  readonly name: string;
  readonly epoch: number;
  readonly token: { readonly state: string; readonly remainingMs?: number; readonly failure?: string };
  readonly breaker: string;
}

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values } = parseArgs({ args: [...args], options: { 'admin-port': { type: 'string', default: '9464' }, json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } } });
    if (values.help) {
      process.stdout.write(USAGE);
      return EXIT_OK;
    }
    const port = portOf('--admin-port', values['admin-port']);
    let text: string;
    try {
      const response = await fetch(`http://127.0.0.1:${String(port)}/status`, { signal: AbortSignal.timeout(3000) });
      text = await response.text();
    } catch {
      process.stderr.write(`no sidecar answers on admin port ${String(port)}; name its port with --admin-port\n`);
      return EXIT_INTERNAL;
    }
    process.stdout.write(values.json ? text : table(JSON.parse(text) as { clients: ClientStatus[]; streams: StreamStatus[] }));
    return EXIT_OK;
  });
}

function table(status: { readonly clients: readonly ClientStatus[]; readonly streams: readonly StreamStatus[] }): string {
  const clients = [['CLIENT', 'EPOCH', 'TOKEN', 'EXPIRES', 'BREAKER'], ...status.clients.map((one) => [one.name, String(one.epoch), one.token.failure ?? one.token.state, one.token.remainingMs === undefined ? '-' : `${String(Math.round(one.token.remainingMs / 1000))}s`, one.breaker])];
  const streams = [
    ['STREAM', 'DIALECT', 'CLASS', 'STATE', 'RECEIVED', 'BACKLOG', 'RECONNECTS', 'CONTINUITY', 'GAPS', 'DEAD', 'HOLD'],
    ...status.streams.map((one) => [
      one.name,
      one.dialect,
      one.class,
      one.reason === undefined ? one.state : `${one.state}(${one.reason}${one.retryInMs === undefined ? '' : `, ${String(Math.round(one.retryInMs / 100) / 10)}s`})`,
      String(one.events.received),
      String(one.delivery.backlog),
      String(one.connection.reconnects),
      `${(one.continuity.rate * 100).toFixed(2)}%`,
      String(one.continuity.gaps),
      String(one.events.deadLettered),
      one.delivery.hold ?? '-',
    ]),
  ];
  return `${columns(clients)}\n${columns(streams)}`;
}

/** Left-aligned columns, two spaces apart. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)));
  return `${rows.map((row) => row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ').trimEnd()).join('\n')}\n`;
}
