import type { StreamPlan } from '../../config/plan.ts';
import type { Deps } from '../runtime/environment.ts';
import type { Intake } from './intake.ts';
import type { GapData } from './intake-note.ts';

export interface GapSnapshot {
  readonly deps: Deps;
  readonly intake: Intake;
  /** Asks (GET) a REST path of the platform; undefined unless the answer was 200. */
  readonly rest: (path: string) => Promise<string | undefined>;
}

/**
 * Puts in what follows an announced gap: the snapshot of the platform's REST API where one is configured; else, where
 * the consumer's picture is certainly out of date, the request to resynchronise. A snapshot gives state, not the lost
 * transitions.
 */
export function gapSnapshot(plan: StreamPlan, gap: GapData, { deps, intake, rest }: GapSnapshot): void {
  const { from, to, cause } = gap;
  const resync = (): void => {
    intake.pushControl('resync.required', { stream: plan.name, from, to, cause });
  };
  if (plan.snapshotPath === undefined) {
    if (cause === 'retention_exceeded' || cause === 'sequence_restarted') resync();
    return;
  }
  rest(plan.snapshotPath)
    .then((body) => {
      if (body === undefined) throw new Error('the platform gave no snapshot');
      JSON.parse(body); // it is placed as it came, so it must be JSON
      const head = JSON.stringify({ stream: plan.name, from, to, mode: 'snapshot' });
      intake.pushControl('gap.filled', `${head.slice(0, -1)},"snapshot":${body}}`);
      deps.audit.write('gap.filled', plan.client, { stream: plan.name, from, to, mode: 'snapshot' });
    })
    .catch((error: unknown) => {
      deps.log.warn({ err: error, stream: plan.name }, 'no snapshot for the gap');
      resync();
    });
}
