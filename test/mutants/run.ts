import { MUTANTS } from './all.ts';
import { playAll } from './play.ts';

/**
 * npm run mutants: each small wrong change of the list must make its tests fail. One line for each, exit code 1 when
 * one survives or does not fit. HOLDFAST_MUTANTS_ONLY=id,id judges some.
 */
const SLOW_MS = 3000;
const only = process.env['HOLDFAST_MUTANTS_ONLY']?.split(',');
const chosen = MUTANTS.filter(({ id }) => only?.includes(id) !== false);
const unknown = only?.filter((id) => !MUTANTS.some((mutant) => mutant.id === id)) ?? [];
if (unknown.length > 0) {
  process.stderr.write(`HOLDFAST_MUTANTS_ONLY: no mutant is called ${unknown.join(', ')}; test/mutants has the list\n`);
  process.exit(2);
}
const startedAt = performance.now();
const totals = await playAll(chosen, ({ id, say }, { kind, text, ms }) => {
  const slow = ms > SLOW_MS ? ' SLOW' : '';
  const detail = kind === 'killed' ? `by "${text}"` : kind === 'survived' ? `SURVIVED: ${say}` : `MISFIT: ${text}`;
  process.stdout.write(`${kind.padEnd(8)} ${String(Math.round(ms)).padStart(5)} ms${slow}  ${id}: ${detail}\n`);
});
const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
const misfits = totals.misfits === 0 ? '' : `, ${String(totals.misfits)} do not fit`;
process.stdout.write(`${String(totals.killed)} killed, ${String(totals.survived)} survived${misfits} (${seconds} s)\n`);
process.exit(chosen.length > 0 && totals.killed === chosen.length ? 0 : 1);
