import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { ANSWERED, CHANGED, DEADLINE_AT } from './guard.ts';

/** The main thread must answer within so many looks, each of them time in which this thread ran: a stopped process does not count. */
const LOOKS = 8;
const LOOK_MS = 10;
/** A thread that wakes so much later than it asked for was stopped: the main thread, with all that came in meanwhile, gets more looks. */
const LATE_MS = 250;
const PATIENT_LOOKS = 100;
const NS_PER_MS = 1e6;
const STDERR = 2;

const memory = workerData as SharedArrayBuffer;
const words = new Int32Array(memory, 0, 2);
const deadline = new BigInt64Array(memory, DEADLINE_AT, 1);

/** Waits until something changes or `ms` passed; whether it was stopped meanwhile. */
function sleep(word: number, seen: number, ms: number): boolean {
  const from = performance.now();
  Atomics.wait(words, word, seen, ms);
  return performance.now() - from - ms > LATE_MS;
}

function silent(stopped: boolean): boolean {
  const answers = Atomics.load(words, ANSWERED);
  parentPort?.postMessage('still there?');
  let looks = stopped ? PATIENT_LOOKS : LOOKS;
  for (let look = 0; look < looks; look += 1) {
    if (sleep(ANSWERED, answers, LOOK_MS)) looks = PATIENT_LOOKS;
    if (Atomics.load(words, ANSWERED) !== answers) return false;
  }
  return true;
}

/** The deadline that was asked about last. */
let askedNs = 0n;
let stopped = false;
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
  if (endsNs !== askedNs) stopped = -leftMs > LATE_MS;
  askedNs = endsNs;
  if (silent(stopped) && Atomics.load(deadline, 0) === endsNs) {
    writeSync(STDERR, `${JSON.stringify({ level: 'fatal', code: 'lease_guard', msg: 'the main thread is stuck past the deadline of a lease; the process ends' })}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
  // It answers and has shut the gate, or is about to: look again when something changes.
  stopped = sleep(CHANGED, seen, LOOKS * LOOK_MS);
}
