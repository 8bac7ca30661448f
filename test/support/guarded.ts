import { Watchdog } from '../../src/sidecar/leadership/watchdog.ts';

/**
 * A process whose lease ends soon: `BLOCK` in its arguments keeps its main thread busy from the start, SIGCONT keeps
 * it busy for a moment.
 */
const DEADLINE_MS = 150;
const CATCHING_UP_MS = 300;
const STUCK_MS = 5000;

function busy(ms: number): void {
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt);
}

const guard = new Watchdog(() => performance.now());
process.on('SIGCONT', () => {
  busy(CATCHING_UP_MS);
  process.stdout.write('caught up\n');
  void guard.close().then(() => {
    process.exit(0);
  });
});
setInterval(() => undefined, STUCK_MS);
guard.watch(performance.now() + DEADLINE_MS);
process.stdout.write('watched\n', () => {
  if (process.argv[2] === 'BLOCK') busy(STUCK_MS);
});
