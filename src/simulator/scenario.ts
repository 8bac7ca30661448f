import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Action } from './actions.ts';
import type { Simulator } from './simulator.ts';

/** One line of a scenario: seconds after the start, and the action. */
export interface ScenarioStep {
  readonly at: number;
  readonly action: Action;
}

/** Reads a scenario file: a YAML list of {at: seconds, do: …}. @throws Error naming the entry that is wrong. */
export function loadScenario(file: string): readonly ScenarioStep[] {
  const list: unknown = parse(readFileSync(file, 'utf8'));
  if (!Array.isArray(list)) throw new Error(`${file}: a scenario is a list of {at, do, …}`);
  return list.map((entry: unknown, index) => {
    if (
      typeof entry !== 'object' ||
      entry === null ||
      !('at' in entry) ||
      !('do' in entry) ||
      typeof entry.at !== 'number'
    )
      throw new Error(`${file}: entry ${String(index + 1)} needs "at" (seconds) and "do"`);
    const { at, ...action } = entry;
    return { at, action: action as unknown as Action };
  });
}

/** Plays a scenario against a simulator. @returns a function that stops it. */
export function play(sim: Simulator, steps: readonly ScenarioStep[], onStep: (step: ScenarioStep) => void): () => void {
  const timers = steps.map((step) =>
    setTimeout(() => {
      sim.do(step.action);
      onStep(step);
    }, step.at * 1000),
  );
  return () => {
    for (const timer of timers) clearTimeout(timer);
  };
}
