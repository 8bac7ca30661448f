/** What a machine answers: its next state, and what the driver must now do, in this order. */
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
