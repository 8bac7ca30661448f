import {
  idleSession,
  stepSession,
  type SessionEffect,
  type SessionInput,
  type SessionPolicy,
  type SessionState,
} from '../../core/session/session.ts';

/** Performs what a session decides. The stream's connection implements it. */
export interface SessionPerformer {
  perform(effect: SessionEffect): void;
}

/** Feeds one session machine. Inputs that arise while effects are performed wait their turn. */
export class SessionLoop {
  readonly #policy: SessionPolicy;
  readonly #nowMs: () => number;
  readonly #performer: SessionPerformer;
  readonly #wake: () => void;
  readonly #mailbox: SessionInput[] = [];
  #stepping = false;
  state: SessionState = idleSession;

  constructor(policy: SessionPolicy, nowMs: () => number, performer: SessionPerformer, wake: () => void) {
    this.#policy = policy;
    this.#nowMs = nowMs;
    this.#performer = performer;
    this.#wake = wake;
  }

  /**
   * Feeds the machine from outside the stream's turn: the stream then takes a turn and looks at the deadlines again.
   */
  dispatch(input: SessionInput): void {
    this.feed(input);
    this.#wake();
  }

  /** Feeds the machine within the stream's turn. */
  feed(input: SessionInput): void {
    this.#mailbox.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#mailbox.shift(); next !== undefined; next = this.#mailbox.shift()) {
        const step = stepSession(this.#policy, this.state, next, this.#nowMs());
        this.state = step.state;
        for (const effect of step.effects) this.#performer.perform(effect);
      }
    } finally {
      this.#stepping = false;
    }
  }
}
