import { HoldfastError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** Redis names its refusals in capitals: NOPERM, READONLY, OOM; some it does not name. */
const WORD = /^([A-Z]{3,20}|ReplyError)$/;

/**
 * Says once, as a warning, that the store answers and refuses what the streams can do without: an ACL too narrow, a key
 * that holds something else. Each refusal of another kind, or after a success, is said again. A store that does not
 * answer is told elsewhere; here it is a line at debug.
 */
export class StoreRefusals {
  readonly #log: Logger;
  /** By what was tried: as many as there are calls of `note`. */
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

  /** It was carried out. */
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
