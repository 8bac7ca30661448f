import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendJson, sendProblem } from './problem-json.ts';

/** Seconds after which a redrive that was refused may be asked for again. */
const BUSY_SECONDS = 1;

/** One dead letter as the API shows it. */
export interface LetterView {
  readonly id: string;
  readonly eventId: string;
  readonly reason: string;
  readonly attempts: number;
  readonly deadAt: string;
  readonly bytes: number;
}

/** The services that the API gets from the store and the stream. */
export interface LetterPort {
  list(after: string | undefined, limit: number): Promise<readonly LetterView[]>;
  show(id: string): Promise<(LetterView & { readonly attributes: unknown; readonly data: string }) | undefined>;
  /**
   * Delivers it again, same event id; it is removed once it is settled. `busy`: enough redriven events wait for the
   * consumer already.
   */
  redrive(id: string): Promise<'redriven' | 'unknown' | 'busy'>;
  remove(id: string): Promise<boolean>;
  purge(): Promise<number>;
}

/** Dead letters that one answer lists at most, and where the request names no `limit`. */
const PAGE = 100;

/** Serves GET, POST …/redrive and DELETE on /v1/streams/{stream}/dead-letters[/{id}]. */
export class DeadLetterRoutes {
  readonly #port: LetterPort;

  constructor(port: LetterPort) {
    this.#port = port;
  }

  async handle(request: IncomingMessage, response: ServerResponse, parts: readonly string[], url: URL): Promise<void> {
    const [id, verb] = parts;
    if (id === undefined) return this.#collection(request, response, url);
    if (request.method === 'POST' && verb === 'redrive') return redriven(response, await this.#port.redrive(id));
    if (verb !== undefined) return sendProblem(response, 404, 'HF_API_NOT_FOUND', 'use POST …/redrive');
    if (request.method === 'DELETE') return answered(response, await this.#port.remove(id));
    if (request.method !== 'GET')
      return sendProblem(response, 405, 'HF_API_METHOD', 'use GET, DELETE, or POST …/redrive');
    const letter = await this.#port.show(id);
    return letter === undefined
      ? sendProblem(response, 404, 'HF_API_NOT_FOUND', 'there is no such dead letter')
      : sendJson(response, 200, letter);
  }

  async #collection(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (request.method === 'DELETE') return sendJson(response, 200, { purged: await this.#port.purge() });
    if (request.method !== 'GET') return sendProblem(response, 405, 'HF_API_METHOD', 'use GET or DELETE');
    const limit = Math.min(PAGE, Math.max(1, Math.floor(Number(url.searchParams.get('limit') ?? PAGE)) || PAGE));
    return sendJson(response, 200, {
      letters: await this.#port.list(url.searchParams.get('after') ?? undefined, limit),
    });
  }
}

function redriven(response: ServerResponse, outcome: 'redriven' | 'unknown' | 'busy'): void {
  if (outcome !== 'busy') return answered(response, outcome === 'redriven');
  response.setHeader('retry-after', String(BUSY_SECONDS));
  sendProblem(response, 429, 'HF_API_LIMIT', 'enough redriven events wait for the consumer; ask again in a second');
}

function answered(response: ServerResponse, done: boolean): void {
  if (done) sendJson(response, 200, { ok: true });
  else sendProblem(response, 404, 'HF_API_NOT_FOUND', 'there is no such dead letter');
}
