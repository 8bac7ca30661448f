import type { Reason } from './classify-failure.ts';
import type { SessionState } from './session-model.ts';
import type { Millis } from '../units.ts';

export interface NextAttempt {
  /** Reason why no link is open; undefined: none was lost or refused yet. */
  readonly reason: Reason | undefined;
  /**
   * When the session asks for its next dial; undefined: it has asked and waits for the gate, it dials now, or it is
   * halted.
   */
  readonly atMs: Millis | undefined;
}

/** Returns the wait of a session that is to run and has no open link; undefined for every other session. */
export function nextAttempt({ goal, phase, main, downFor }: SessionState): NextAttempt | undefined {
  if (goal !== 'run' || main?.phase === 'open') return undefined;
  return {
    reason: phase.kind === 'backoff' || phase.kind === 'halted' ? phase.reason : downFor,
    atMs: phase.kind === 'backoff' ? phase.untilMs : undefined,
  };
}
