import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

const MODEL = new URL('./lease.pml', import.meta.url);
/**
 * All searches together end within a minute; a single one takes at most half of it on a machine that does nothing else.
 */
const LIMIT_MS = 110_000;

/** The protocol as it is, within bounds that can be searched whole. */
const MUST_PASS: readonly (readonly [string, readonly string[]])[] = [
  ['renewals, expiry, releases and checkpoints', ['-DMAXT=5', '-DMAXTOK=3', '-DSMAX=1']],
  [
    'a store that is wiped: quarantine, epochs of the clock, a lease taken back within its own time',
    ['-DFLUSH', '-DGUARD', '-DTIMEEPOCH', '-DREASSERT', '-DRE_STRICT', '-DMAXT=4', '-DMAXTOK=3', '-DSMAX=0'],
  ],
];

/** Variants of the protocol with one part left out: the model must find what that part is for. */
const MUST_FAIL: readonly (readonly [string, RegExp, readonly string[]])[] = [
  ['the deadline counted from the reply: two leaders', /valid|L\[0\]/, ['-DREPLYTIME']],
  [
    'a store that is wiped, without quarantine: two leaders',
    /valid|L\[0\]/,
    ['-DFLUSH', '-DTIMEEPOCH', '-DNOEPOCHCHK', '-DMAXT=4', '-DSMAX=0'],
  ],
  [
    'a store that is wiped, epochs from a counter: an epoch twice',
    /e>maxE/,
    ['-DFLUSH', '-DGUARD', '-DMAXT=5', '-DSMAX=0'],
  ],
  ['checkpoints without an epoch: one goes back', /s>=maxCk/, ['-DNOFENCE']],
  [
    'a forgotten lease taken back without a bound: two leaders',
    /valid|L\[0\]/,
    ['-DFLUSH', '-DGUARD', '-DTIMEEPOCH', '-DREASSERT', '-DRE_LOOSE', '-DMAXT=4', '-DSMAX=0'],
  ],
];

/** @returns what the search says. `breadth`: first what is near the root. */
function search(switches: readonly string[], breadth: boolean): string {
  const cwd = mkdtempSync(join(tmpdir(), 'hf-model-'));
  const run = (command: string, args: readonly string[]): string => {
    const { error, status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: LIMIT_MS });
    if (error !== undefined || status !== 0)
      throw new Error(
        `${command}: ${error?.message ?? `exit code ${String(status)}`} ${stderr}; scripts/ensure-spin.sh ` +
          'installs spin and gcc',
      );
    return stdout;
  };
  try {
    cpSync(MODEL, join(cwd, 'lease.pml'));
    run('spin', ['-a', ...switches, 'lease.pml']);
    const options = ['-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-DMEMLIM=2048', ...(breadth ? ['-DBFS'] : [])];
    run('gcc', [...options, '-o', 'pan', 'pan.c']);
    return run('./pan', breadth ? [] : ['-m100000']);
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

describe('the Promela model of the lease', function () {
  this.timeout(LIMIT_MS + 10_000);

  for (const [name, switches] of MUST_PASS) {
    it(`must pass: ${name}`, () => {
      const said = search(switches, false);
      expect(said).to.match(/errors: 0\n/);
      // Not a part of it only.
      expect(said).to.not.match(/search depth too small|Search not completed|out of memory|memory limit/i);
    });
  }

  for (const [name, assertion, switches] of MUST_FAIL) {
    it(`must fail: ${name}`, () => {
      // Epochs that repeat are found near the root, among very many states.
      const said = search(switches, switches.includes('-DFLUSH') && !switches.includes('-DRE_LOOSE'));
      const violated = /assertion violated (.*)/.exec(said)?.[1] ?? said;
      expect(violated).to.match(assertion);
    });
  }
});
