import { OTHER, Outbox, type DispatchMode, type OutboxPolicy } from '../../src/core/events/outbox.ts';

/**
 * npm run bench:outbox: what one operation on the way of an event costs, against how much waits and how many keys there
 * are, beside a plain Map loop of the same run. Exit code 1 when a cost is not flat: when it grows more than twice over
 * entries, or more than four times over keys. Building a checkpoint is not part of it. BENCH_REPEATS, BENCH_SIZES and
 * BENCH_KEYS change the amounts; BENCH_ONLY names the beginning of what is measured.
 */

/** Every call into the outbox that is measured. All of its interface that this file knows. */
class Road {
  readonly #outbox: Outbox<number>;
  #pushed = 0;

  constructor(window: number, order: DispatchMode) {
    const policy: OutboxPolicy = {
      maxInFlight: window,
      maxUncheckpointed: window,
      maxBufferedBytes: 2 ** 40,
      ackTimeoutMs: 30_000,
      cover: 'prefix',
    };
    this.#outbox = new Outbox<number>(policy, order);
  }

  /** The next event; their keys take turns. */
  push(keys: number): void {
    this.#outbox.push(this.#pushed, keyOf(this.#pushed, keys), 100, OTHER);
    this.#pushed += 1;
  }
  /** Pull: in stream order. @returns how it is called from now on; undefined: nothing may go. */
  next(nowMs: number): number | undefined {
    return this.#outbox.take(1, nowMs)[0]?.ord;
  }
  /** Push, order: stream. */
  run(max: number, nowMs: number): readonly number[] {
    return this.#outbox.takeRun(max, nowMs).map((entry) => entry.ord);
  }
  /** Push, order: key, one event a request. */
  keyed(nowMs: number): number | undefined {
    return this.#outbox.takeKeyed(nowMs)?.ord;
  }
  /** Push, order: key, many events a request. */
  batch(max: number, nowMs: number): readonly number[] {
    return this.#outbox.takeBatch(max, nowMs).map((entry) => entry.ord);
  }
  settle(id: number): void {
    this.#outbox.settle(id);
  }
  retry(id: number, delayMs: number, nowMs: number): void {
    this.#outbox.retry(id, delayMs, nowMs, true);
  }
  /** @returns how many acknowledgements were overdue. */
  expire(nowMs: number): number {
    return this.#outbox.expire(nowMs).length;
  }
  deadline(nowMs: number): number | undefined {
    return this.#outbox.deadline(nowMs, true);
  }
  /** The store holds all that is settled in one piece. */
  checkpointed(): void {
    this.#outbox.checkpointed(this.#outbox.floor);
  }
}

interface Size {
  readonly entries: number;
  readonly keys: number;
}

/** One way of using the outbox: what is prepared is not measured. `work` does `operations` of them. */
interface Mode {
  readonly name: string;
  readonly window: number;
  readonly order: DispatchMode;
  prepare(road: Road, size: Size): void;
  work(road: Road, size: Size, operations: number): void;
}

const WINDOW = 256;
const BATCH = 100;
/** Made before anything is measured: a string of its own for each event would be what is measured. */
const NAMES = Array.from({ length: 50_000 }, (_, n) => `conversation-${String(n)}`);
const keyOf = (n: number, keys: number): string => NAMES[n % Math.min(keys, NAMES.length)] ?? '';

function fill(road: Road, { entries, keys }: Size): void {
  for (let n = 0; n < entries; n += 1) road.push(keys);
}

/** One event comes, one goes, one is acknowledged, its checkpoint is stored: as much waits after it as before. */
function turning(
  name: string,
  order: DispatchMode,
  take: (road: Road) => readonly number[],
  checkpointEvery = 1,
): Mode {
  let since = 0;
  return {
    name,
    order,
    window: WINDOW,
    prepare: fill,
    work(road, { keys }, operations) {
      let done = 0;
      while (done < operations) {
        const ids = take(road);
        if (ids.length === 0) throw new Error(`${name}: nothing goes`);
        for (const id of ids) {
          road.push(keys);
          road.settle(id);
          done += 1;
        }
        since += ids.length;
        if (since < checkpointEvery) continue;
        road.checkpointed();
        since = 0;
      }
    },
  };
}

const one = (id: number | undefined): readonly number[] => (id === undefined ? [] : [id]);

const MODES: readonly Mode[] = [
  turning('stream order, one by one', 'stream', (road) => one(road.next(0))),
  turning('stream order, runs of 100', 'run', (road) => road.run(BATCH, 0)),
  turning('keyed, one by one', 'key', (road) => one(road.keyed(0))),
  turning('keyed, batches of 100', 'key', (road) => road.batch(BATCH, 0)),
  turning('keyed, a checkpoint each 128', 'key', (road) => one(road.keyed(0)), 128),
  {
    name: 'redelivery, stream order',
    order: 'stream',
    window: WINDOW,
    prepare: (road, size) => {
      fill(road, size);
      for (let n = 0; n < WINDOW; n += 1) road.next(0);
      for (let ord = 1; ord <= WINDOW; ord += 1) road.retry(ord, 0, 0);
    },
    work(road, _size, operations) {
      for (let n = 0; n < operations; n += 1) {
        const id = road.next(1);
        if (id === undefined) throw new Error('nothing goes again');
        road.retry(id, 0, 0);
      }
    },
  },
  {
    name: 'redelivery, keyed',
    order: 'key',
    window: WINDOW,
    prepare: fill,
    work(road, _size, operations) {
      for (let n = 0; n < operations; n += 1) {
        const id = road.keyed(1);
        if (id === undefined) throw new Error('nothing goes again');
        road.retry(id, 0, 0);
      }
    },
  },
  ...looks('window handed over', WINDOW, (road, size) => {
    fill(road, size);
    for (let n = 0; n < WINDOW; n += 1) road.next(0);
  }),
  // What lies settled between the two must not be walked over.
  ...looks('two handed over, far apart', 200_000, (road, size) => {
    fill(road, size);
    for (let n = 0; n < size.entries; n += 1) road.next(0);
    for (let ord = 2; ord < size.entries; ord += 1) road.settle(ord);
  }),
  idle('no checkpoint, keyed', (road) => one(road.keyed(0)), true),
  idle('no checkpoint, batch', (road) => road.batch(BATCH, 0), true),
  idle('keys or window busy, keyed', (road) => one(road.keyed(0)), false),
  idle('keys or window busy, batch', (road) => road.batch(BATCH, 0), false),
  {
    // The whole window goes again: as many redeliveries as there are entries, up to 10,000.
    name: 'redelivery of a large window',
    order: 'key',
    window: 10_000,
    prepare: (road, size) => {
      fill(road, size);
      const count = Math.min(size.entries, size.keys, 10_000);
      const ids = Array.from({ length: count }, () => road.keyed(0)).flatMap(one);
      for (const id of ids) road.retry(id, 0, 0);
    },
    work(road, _size, operations) {
      for (let n = 0; n < operations; n += 1) {
        const id = road.keyed(1);
        if (id === undefined) throw new Error('nothing goes again');
        road.retry(id, 0, 0);
      }
    },
  },
];

/** What is asked after each step: is an acknowledgement overdue, and when is something due? */
function looks(name: string, window: number, prepare: Mode['prepare']): readonly Mode[] {
  return [
    {
      name: `expire, ${name}`,
      order: 'stream',
      window,
      prepare,
      work(road, _size, operations) {
        for (let n = 0; n < operations; n += 1) if (road.expire(1) > 0) throw new Error('overdue too early');
      },
    },
    {
      name: `deadline, ${name}`,
      order: 'stream',
      window,
      prepare,
      work(road, _size, operations) {
        for (let n = 0; n < operations; n += 1)
          if (road.deadline(1) === undefined) throw new Error('nothing is handed over');
      },
    },
  ];
}

/**
 * A window is settled and no checkpoint stored, or every key (or the window) is in flight: nothing may go, and it is
 * asked for all the same, at every frame and acknowledgement.
 */
function idle(name: string, take: (road: Road) => readonly number[], settles: boolean): Mode {
  return {
    name,
    order: 'key',
    window: WINDOW,
    prepare: (road, size) => {
      fill(road, size);
      for (let ids = take(road); ids.length > 0; ids = take(road)) if (settles) for (const id of ids) road.settle(id);
    },
    work(road, _size, operations) {
      for (let n = 0; n < operations; n += 1) if (take(road).length > 0) throw new Error(`${name}: something went`);
    },
  };
}

const numbers = (name: string, fallback: readonly number[]): readonly number[] =>
  process.env[name]?.split(',').map(Number) ?? fallback;
const [REPEATS = 5] = numbers('BENCH_REPEATS', [5]);
const ENTRIES = numbers('BENCH_SIZES', [1000, 10_000, 100_000]);
const KEYS = numbers('BENCH_KEYS', [1, 1000, 50_000]);
/** Flat: growing at most so many times. */
const FLAT_ENTRIES = 2;
const FLAT_KEYS = 4;
/** The clock of CPU time has steps of a few ms: so much is measured at least. */
const ENOUGH_US = 30_000;
const FIRST = 10;
const MAP_OPERATIONS = 500_000;
/** What costs less is called that: such differences are the clock's and the compiler's. */
const LEAST_US = 0.1;

/**
 * CPU time of this thread so far, in us: other processes on the machine and the collector's own threads do not count.
 */
function cpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** @returns microseconds for one operation. */
function measure(mode: Mode, size: Size): number {
  const road = new Road(mode.window, mode.order);
  mode.prepare(road, size);
  mode.work(road, size, FIRST);
  const startedAtUs = cpuUs();
  let done = 0;
  for (let chunk = FIRST; cpuUs() - startedAtUs < ENOUGH_US; chunk *= 2) {
    mode.work(road, size, chunk);
    done += chunk;
  }
  return (cpuUs() - startedAtUs) / done;
}

/**
 * A Map of so many entries, of which one goes and one comes: the yardstick. As often as it takes to build it anew
 * twice. @returns us for one operation.
 */
function plainMap({ entries, keys }: Size): number {
  const waiting = new Map<number, string>();
  for (let n = 0; n < entries; n += 1) waiting.set(n, keyOf(n, keys));
  const operations = Math.max(MAP_OPERATIONS, 2 * entries);
  const startedAtUs = cpuUs();
  for (let n = 0; n < operations; n += 1) {
    waiting.delete(n);
    waiting.set(entries + n, keyOf(entries + n, keys));
  }
  return (cpuUs() - startedAtUs) / operations;
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}

interface Cell {
  readonly us: number;
  /** In plain Map operations of the same size, measured just before. */
  readonly ratio: number;
}

/**
 * Costs at every size; each repetition goes through all sizes, so that a slow moment of the machine hits none alone.
 */
function measured(mode: Mode, sizes: readonly Size[]): readonly Cell[] {
  const samples = sizes.map((): Cell[] => []);
  for (let n = 0; n < REPEATS; n += 1) {
    for (const [at, size] of sizes.entries()) {
      globalThis.gc?.();
      const map = plainMap(size);
      globalThis.gc?.();
      const us = Math.max(measure(mode, size), LEAST_US);
      samples[at]?.push({ us, ratio: us / map });
    }
  }
  return samples.map((of) => ({ us: median(of.map(({ us }) => us)), ratio: median(of.map(({ ratio }) => ratio)) }));
}

/** How many times dearer a size is than the cheapest of the smaller ones; below 1 where it only gets cheaper. */
function growth(ratios: readonly number[]): number {
  return Math.max(...ratios.slice(1).map((ratio, at) => ratio / Math.min(...ratios.slice(0, at + 1))));
}

const sizes: readonly Size[] = KEYS.flatMap((keys) => ENTRIES.map((entries) => ({ entries, keys })));
const titles = sizes.map(({ entries, keys }) => `${String(entries)} entries, ${String(keys)} keys`);
process.stdout.write(
  `microseconds an operation (in plain Map operations), median of ${String(REPEATS)}\n| | ` +
    `${titles.join(' | ')} | over entries | over keys | ` +
    `|\n|---|${titles.map(() => '---|').join('')}---|---|---|\n`,
);
// The first use of anything pays for its compilation.
for (const mode of MODES) measure(mode, { entries: 1000, keys: 100 });
plainMap({ entries: 1000, keys: 100 });
let flat = true;
const only = process.env['BENCH_ONLY'] ?? '';
for (const mode of MODES.filter(({ name }) => name.startsWith(only))) {
  const cells = measured(mode, sizes);
  const ratios = (of: (size: Size) => boolean): readonly number[] =>
    cells.filter((_, at) => of(sizes[at] ?? { entries: 0, keys: 0 })).map(({ ratio }) => ratio);
  const overEntries = Math.max(...KEYS.map((keys) => growth(ratios((size) => size.keys === keys))));
  const overKeys = Math.max(...ENTRIES.map((entries) => growth(ratios((size) => size.entries === entries))));
  const good = overEntries <= FLAT_ENTRIES && overKeys <= FLAT_KEYS;
  if (!good) flat = false;
  const shown = cells.map(({ us, ratio }) => `${us.toFixed(2)} (${ratio.toFixed(1)})`).join(' | ');
  process.stdout.write(
    `| ${mode.name} | ${shown} | ${overEntries.toFixed(1)} | ${overKeys.toFixed(1)} | ` +
      `${good ? 'flat' : 'NOT FLAT'} |\n`,
  );
}
process.stdout.write(
  flat
    ? 'flat: no cost grows with what waits\n'
    : `NOT FLAT: a cost grows more than ${String(FLAT_ENTRIES)} times over entries or ${String(FLAT_KEYS)} ` +
        `times over keys\n`,
);
process.exit(flat ? 0 : 1);
