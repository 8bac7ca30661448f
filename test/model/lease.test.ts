import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

const MODEL = new URL('./lease.pml', import.meta.url);

/** Variants of the protocol with one part left out: the model must find what that part is for. */
const MUST_FAIL: readonly (readonly [string, readonly string[]])[] = [
  ['the deadline counted from the reply: two leaders', ['-DREPLYTIME']],
  [
    'a store that is wiped, without quarantine: two leaders',
    ['-DFLUSH', '-DTIMEEPOCH', '-DNOEPOCHCHK', '-DMAXT=4', '-DSMAX=0'],
  ],
  ['a store that is wiped, epochs from a counter: an epoch twice', ['-DFLUSH', '-DGUARD', '-DMAXT=5', '-DSMAX=0']],
  ['checkpoints without an epoch: one goes back', ['-DNOFENCE']],
  [
    'a forgotten lease taken back without a bound: two leaders',
    ['-DFLUSH', '-DGUARD', '-DTIMEEPOCH', '-DREASSERT', '-DRE_LOOSE', '-DMAXT=5', '-DSMAX=0'],
  ],
];

describe('the Promela model of the lease', function () {
  this.timeout(120_000);
  const installed = ['spin', 'gcc'].every((name) => spawnSync(name, ['--version']).error === undefined);

  for (const [name, switches] of MUST_FAIL) {
    it(`must fail: ${name}`, function () {
      if (!installed) {
        process.stderr.write('SKIPPED: spin or gcc is not installed, the model is not checked\n');
        return this.skip();
      }
      // Wiped stores are found near the root, among very many states: breadth first.
      const breadth = switches.includes('-DFLUSH');
      const directory = mkdtempSync(join(tmpdir(), 'hf-model-'));
      cpSync(MODEL, join(directory, 'lease.pml'));
      expect(spawnSync('spin', ['-a', ...switches, 'lease.pml'], { cwd: directory }).status, 'spin').to.equal(0);
      expect(
        spawnSync(
          'gcc',
          ['-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-DMEMLIM=2048', ...(breadth ? ['-DBFS'] : []), '-o', 'pan', 'pan.c'],
          { cwd: directory },
        ).status,
        'gcc',
      ).to.equal(0);
      const run = spawnSync('./pan', breadth ? [] : ['-m100000'], {
        cwd: directory,
        encoding: 'utf8',
        timeout: 110_000,
      });
      expect(run.stdout, name).to.match(/assertion violated/);
    });
  }
});
