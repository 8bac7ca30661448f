import {
  idleSession,
  stepSession,
  type SessionEffect,
  type SessionInput,
  type SessionPolicy,
  type SessionState,
} from '../../core/session/session.ts';

/** Feeds one session machine. Inputs that arise while effects are performed wait their turn. */
export class SessionLoop {
  readonly #policy: SessionPolicy;
  readonly #nowMs: () => number;
  readonly #perform: (effect: SessionEffect) => void;
  readonly #after: () => void;
  readonly #mailbox: SessionInput[] = [];
  #stepping = false;
  state: SessionState = idleSession;

  constructor(
    policy: SessionPolicy,
    nowMs: () => number,
    act: { readonly perform: (effect: SessionEffect) => void; readonly after: () => void },
  ) {
    this.#policy = policy;
    this.#nowMs = nowMs;
    this.#perform = act.perform;
    this.#after = act.after;
  }

  dispatch(input: SessionInput): void {
    this.#mailbox.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#mailbox.shift(); next !== undefined; next = this.#mailbox.shift()) {
        const step = stepSession(this.#policy, this.state, next, this.#nowMs());
        this.state = step.state;
        for (const effect of step.effects) this.#perform(effect);
      }
    } finally {
      this.#stepping = false;
    }
    this.#after();
  }
}
