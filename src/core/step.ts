/**
 * All decisions of Holdfast, as pure machines: an input goes in, a new state and effects come out. core never does I/O,
 * has no clock and no chance of its own (the caller brings both), and imports nothing but core. Its folders are the
 * life of a connection (session), leadership (lease), connection attempts (dialing) and events (events); src/sidecar
 * drives them and performs their effects.
 */

/** Answer of a machine: its next state, and the effects that the driver must now perform, in this order. */
export interface Step<State, Effect> {
  readonly state: State;
  readonly effects: readonly Effect[];
}

/**
 * Ends an exhaustive switch: a new member of the union stops compiling here.
 * @throws Error only when a value came from outside the type system (our bug).
 */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
