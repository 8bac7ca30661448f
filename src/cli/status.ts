import { percent } from '../core/events/continuity.ts';
import { command } from './command.ts';
import { EXIT_INTERNAL, EXIT_OK, portOf } from './options.ts';

const USAGE = `holdfast status [--admin-port N] [--json] [--watch]

Shows what the sidecar on this machine does (GET /status): which replica leads which client, the leases, the streams
it holds itself.
--watch shows it again every second.
`;

/** Time between two looks at the status with --watch. */
const WATCH_EVERY_MS = 1000;
/** Gives a sidecar this long to answer. */
const ASK_LIMIT_MS = 3000;

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
  readonly delivery: {
    readonly mode: string;
    readonly hold?: string;
    readonly backlog: number;
    readonly noProgressMs?: number;
  };
  readonly lastEventAt?: string;
}

interface ClientStatus {
  readonly name: string;
  readonly role: string;
  readonly open: boolean;
  readonly epoch: number;
  readonly remainingMs?: number;
  readonly quarantineMs?: number;
  readonly holder: string;
  readonly heir?: string;
  readonly members: readonly string[];
  readonly gone: readonly string[];
  readonly unfit?: { readonly why: string; readonly asked: number; readonly nextTryMs: number };
  readonly lastHandOver?: { readonly at: string; readonly to: string };
  readonly token: { readonly state: string; readonly remainingMs?: number; readonly failure?: string };
  readonly breaker: string;
}

export const main = command(
  {
    usage: USAGE,
    options: {
      'admin-port': { type: 'string', default: '9464' },
      json: { type: 'boolean', default: false },
      watch: { type: 'boolean', default: false },
    },
  },
  async (values) => {
    const port = portOf('--admin-port', values['admin-port']);
    for (;;) {
      const text = await ask(port);
      if (text === undefined) return EXIT_INTERNAL;
      const shown = values.json ? text : table(JSON.parse(text) as Shown);
      process.stdout.write(values.watch && process.stdout.isTTY ? `\u001b[H\u001b[2J${shown}` : shown);
      if (!values.watch) return EXIT_OK;
      await new Promise((resolve) => setTimeout(resolve, WATCH_EVERY_MS));
    }
  },
);

async function ask(port: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${String(port)}/status`, {
      signal: AbortSignal.timeout(ASK_LIMIT_MS),
    });
    return await response.text();
  } catch {
    process.stderr.write(`no sidecar answers on admin port ${String(port)}; name its port with --admin-port\n`);
    return undefined;
  }
}

interface Shown {
  readonly clients: readonly ClientStatus[];
  readonly streams: readonly StreamStatus[];
  readonly store: { readonly trouble?: string; readonly warnings: readonly string[] };
}

function table(status: Shown): string {
  const clients = [
    ['CLIENT', 'ROLE', 'EPOCH', 'LEASE', 'HEIR', 'TOKEN', 'EXPIRES', 'BREAKER'],
    ...status.clients.map((one) => [
      one.name,
      roleOf(one),
      String(one.epoch),
      seconds(one.remainingMs),
      podOf(one.heir),
      one.token.failure ?? one.token.state,
      one.token.remainingMs === undefined ? '-' : `${String(Math.round(one.token.remainingMs / 1000))}s`,
      one.breaker,
    ]),
  ];
  const streams = [
    ['STREAM', 'DIALECT', 'CLASS', 'STATE', 'RECEIVED', 'BACKLOG', 'RECONNECTS', 'CONTINUITY', 'GAPS', 'DEAD', 'HOLD'],
    ...status.streams.map((one) => [
      one.name,
      one.dialect,
      one.class,
      one.reason === undefined
        ? one.state
        : `${one.state}(${one.reason}` +
          `${one.retryInMs === undefined ? '' : `, ${String(Math.round(one.retryInMs / 100) / 10)}s`})`,
      String(one.events.received),
      String(one.delivery.backlog),
      String(one.connection.reconnects),
      percent(one.continuity.rate, 2),
      String(one.continuity.gaps),
      String(one.events.deadLettered),
      one.delivery.hold ?? (one.delivery.noProgressMs === undefined ? '-' : 'NO PROGRESS'),
    ]),
  ];
  const replicas = [
    ['CLIENT', 'REPLICA', 'ROLE', 'LAST HAND-OVER'],
    ...status.clients.flatMap((one) =>
      [...one.members, ...one.gone].map((id) => [
        one.name,
        podOf(id),
        one.gone.includes(id) ? 'gone' : id === one.holder ? 'leader' : 'standby',
        id === one.holder && one.lastHandOver !== undefined ? one.lastHandOver.at : '-',
      ]),
    ),
  ];
  return [
    columns(clients),
    columns(replicas),
    columns(streams),
    notesOn(status)
      .map((one) => `${one}\n`)
      .join(''),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** Returns notes that the tables do not show and an operator must know, one sentence each. */
function notesOn(status: Shown): readonly string[] {
  return [
    ...status.clients.flatMap(({ name, unfit }) =>
      unfit === undefined
        ? []
        : [
            `client ${name}: the leader cannot do its work (${unfit.why}), and none of the ` +
              `${String(unfit.asked)} others ` +
              `asked can; the next try in ${seconds(unfit.nextTryMs)}`,
          ],
    ),
    ...(status.store.trouble === undefined ? [] : [`store: ${status.store.trouble}`]),
    ...status.store.warnings.map((one) => `store: ${one}`),
    ...status.streams.flatMap(({ name, delivery: { noProgressMs, backlog } }) =>
      noProgressMs === undefined
        ? []
        : [
            `stream ${name}: ${String(backlog)} events wait, nothing holds them and nothing was settled for ` +
              `${String(Math.floor(noProgressMs / 60_000))} min; hand the lease over`,
          ],
    ),
  ];
}

function roleOf(client: ClientStatus): string {
  if (client.role === 'leader') return client.open ? 'leader' : 'leader(shut)';
  return client.quarantineMs === undefined ? client.role : `${client.role}(waits ${seconds(client.quarantineMs)})`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${(ms / 1000).toFixed(1)}s`;
}

/** Returns namespace/pod/uid without the uid. */
function podOf(id: string | undefined): string {
  return id === undefined ? '-' : id.split('/').slice(0, 2).join('/');
}

/** Returns left-aligned columns, two spaces apart. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)));
  return `${rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}
