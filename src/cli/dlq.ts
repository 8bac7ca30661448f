import { parseArgs } from 'node:util';
import { EXIT_INTERNAL, EXIT_OK, guarded, portOf } from './options.ts';
import { columns } from './status.ts';

const USAGE = `holdfast dlq list STREAM            the dead letters of a stream, oldest first
holdfast dlq show STREAM ID         one, with its original event
holdfast dlq redrive STREAM ID|all  deliver again (same event id); removed once acknowledged
holdfast dlq purge STREAM [ID]      throw away one, or all

  --delivery-port N   default 9465
`;

interface Letter {
  readonly id: string;
  readonly eventId: string;
  readonly reason: string;
  readonly attempts: number;
  readonly deadAt: string;
  readonly bytes: number;
}

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        'delivery-port': { type: 'string', default: '9465' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [verb, stream, id] = positionals;
    if (values.help || verb === undefined || stream === undefined) {
      process.stdout.write(USAGE);
      return values.help ? EXIT_OK : EXIT_INTERNAL;
    }
    const base = `http://127.0.0.1:${String(portOf('--delivery-port', values['delivery-port']))}/v1/streams/${encodeURIComponent(stream)}/dead-letters`;
    if (verb === 'list') return list(base);
    if (verb === 'show' && id !== undefined) return print(await ask('GET', `${base}/${id}`));
    if (verb === 'redrive' && id === 'all') return redriveAll(base);
    if (verb === 'redrive' && id !== undefined) return print(await ask('POST', `${base}/${id}/redrive`));
    if (verb === 'purge') return print(await ask('DELETE', id === undefined ? base : `${base}/${id}`));
    process.stderr.write(USAGE);
    return EXIT_INTERNAL;
  });
}

async function ask(
  method: string,
  url: string,
): Promise<{ readonly ok: boolean; readonly status: number; readonly body: unknown }> {
  const response = await fetch(url, { method, signal: AbortSignal.timeout(10_000) });
  return { ok: response.ok, status: response.status, body: await response.json() };
}

function print(answer: { readonly ok: boolean; readonly body: unknown }): number {
  (answer.ok ? process.stdout : process.stderr).write(`${JSON.stringify(answer.body, undefined, 2)}\n`);
  return answer.ok ? EXIT_OK : EXIT_INTERNAL;
}

async function* pages(base: string): AsyncGenerator<readonly Letter[]> {
  let after = '';
  for (;;) {
    const answer = await ask('GET', `${base}?after=${encodeURIComponent(after)}`);
    const letters = answer.ok ? (answer.body as { letters: Letter[] }).letters : [];
    if (!answer.ok) process.exitCode = print(answer);
    const last = letters.at(-1);
    if (last === undefined) return;
    yield letters;
    after = last.id;
  }
}

async function list(base: string): Promise<number> {
  const rows: string[][] = [['ID', 'EVENT', 'REASON', 'ATTEMPTS', 'DEAD-AT', 'BYTES']];
  for await (const letters of pages(base))
    for (const one of letters)
      rows.push([one.id, one.eventId, one.reason, String(one.attempts), one.deadAt, String(one.bytes)]);
  process.stdout.write(rows.length === 1 ? 'no dead letters\n' : columns(rows));
  return EXIT_OK;
}

/** Pause before a redrive that was refused because enough of them wait is asked for again; and how often in a row. */
const BUSY_PAUSE_MS = 500;
const BUSY_LIMIT = 120;

async function redriveOne(url: string): Promise<boolean> {
  for (let tries = 0; tries < BUSY_LIMIT; tries += 1) {
    const { ok, status } = await ask('POST', url);
    if (status !== 429) return ok;
    await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
  }
  process.stderr.write('the consumer takes no redriven events; redrive the rest when it does\n');
  return false;
}

async function redriveAll(base: string): Promise<number> {
  let count = 0;
  for await (const letters of pages(base)) {
    for (const one of letters) {
      if (await redriveOne(`${base}/${one.id}/redrive`)) count += 1;
      else process.exitCode = EXIT_INTERNAL;
    }
  }
  process.stdout.write(`${String(count)} redriven\n`);
  return EXIT_OK;
}
