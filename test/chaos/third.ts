import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Seen } from './seen.ts';

const PARTS = 3;

/**
 * Ten rows that every run plays, and what each of them makes happen: together all of SOMETIMES, so that a third of the
 * matrix proves as much about itself as the whole. The run checks each line of it.
 */
export const CORE: ReadonlyMap<string, readonly Seen[]> = new Map<string, readonly Seen[]>([
  ['P1-B', ['class B', 'leader changed under load', 'redelivery']],
  ['P1-C', ['class C', 'leader changed under load', 'gap']],
  ['P4c', ['class A', 'frozen process', 'leader changed under load', 'redelivery']],
  ['P6', ['guard', 'leader changed under load']],
  ['K2c', ['parked']],
  ['S2b', ['Retry-After', 'leader changed under load']],
  ['S16', ['bad frame']],
  ['A3', ['token refused']],
  ['R9c', ['store lost data']],
  ['R10', ['store refused']],
]);

/** What of the rows and of the planted faults a run plays. */
export interface Choice {
  /** In words, for the output of the run. */
  readonly text: string;
  readonly rows: readonly string[];
  readonly plants: readonly string[];
}

export interface Asked {
  /** Ids, comma-separated: these and no others. */
  readonly only?: string | undefined;
  /** 'commit': the third that the commit chooses; '0', '1' or '2': that one; undefined: all. */
  readonly third?: string | undefined;
  /** '1': all, whatever `third` says. */
  readonly all?: string | undefined;
}

/** Which third a commit (or a date, where no commit is known) chooses: 0, 1 or 2. */
export function thirdOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0) % PARTS;
}

function every(ids: readonly string[], third: number): readonly string[] {
  return ids.filter((_, at) => at % PARTS === third);
}

/**
 * Chooses. Of the rows outside the core each third one, beginning at the third's number, and of the planted faults
 * likewise: the thirds together are all, so every row is played by one commit in three on average.
 * @param chooser the commit or the date. @throws Error for a third that is none, and for ids that name nothing.
 */
export function choose(
  asked: Asked,
  chooser: { readonly kind: 'commit' | 'date'; readonly name: string },
  known: { readonly rows: readonly string[]; readonly plants: readonly string[] },
): Choice {
  if (asked.only !== undefined) {
    const ids = asked.only.split(',');
    const unknown = ids.filter((id) => !known.rows.includes(id) && !known.plants.includes(id));
    if (unknown.length > 0)
      throw new Error(
        `HOLDFAST_CHAOS_ONLY: ${unknown.join(', ')} is no row and no planted fault; docs/chaos.md has them`,
      );
    const of = (all: readonly string[]): readonly string[] => all.filter((id) => ids.includes(id));
    return { text: `only ${ids.join(', ')}`, rows: of(known.rows), plants: of(known.plants) };
  }
  if (asked.third === undefined || asked.all === '1') return { text: 'all', ...known };
  const third = asked.third === 'commit' ? thirdOf(chooser.name) : Number(asked.third);
  if (!Number.isInteger(third) || third < 0 || third >= PARTS)
    throw new Error(`HOLDFAST_CHAOS_THIRD is "${asked.third}": it must be commit, 0, 1 or 2`);
  const others = every(
    known.rows.filter((id) => !CORE.has(id)),
    third,
  );
  const rows = known.rows.filter((id) => CORE.has(id) || others.includes(id));
  const by = asked.third === 'commit' ? `chosen by ${chooser.kind} ${chooser.name}` : 'asked for';
  return { text: `third ${String(third)} of 0, 1 and 2, ${by}`, rows, plants: every(known.plants, third) };
}

/** The commit that is checked out, or today's date (UTC) where there is none: in an unpacked archive. */
function chooserNow(): { readonly kind: 'commit' | 'date'; readonly name: string } {
  try {
    const name = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return { kind: 'commit', name: name.trim() };
  } catch {
    return { kind: 'date', name: new Date().toISOString().slice(0, 10) };
  }
}

/** Chooses by HOLDFAST_CHAOS_ONLY, HOLDFAST_CHAOS_THIRD and HOLDFAST_CHAOS_ALL. */
export function chooseNow(known: { readonly rows: readonly string[]; readonly plants: readonly string[] }): Choice {
  const { env } = process;
  return choose(
    { only: env['HOLDFAST_CHAOS_ONLY'], third: env['HOLDFAST_CHAOS_THIRD'], all: env['HOLDFAST_CHAOS_ALL'] },
    chooserNow(),
    known,
  );
}
