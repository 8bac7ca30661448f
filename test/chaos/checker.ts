import { conduct } from './conduct.ts';
import { judgeConnections } from './connection-rules.ts';
import { judgeDelivery } from './delivery-rules.ts';
import { formProblems } from './history-form.ts';
import type { HistoryLine, RunFacts } from './history.ts';
import { judgeLease } from './lease-rules.ts';
import { seenIn, type Seen } from './seen.ts';
import { Trial, type Violation } from './trial.ts';

export interface Judgement {
  readonly verdict: 'PASS' | 'FAIL' | 'INVALID';
  readonly violations: readonly Violation[];
  readonly figures: Readonly<Record<string, number>>;
  readonly seen: ReadonlySet<Seen>;
}

/**
 * Judges a history by what the platform, the consumer, the nemesis, the observer and the process starter wrote; nothing
 * the system under test says of itself counts. Rules and records are those of docs/chaos.md.
 */
export function judge(lines: readonly HistoryLine[], facts: RunFacts): Judgement {
  const invalid = formProblems(lines);
  if (invalid.length > 0) return { verdict: 'INVALID', violations: invalid, figures: {}, seen: new Set() };
  const inOrder = [...lines].sort((a, b) => (BigInt(a.t) < BigInt(b.t) ? -1 : BigInt(a.t) > BigInt(b.t) ? 1 : 0));
  const trial = new Trial(inOrder, facts);
  judgeDelivery(trial);
  judgeLease(trial);
  judgeConnections(trial);
  conduct(inOrder, trial, (rule, text, at) => {
    trial.say(rule, text, at);
  });
  const { violations, figures } = trial;
  return {
    verdict: violations.length === 0 ? 'PASS' : 'FAIL',
    violations,
    figures,
    seen: seenIn(inOrder, facts.streamClass),
  };
}
