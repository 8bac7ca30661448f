import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';

const GUARDED = fileURLToPath(new URL('../../support/guarded.ts', import.meta.url));
/** Past the deadline, and longer than a busy machine keeps a thread waiting. */
const STOPPED_MS = 800;

function start(how: string): {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown[]>;
  output: () => string;
} {
  const child = spawn(process.execPath, [GUARDED, how], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      output += piece.toString();
    });
  return { child, ended: once(child, 'close'), output: () => output };
}

describe('the guard of the lease', function () {
  this.timeout(10_000);

  it('ends a process whose main thread is stuck past the deadline, and says so', async () => {
    const { ended, output } = start('BLOCK');
    const [, signal] = await ended;
    expect(signal).to.equal('SIGKILL');
    expect(output()).to.include('lease_watchdog');
  });

  it('lets a process that was stopped past the deadline catch up', async () => {
    const { child, ended, output } = start('REST');
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    child.kill('SIGSTOP');
    await pause(STOPPED_MS);
    child.kill('SIGCONT');
    expect(await ended).to.deep.equal([0, null]);
    expect(output()).to.include('caught up');
  });
});
