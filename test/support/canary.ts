import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { SIM_CLIENT } from '../../src/simulator/token-office.ts';

/**
 * Everything the program wrote in a test (log, audit, status, metrics, stderr of child processes) is searched for
 * secrets by value: the known ones, and anything shaped like a token of the simulator. No window of 12 characters may
 * appear.
 */
const TOKEN_SHAPE = /sim-(access|refresh)-\d+-[0-9a-f]{8}/g;
const WINDOW = 12;

export function expectNoSecret(output: string, where: string, more: readonly string[] = []): void {
  expect(secretsIn(output, more), `secrets in ${where}`).to.equal(0);
  keep(output, where);
}

/** How many tokens, and pieces of known secrets, stand in an output. */
export function secretsIn(output: string, more: readonly string[] = []): number {
  const spellings = [SIM_CLIENT.clientSecret, SIM_CLIENT.refreshToken, ...more].flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64'),
  ]);
  const pieces = spellings.flatMap((spelling) =>
    Array.from({ length: Math.max(0, spelling.length - WINDOW + 1) }, (_, at) => spelling.slice(at, at + WINDOW)),
  );
  return [...output.matchAll(TOKEN_SHAPE)].length + pieces.filter((piece) => output.includes(piece)).length;
}

/** With HOLDFAST_KEEP_OUTPUT=DIR the searched output is kept, to be searched again over the whole run. */
export function keep(output: string, where: string): void {
  const directory = process.env['HOLDFAST_KEEP_OUTPUT'];
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  appendFileSync(join(directory, `${where.replace(/[^a-z0-9]+/gi, '-').slice(0, 80)}.txt`), output);
}
