import { Worker } from 'node:worker_threads';

/**
 * Layout of the memory shared with the worker: two 32-bit words (a change counter, the answers of the main thread),
 * then the deadline in ns.
 */
const WATCHDOG_BYTES = 16;
export const CHANGED = 0;
export const ANSWERED = 1;
export const DEADLINE_AT = 8;

/**
 * Kills the process when its main thread is stuck past the lease's deadline: it could not stop acting by itself, and
 * its socket would stay open beside the next leader's. A second thread watches CLOCK_MONOTONIC; it asks the main
 * thread, and only silence kills: about 150 ms of it (by default `lease.margin` is 500 ms, and no other
 * replica leads before that), or a second after the process (or this thread alone) was suspended: a process that goes
 * on answers within 30 ms on an idle machine, and must not be killed on a busy one. Exit by SIGKILL (137), one line on
 * stderr before. Costs nothing while the lease is renewed.
 */
export class Watchdog {
  readonly #words: Int32Array;
  readonly #deadline: BigInt64Array;
  readonly #worker: Worker;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    const memory = new SharedArrayBuffer(WATCHDOG_BYTES);
    this.#words = new Int32Array(memory, 0, 2);
    this.#deadline = new BigInt64Array(memory, DEADLINE_AT, 1);
    const file = import.meta.url.endsWith('.ts') ? './watchdog-thread.ts' : './watchdog-thread.js';
    this.#worker = new Worker(new URL(file, import.meta.url), {
      workerData: memory,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    });
    this.#worker.on('message', () => {
      Atomics.add(this.#words, ANSWERED, 1);
    });
    this.#worker.on('error', (error) => {
      const msg = 'lease_watchdog ended; the deadline is still asked at each use';
      const name = error instanceof Error ? error.name : 'unknown';
      process.stderr.write(`${JSON.stringify({ level: 'error', msg, error: name })}\n`);
    });
    this.#worker.unref();
  }

  /**
   * Sets the deadline to watch. @param deadlineMs the earliest deadline of an open lease on `nowMs`'s clock; undefined:
   * this replica has no lease.
   */
  watch(deadlineMs: number | undefined): void {
    const ns =
      deadlineMs === undefined || !Number.isFinite(deadlineMs)
        ? 0n
        : process.hrtime.bigint() + BigInt(Math.round((deadlineMs - this.#nowMs()) * 1e6));
    Atomics.store(this.#deadline, 0, ns);
    Atomics.add(this.#words, CHANGED, 1);
    Atomics.notify(this.#words, CHANGED);
  }

  async close(): Promise<void> {
    this.watch(undefined);
    await this.#worker.terminate();
  }
}
