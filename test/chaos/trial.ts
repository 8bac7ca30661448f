import type { HistoryLine, RunFacts } from './history.ts';
import { MadeEvents } from './made-events.ts';

/** A rule of docs/chaos.md that a history breaks, with the line that shows it. */
export interface Violation {
  readonly rule: string;
  readonly text: string;
  readonly at: HistoryLine | undefined;
}

/** Each rule names so many violations at most. */
const NAMED_LIMIT = 5;

/** A history in the order of time before its rules, and what they found. */
export class Trial {
  readonly lines: readonly HistoryLine[];
  readonly facts: RunFacts;
  readonly made: MadeEvents;
  readonly figures: Record<string, number> = {};
  readonly violations: Violation[] = [];

  constructor(lines: readonly HistoryLine[], facts: RunFacts) {
    this.lines = lines;
    this.facts = facts;
    this.made = new MadeEvents(lines, facts);
  }

  say(rule: string, text: string, at: HistoryLine | undefined): void {
    if (this.violations.filter((one) => one.rule === rule).length < NAMED_LIMIT)
      this.violations.push({ rule, text, at });
  }
}
