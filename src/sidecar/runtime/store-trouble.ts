import { HoldfastError } from '../../core/errors.ts';

/** The cause's own words, at most. */
const CAUSE_LIMIT_CHARS = 300;

/** Purpose of a call to the store. */
export type StoreUse = 'lease' | 'streams' | `checkpoint ${string}` | `dead letters ${string}`;

/**
 * Keeps what the store refuses, by use: a checkpoint that cannot be written is trouble although the lease is renewed.
 * Each use ends its own trouble. The number of uses is bounded by the streams.
 */
export class StoreTrouble {
  readonly #open = new Map<StoreUse, string>();

  note(use: StoreUse, error: unknown): void {
    this.#open.set(use, wordsOf(error));
  }

  /** Ends a use's trouble: the store carried the call out, or it is not called any more. */
  over(use: StoreUse): void {
    this.#open.delete(use);
  }

  /** The trouble in words, with the uses that have it; undefined: there is none. */
  get text(): string | undefined {
    const first = [...this.#open.values()][0];
    if (first === undefined) return undefined;
    const uses = [...this.#open].filter(([, words]) => words === first).map(([use]) => use);
    return `${first} (${uses.slice(0, 3).join(', ')}${uses.length > 3 ? `, ${String(uses.length - 3)} more` : ''})`;
  }
}

/** Returns an error of a store in words: the message, the cause's own words, the remedy. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof HoldfastError)) return `internal: ${error instanceof Error ? error.message : String(error)}`;
  const cause = error.cause instanceof Error ? error.cause.message.slice(0, CAUSE_LIMIT_CHARS) : '';
  const { remedy } = error.details;
  return [
    error.message,
    ...(cause === '' || error.message.includes(cause) ? [] : [`: ${cause}`]),
    ...(typeof remedy === 'string' ? [`; ${remedy}`] : []),
  ].join('');
}
