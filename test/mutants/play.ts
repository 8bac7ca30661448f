import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { misfits } from '../support/edits.ts';
import type { Mutant } from './mutant.ts';

export interface Outcome {
  /**
   * misfit: it says nothing about the tests (the edit does not fit, the tests did not run, or are not green without
   * it).
   */
  readonly kind: 'killed' | 'survived' | 'misfit';
  /** killed: the test that failed. misfit: why. */
  readonly text: string;
  /** What the tests took, without the start of the process. */
  readonly ms: number;
}

/** The tests a mutant is judged by. */
export type Trial = Pick<Mutant, 'tests' | 'only' | 'seed'>;

/** A mutant is never judged by a hang: a test that ends is asked for. */
const GIVE_UP_MS = 60_000;
const DEFAULT_SEED = 1;
const HOOK = new URL('./hook.ts', import.meta.url).href;
const MOCHA = 'node_modules/mocha/bin/mocha.js';

interface Report {
  readonly stats: { readonly tests: number; readonly passes: number; readonly duration: number };
  readonly failures: readonly { readonly title: string; readonly fullTitle: string }[];
}

interface Ran {
  readonly report: Report | undefined;
  readonly stderr: string;
}

/** Runs the tests of one trial with the edits made in the loaded source. Never rejects. */
async function runTests(trial: Trial, edits: Mutant['edits']): Promise<Ran> {
  const directory = mkdtempSync(join(tmpdir(), 'hf-mutant-'));
  const output = join(directory, 'report.json');
  const { HOLDFAST_KEEP_OUTPUT: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [
      `--import=${HOOK}`,
      MOCHA,
      '--no-parallel',
      '--bail',
      '--exit',
      '--reporter=json',
      `--reporter-option=output=${output}`,
      ...(trial.only === undefined ? [] : [`--fgrep=${trial.only}`]),
      ...trial.tests,
    ],
    {
      env: { ...env, HOLDFAST_TEST_EDITS: JSON.stringify(edits), HOLDFAST_SEED: String(trial.seed ?? DEFAULT_SEED) },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: GIVE_UP_MS,
      killSignal: 'SIGKILL',
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await new Promise((resolve) => child.once('close', resolve));
  const report = readReport(output);
  rmSync(directory, { recursive: true });
  return { report, stderr };
}

/** Returns undefined when mocha wrote none: the files could not be loaded, or it never ended. */
function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}

/** Returns why the tests are not green without any mutant; undefined when they are. */
export async function notGreen(trial: Trial): Promise<string | undefined> {
  const { report, stderr } = await runTests(trial, []);
  if (report === undefined) return `the tests do not run: ${lastLine(stderr)}`;
  if (report.stats.passes === 0) return 'no test has that title';
  return report.failures.length === 0 ? undefined : `red without the mutant: ${report.failures[0]?.fullTitle ?? ''}`;
}

/** Judges one mutant by its own tests. */
export async function play(mutant: Mutant): Promise<Outcome> {
  const [stale] = mutant.edits.length === 0 ? ['it has no edit'] : misfits(mutant.edits);
  if (stale !== undefined) return { kind: 'misfit', text: stale, ms: 0 };
  const { report, stderr } = await runTests(mutant, mutant.edits);
  const ms = report?.stats.duration ?? 0;
  const misfit = (text: string): Outcome => ({ kind: 'misfit', text, ms });
  const unloaded = mutant.edits.find(({ file }) => !stderr.includes(`{"mutated":"${file}"}`));
  if (unloaded !== undefined) return misfit(`${unloaded.file} was not loaded by ${mutant.tests.join(' ')}`);
  if (report === undefined) return misfit(`the tests did not run: ${lastLine(stderr)}`);
  const [failure] = report.failures;
  if (failure === undefined)
    return report.stats.tests === 0 ? misfit('no test has that title') : { kind: 'survived', text: '', ms };
  // A server that did not start says nothing about the program.
  if (/^"(before|after) /.test(failure.title)) return misfit(`a hook failed: ${failure.fullTitle}`);
  return { kind: 'killed', text: failure.fullTitle, ms };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

export interface Totals {
  readonly killed: number;
  readonly survived: number;
  readonly misfits: number;
}

/** Work in at most `width` places at a time. */
async function inPlaces<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const place = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, place));
}

/**
 * Judges all mutants, two at a time: first that each one's tests are green without it, then with it. `tell` gets one
 * line for each.
 */
export async function playAll(
  mutants: readonly Mutant[],
  tell: (mutant: Mutant, outcome: Outcome) => void,
  width = 2,
): Promise<Totals> {
  const keyOf = ({ tests, only, seed }: Trial): string => JSON.stringify([tests, only, seed]);
  const trials = new Map(mutants.map((mutant) => [keyOf(mutant), mutant]));
  const red = new Map<string, string | undefined>();
  await inPlaces(width, [...trials], async ([key, trial]) => {
    red.set(key, await notGreen(trial));
  });
  const totals = { killed: 0, survived: 0, misfits: 0 };
  await inPlaces(width, mutants, async (mutant) => {
    const why = red.get(keyOf(mutant));
    const outcome: Outcome = why === undefined ? await play(mutant) : { kind: 'misfit', text: why, ms: 0 };
    if (outcome.kind === 'killed') totals.killed += 1;
    else if (outcome.kind === 'survived') totals.survived += 1;
    else totals.misfits += 1;
    tell(mutant, outcome);
  });
  return totals;
}
