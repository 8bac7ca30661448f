import type { StreamPlant } from './stream-plant.ts';

const intake = 'src/sidecar/stream/intake.ts';
const resume = 'src/sidecar/stream/resume-point.ts';
const stream = 'src/sidecar/stream/stream-driver.ts';

/** Found and mended, planted again (docs/requirements.md). */
export const MENDED_STREAM_PLANTS: readonly StreamPlant[] = [
  {
    id: 'A1',
    say: 'the entry that holds the floor waits for a checkpoint that waits for it',
    edits: [
      {
        file: 'src/core/events/outbox.ts',
        find: 'return this.room() > 0 || (entry.ord === floor + 1 && this.#window.mayStartOldest(floor));',
        replace: 'return entry.ord > 0 && this.room() > 0;',
      },
    ],
    options: { dialect: 'cxone-events', mode: 'key' },
    run: 2,
  },
  {
    id: 'A2',
    say: 'a parked stream is looked at only when something is settled',
    edits: [
      {
        file: stream,
        find: 'this.connection.regulate(); if (!this.leaseDoubt.down) this.connection.unpark();',
        replace:
          'this.connection.regulate(); const all = this as unknown as { seen?: number }; if (all.seen !== ' +
          'this.outbox.settledCount && !this.leaseDoubt.down) this.connection.unpark(); all.seen = ' +
          'this.outbox.settledCount;',
      },
    ],
    options: {
      dialect: 'genesys-streams',
      mode: 'pull',
      faults: ['doubt', 'slow key'],
      limits: { maxInFlight: 256, maxUncheckpointed: 256, maxBufferedBytes: 4000 },
    },
    run: 9,
  },
  {
    id: 'A3',
    say: 'a buffer that is neither full nor half empty stays unread',
    edits: [
      {
        file: 'src/sidecar/stream/backpressure.ts',
        find: "if (!over && bufferedBytes * 2 >= maxBytes) return 'nothing';",
        replace: "if ((!over || !full) && bufferedBytes * 2 >= maxBytes) return 'nothing';",
      },
    ],
    options: { faults: ['slow key', 'stuck key'] },
    run: 1,
  },
  {
    id: 'A8',
    say: 'an event that is stamped ahead moves the resume value there, and its repetition proves a replay',
    edits: [
      {
        file: resume,
        find: 'const ms = this.#recentTimes.lowest(Math.min(Number(position.value), nowEpochMs), at);',
        replace: 'const ms = Number(position.value) ; void at;',
      },
      {
        file: intake,
        find: 'this.#notices.repeated(this.resume.provedBy(view));',
        replace: 'this.#notices.repeated(true);',
      },
    ],
    options: { dialect: 'genesys-analytics-events', faults: ['stamped ahead', 'link lost'] },
    run: 2,
  },
  {
    id: 'A9',
    say: 'instants that another pod wrote down are taken for our own',
    edits: [
      {
        file: stream,
        find: 'Math.round(world.nowEpochMs() + world.leases.storeAheadMs)',
        replace: 'Math.round(world.nowEpochMs())',
      },
    ],
    options: { dialect: 'genesys-gateway', faults: ['kill', 'fenced'] },
    run: 0,
  },
  {
    id: 'A10',
    say: 'redriven letters have no budget',
    edits: [
      {
        file: 'src/sidecar/stream/dead-letter-box.ts',
        find: "if (waiting > 0 && waiting + letter.data.length > REDRIVE_LIMIT_BYTES) return 'busy';",
        replace: 'void waiting;',
      },
    ],
    options: { faults: ['redrive'] },
    run: 0,
  },
  {
    id: 'A11',
    say: 'of what waits only the newest keep the checkpoint back',
    edits: [
      {
        file: 'src/sidecar/stream/accepted-tail.ts',
        find: 'this.#earliest.push(one);',
        replace: 'this.#earliest.push(one); if (this.#accepted.length - this.#settled > 32) this.#earliestAt += 1;',
      },
    ],
    options: {
      dialect: 'genesys-analytics-events',
      faults: ['stamped far behind', 'stuck key', 'consumer down'],
      limits: { maxBufferedBytes: 2 ** 26 },
    },
    run: 3,
  },
  {
    id: 'A21',
    say: 'an acknowledged notice forgets where the first event is',
    edits: [
      {
        file: 'src/sidecar/stream/sequence-record.ts',
        find: "const last = floor?.sequence ?? parseSequence(start.replace(/^sequence:/, ''));",
        replace: 'const last = floor?.sequence; void start; void parseSequence;',
      },
    ],
    options: { dialect: 'genesys-streams', mode: 'key', faults: ['link lost'], quietMs: 8000 },
    run: 1,
  },
];
