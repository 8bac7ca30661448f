import { HoldfastError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** Redis names its refusals in capitals: NOPERM, READONLY, OOM; some it does not name. */
const WORD = /^([A-Z]{3,20}|ReplyError)$/;

/**
 * Logs one warning per kind when the store answers but rejects a call that the streams can do without: an ACL too
 * narrow, a key of another type. A refusal of another kind, or after a success, is logged again. A store that does not
 * answer is reported elsewhere; here it is a line at debug.
 */
export class StoreRefusals {
  readonly #log: Logger;
  /** The last refusal of each call that may be refused: as many as there are calls of `note`. */
  readonly #said = new Map<string, string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  note(what: string, error: unknown): void {
    const answer = answerIn(error);
    if (answer === undefined || this.#said.get(what) === answer) return this.#log.debug({ err: error }, what);
    this.#said.set(what, answer);
    this.#log.warn({ err: error, answer }, what);
  }

  /** Notes that the call was carried out. */
  over(what: string): void {
    this.#said.delete(what);
  }
}

function answerIn(error: unknown): string | undefined {
  if (!(error instanceof HoldfastError)) return undefined;
  if (error.code === 'HF_STORE_CORRUPT') return error.code;
  const { answer } = error.details;
  return typeof answer === 'string' && WORD.test(answer) ? answer : undefined;
}
