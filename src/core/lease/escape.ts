import type { Millis } from '../units.ts';

/** Counts how often a leader that cannot do its work has looked for another one, and when it may look again. */
export interface EscapeState {
  readonly tries: number;
  readonly nextMs: Millis;
}

/** Distance of the first two tries; each further one is twice as far, up to ESCAPE_MAX_MS. */
export const ESCAPE_AFTER_MS: Millis = 60_000;
/** Bounds the distance of two tries: a leader that cannot do its work still looks for another one every hour. */
export const ESCAPE_MAX_MS: Millis = 3_600_000;

export const noEscape: EscapeState = { tries: 0, nextMs: -Infinity };

/**
 * Returns whether another leader is to be looked for now. A leader that stays fit until the next try was due begins
 * anew.
 */
export function stepEscape(
  state: EscapeState,
  unfit: boolean,
  nowMs: Millis,
): { readonly state: EscapeState; readonly due: boolean } {
  if (nowMs < state.nextMs) return { state, due: false };
  if (!unfit) return { state: noEscape, due: false };
  const afterMs = Math.min(ESCAPE_MAX_MS, ESCAPE_AFTER_MS * 2 ** state.tries);
  return { state: { tries: state.tries + 1, nextMs: nowMs + afterMs }, due: true };
}
