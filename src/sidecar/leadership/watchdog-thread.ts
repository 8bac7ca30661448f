import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { ANSWERED, CHANGED, DEADLINE_AT } from './watchdog.ts';

/**
 * The main thread must answer within so many looks, each of them time in which this thread ran: a stopped process does
 * not count.
 */
const LOOKS = 15;
/** Length of one look: LOOKS of them make the 150 ms of silence that end the process. */
const LOOK_MS = 10;
/** A thread that wakes so much later than it asked for was stopped. */
const LATE_MS = 250;
/** A thread that first sees a deadline so long after it has passed was stopped, too. */
const LATE_FOR_DEADLINE_MS = 50;
/** After a stop the main thread, with all that came in meanwhile, gets more looks for this long. */
const PATIENCE_MS = 1000;
/** How often one question may find that the process was stopped again. */
const STOPS_MAX = 5;
const NS_PER_MS = 1e6;
const STDERR = 2;

const memory = workerData as SharedArrayBuffer;
const words = new Int32Array(memory, 0, 2);
const deadline = new BigInt64Array(memory, DEADLINE_AT, 1);

/** Waits until a shared word changes or `ms` passed; returns whether the process was suspended meanwhile. */
function sleep(word: number, seen: number, ms: number): boolean {
  const from = performance.now();
  Atomics.wait(words, word, seen, ms);
  return performance.now() - from - ms > LATE_MS;
}

let patientUntilMs = 0;

function silent(): boolean {
  const answers = Atomics.load(words, ANSWERED);
  parentPort?.postMessage('still there?');
  let stops = 0;
  for (let look = 0; look < LOOKS || performance.now() < patientUntilMs; look += 1) {
    if (sleep(ANSWERED, answers, LOOK_MS) && stops < STOPS_MAX) {
      stops += 1;
      patientUntilMs = performance.now() + PATIENCE_MS;
    }
    if (Atomics.load(words, ANSWERED) !== answers) return false;
  }
  return true;
}

/** The deadline at which the main thread was asked last. */
let askedNs = 0n;
for (;;) {
  const seen = Atomics.load(words, CHANGED);
  const endsNs = Atomics.load(deadline, 0);
  if (endsNs === 0n) {
    sleep(CHANGED, seen, Infinity);
    continue;
  }
  const leftMs = Number(endsNs - process.hrtime.bigint()) / NS_PER_MS;
  if (leftMs > 0) {
    sleep(CHANGED, seen, leftMs);
    continue;
  }
  if (endsNs !== askedNs && -leftMs > LATE_FOR_DEADLINE_MS) patientUntilMs = performance.now() + PATIENCE_MS;
  askedNs = endsNs;
  if (silent() && Atomics.load(deadline, 0) === endsNs) {
    const msg = 'the main thread is stuck past the deadline of a lease; the process ends';
    writeSync(STDERR, `${JSON.stringify({ level: 'fatal', code: 'lease_watchdog', msg })}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
  // It answers and has closed the grant, or is about to: look again when something changes.
  if (sleep(CHANGED, seen, LOOKS * LOOK_MS)) patientUntilMs = performance.now() + PATIENCE_MS;
}
