import type { LetterView } from '../delivery/dead-letter-routes.ts';
import { command } from './command.ts';
import { EXIT_INTERNAL, EXIT_OK, portOf } from './options.ts';
import { columns } from './status.ts';

/** Gives a sidecar this long to answer. */
const ASK_LIMIT_MS = 10_000;
/** Pause after a redrive that was refused because enough redriven letters wait for the consumer. */
const BUSY_PAUSE_MS = 500;
/** Tries of one redrive, BUSY_PAUSE_MS apart: after a minute the consumer is taken to accept none. */
const BUSY_LIMIT = 120;

const USAGE = `holdfast dlq list STREAM            the dead letters of a stream, oldest first
holdfast dlq show STREAM ID         one, with its original event
holdfast dlq redrive STREAM ID|all  deliver again (same event id); removed once acknowledged
holdfast dlq purge STREAM [ID]      throw away one, or all

  --delivery-port N   default 9465
`;

/** The dead letters of a stream, or one of them. */
interface Letters {
  /** URL of all of them. */
  readonly url: string;
  readonly stream: string;
  readonly id: string | undefined;
}

const VERBS: ReadonlyMap<string, { readonly needsId: boolean; readonly run: (letters: Letters) => Promise<number> }> =
  new Map([
    ['list', { needsId: false, run: list }],
    ['show', { needsId: true, run: (letters: Letters) => send('GET', letters) }],
    ['redrive', { needsId: true, run: redrive }],
    ['purge', { needsId: false, run: (letters: Letters) => send('DELETE', letters) }],
  ]);

export const main = command(
  {
    usage: USAGE,
    words: true,
    options: {
      'delivery-port': { type: 'string', default: '9465' },
    },
  },
  async (values, words) => {
    const [verb = '', stream, id] = words;
    if (stream === undefined) {
      process.stdout.write(USAGE);
      return EXIT_INTERNAL;
    }
    const port = String(portOf('--delivery-port', values['delivery-port']));
    const url = `http://127.0.0.1:${port}/v1/streams/${encodeURIComponent(stream)}/dead-letters`;
    const known = VERBS.get(verb);
    if (known !== undefined && !(known.needsId && id === undefined)) return known.run({ url, stream, id });
    process.stderr.write(USAGE);
    return EXIT_INTERNAL;
  },
);

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly body: unknown;
}

async function ask(method: string, url: string): Promise<Answer> {
  const response = await fetch(url, { method, signal: AbortSignal.timeout(ASK_LIMIT_MS) });
  return { ok: response.ok, status: response.status, body: await response.json() };
}

async function send(method: string, { url, stream, id }: Letters, order = ''): Promise<number> {
  return print(await ask(method, id === undefined ? url : `${url}/${id}${order}`), stream);
}

function print(answer: Answer, stream: string): number {
  if (!answer.ok) return refused(answer, stream);
  process.stdout.write(`${JSON.stringify(answer.body, undefined, 2)}\n`);
  return EXIT_OK;
}

/** Prints in one line why a request was refused: a refusal is not an empty list. */
function refused({ body }: Answer, stream: string): number {
  const { code, detail } = body as { readonly code?: string; readonly detail?: string };
  const remedy =
    code === 'HF_API_NOT_FOUND' ? 'holdfast status lists the streams, holdfast dlq list their dead letters' : '';
  const message = [`stream ${stream}: ${detail ?? JSON.stringify(body)}`, ...(remedy === '' ? [] : [remedy])].join(
    '; ',
  );
  process.stderr.write(`${JSON.stringify({ level: 'fatal', code: code ?? 'unknown', message })}\n`);
  return EXIT_INTERNAL;
}

/**
 * Walks over all dead letters, page by page. @returns the exit code: not 0 when the sidecar refused, which was then
 * written.
 */
async function eachPage(
  { url, stream }: Letters,
  work: (letters: readonly LetterView[]) => Promise<void> | void,
): Promise<number> {
  let after = '';
  for (;;) {
    const answer = await ask('GET', `${url}?after=${encodeURIComponent(after)}`);
    if (!answer.ok) return refused(answer, stream);
    const { letters } = answer.body as { readonly letters: readonly LetterView[] };
    const last = letters.at(-1);
    if (last === undefined) return EXIT_OK;
    await work(letters);
    after = last.id;
  }
}

async function list(all: Letters): Promise<number> {
  const rows: string[][] = [['ID', 'EVENT', 'REASON', 'ATTEMPTS', 'DEAD-AT', 'BYTES']];
  const code = await eachPage(all, (letters) => {
    for (const one of letters)
      rows.push([one.id, one.eventId, one.reason, String(one.attempts), one.deadAt, String(one.bytes)]);
  });
  // A refusal is not an empty list.
  if (rows.length > 1) process.stdout.write(columns(rows));
  else if (code === EXIT_OK) process.stdout.write('no dead letters\n');
  return code;
}

function redrive(letters: Letters): Promise<number> {
  return letters.id === 'all' ? redriveAll(letters) : send('POST', letters, '/redrive');
}

async function redriveOne(url: string): Promise<boolean> {
  for (let tries = 0; tries < BUSY_LIMIT; tries += 1) {
    const { ok, status } = await ask('POST', url);
    if (status !== 429) return ok;
    await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
  }
  process.stderr.write('the consumer takes no redriven events; redrive the rest when it does\n');
  return false;
}

async function redriveAll(all: Letters): Promise<number> {
  let count = 0;
  let refused = 0;
  const code = await eachPage(all, async (letters) => {
    for (const one of letters) {
      if (await redriveOne(`${all.url}/${one.id}/redrive`)) count += 1;
      else refused += 1;
    }
  });
  if (code !== EXIT_OK) return code;
  process.stdout.write(`${String(count)} redriven${refused === 0 ? '' : `, ${String(refused)} refused`}\n`);
  return refused === 0 ? EXIT_OK : EXIT_INTERNAL;
}
