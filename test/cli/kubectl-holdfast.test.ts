import { spawnSync } from 'node:child_process';
import { expect } from 'chai';

function plugin(...args: readonly string[]): {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
} {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['src/cli/kubectl-holdfast.ts', ...args], {
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

describe('the kubectl plugin without a cluster', () => {
  it('shows its usage when it is asked for help, also behind a command', () => {
    for (const args of [[], ['help'], ['--help'], ['-h'], ['status', '--help']]) {
      const { code, out, err } = plugin(...args);
      expect([code, err], args.join(' ')).to.deep.equal([0, '']);
      expect(out).to.include('kubectl holdfast COMMAND');
    }
  });

  it('refuses a command it does not know, whatever its name', () => {
    for (const word of ['stat', 'toString', 'constructor']) {
      const { code, err } = plugin(word);
      expect(code, word).to.equal(1);
      expect(err).to.include(`unknown command "${word}"`);
    }
  });
});
