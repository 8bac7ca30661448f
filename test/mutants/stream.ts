import type { Mutant } from './mutant.ts';

const outbox = ['test/core/events/outbox.test.ts'];
const suspects = ['test/core/events/crash-suspects.test.ts'];
const consumer = ['test/core/events/consumer-health.test.ts'];
const window = 'src/core/events/delivery-window.ts';
const box = 'src/core/events/outbox.ts';
const order = 'src/core/events/dispatch-order.ts';
const prefix = 'src/core/events/settled-prefix.ts';

/** The road of an event: outbox, the stages of the sidecar, delivery. */
export const STREAM: readonly Mutant[] = [
  {
    id: 'outbox-settle-up-to-one-less',
    say: 'a cumulative acknowledgement leaves out the event it names',
    tests: outbox,
    edits: [{ file: box, find: 'at <= ord && at <= this.lastOrd', replace: 'at < ord && at <= this.lastOrd' }],
  },
  {
    id: 'outbox-recall-misses-one',
    say: 'of what was handed over one does not come back',
    tests: outbox,
    edits: [
      {
        file: box,
        find: 'const out = [...this.#acks.entries()];',
        replace: 'const out = [...this.#acks.entries()].slice(0, -1);',
      },
    ],
  },
  {
    id: 'outbox-barrier-ignored',
    say: 'a control event goes before what stands before it is settled',
    tests: outbox,
    edits: [{ file: box, find: 'if (entry.barrier && this.#prefix.floor < entry.ord - 1) return;', replace: '' }],
  },
  {
    id: 'outbox-barrier-passed',
    say: 'what stands behind a control event goes before that is settled',
    tests: outbox,
    edits: [
      {
        file: box,
        find: "if (previous?.barrier === true && previous.state !== 'settled') return;",
        replace: 'void previous;',
      },
    ],
  },
  {
    id: 'outbox-room-when-there-is-none',
    say: 'an event goes for the first time although there is no room',
    tests: outbox,
    edits: [{ file: box, find: 'return this.room() > 0 ||', replace: 'return this.room() >= 0 ||' }],
  },
  {
    id: 'outbox-waiting-has-no-place',
    say: 'what waits to go again has no place in the window',
    tests: outbox,
    edits: [
      {
        file: window,
        find: 'return this.sent + this.#waiting + this.#dying;',
        replace: 'return this.sent + this.#dying;',
      },
    ],
  },
  {
    id: 'outbox-overdue-is-no-fault',
    say: 'an overdue acknowledgement does not lead to the dead letters',
    tests: outbox,
    edits: [
      {
        file: box,
        find: 'this.retry(due.entry.ord, 0, nowMs, true);',
        replace: 'this.retry(due.entry.ord, 0, nowMs, false);',
      },
    ],
  },
  {
    id: 'outbox-progress-ignored',
    say: 'a consumer that says it is at work is overdue all the same',
    tests: outbox,
    edits: [{ file: box, find: 'this.#expect(entry, nowMs); return true;', replace: 'return true;' }],
  },
  {
    id: 'outbox-floor-holder-waits',
    say: 'the entry that holds the floor waits for a checkpoint that waits for it',
    tests: outbox,
    edits: [
      {
        file: box,
        find: 'return this.room() > 0 || (entry.ord === floor + 1 && this.#window.mayStartOldest(floor));',
        replace: 'return entry.ord > 0 && this.room() > 0;',
      },
    ],
  },
  {
    id: 'outbox-ahead-joins-too-much',
    say: 'numbers that do not follow one another are named as one run',
    tests: outbox,
    edits: [
      {
        file: prefix,
        find: "this.#runs.add(entry.ord, entry.number === 'next', this.#ring.at(entry.ord + 1)?.number === 'next');",
        replace: 'this.#runs.add(entry.ord, true, true);',
      },
    ],
  },
  {
    id: 'outbox-covered-counts-prefix-only',
    say: 'what is stored as settled ahead does not free the window',
    tests: outbox,
    edits: [
      {
        file: window,
        find: 'this.#covered = Math.max(this.storedFloor, floor + ahead);',
        replace: 'this.#covered = this.storedFloor + 0 * ahead;',
      },
    ],
  },
  {
    id: 'outbox-key-overtakes',
    say: 'the next event of a key goes while one of it is out',
    tests: outbox,
    edits: [
      { file: order, find: 'return lane?.head === entry && lane.out === 0;', replace: 'return lane?.head === entry;' },
      {
        file: order,
        find: "else if (lane.out === 0 && head.state === 'queued') this.offer(head);",
        replace: "else if (head.state === 'queued') this.offer(head);",
      },
      { file: order, find: 'lane.out += 1;', replace: 'lane.head = entry.next ?? entry;' },
    ],
  },
  {
    id: 'outbox-goes-again-before-its-time',
    say: 'what left once and is refused again goes at once',
    tests: outbox,
    edits: [
      {
        file: order,
        find: 'if (top.dueAtMs <= this.#nowMs && this.#takeable(top)) return top;',
        replace: 'if (this.#takeable(top)) return top;',
      },
    ],
  },
  {
    id: 'outbox-suspect-goes-with-the-others',
    say: 'a suspect is handed over like any other event',
    tests: outbox,
    edits: [
      { file: order, find: "entry.state === 'queued' && !entry.suspect &&", replace: "entry.state === 'queued' &&" },
      { file: order, find: 'if (entry.suspect) return;', replace: '' },
    ],
  },
  {
    id: 'outbox-dying-goes-again',
    say: 'an event on its way into the dead letters frees its key',
    tests: outbox,
    edits: [
      { file: order, find: "if (was === 'sent' || was === 'dying') lane.out -= 1;", replace: 'lane.out -= 1;' },
      {
        file: box,
        find: "if (entry.state === 'queued') this.#queues.left(entry);",
        replace: 'this.#queues.back(entry, entry.state);',
      },
    ],
  },
  {
    id: 'suspects-counted-without-proof',
    say: 'a consumer that is down convicts an event',
    tests: suspects,
    edits: [
      {
        file: 'src/core/events/crash-suspects.ts',
        find: 'if (suspicion.losses === 0 || suspicion.proved) suspicion.losses += 1;',
        replace: 'suspicion.losses += 1;',
      },
    ],
  },
  {
    id: 'suspects-prove-themselves',
    say: 'an event acquits itself by its own acknowledgement',
    tests: suspects,
    edits: [
      {
        file: 'src/core/events/crash-suspects.ts',
        find: 'if (ord !== by) suspicion.proved = true;',
        replace: 'suspicion.proved = true;',
      },
    ],
  },
  {
    id: 'suspects-never-convicted',
    say: 'one loss more than the limit is asked for',
    tests: suspects,
    edits: [
      {
        file: 'src/core/events/crash-suspects.ts',
        find: 'return suspicion.losses >= this.#limit;',
        replace: 'return suspicion.losses > this.#limit;',
      },
    ],
  },
  {
    id: 'probe-passed-lets-all-go',
    say: 'a consumer that takes a connection gets everything at once',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: "if (hold.probe === 'passed') return 'one';",
        replace: "if (hold.probe === 'passed') return 'all';",
      },
    ],
  },
  {
    id: 'probe-without-a-pause',
    say: 'a consumer that is not there is looked for again at once',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: "probe: 'due', untilMs: nowMs + PROBE_EVERY_MS }",
        replace: "probe: 'due', untilMs: nowMs }",
      },
    ],
  },
  {
    id: 'unknown-word-acknowledges',
    say: 'any word in a 2xx body is an acknowledgement',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: "return known ?? { kind: 'unknown', word: status.slice(0, WORD_SHOWN_CHARS) };",
        replace: "return known ?? { kind: 'ack' };",
      },
    ],
  },
  {
    id: 'one-event-is-a-storm',
    say: 'an event that is refused again and again counts each time',
    tests: ['test/core/events/consumer-health.test.ts'],
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'const known = counted.dead.includes(at.event);',
        replace: 'const known = at.event < 0;',
      },
    ],
  },
  {
    id: 'pause-without-an-end',
    say: 'a buffer that is neither full nor half empty stays unread',
    tests: ['test/sidecar/stream/backpressure.test.ts'],
    edits: [
      {
        file: 'src/sidecar/stream/backpressure.ts',
        find: "if (!over && bufferedBytes * 2 >= maxBytes) return 'nothing';",
        replace: "if ((!over || !full) && bufferedBytes * 2 >= maxBytes) return 'nothing';",
      },
    ],
  },
  {
    id: 'identity-without-content',
    say: 'two events of one correlation and millisecond are one',
    tests: ['test/platforms/identity.test.ts'],
    edits: [
      {
        file: 'src/platforms/frame-reader.ts',
        find: '|${correlation}|${time}|${content}`;',
        replace: '|${correlation}|${time}`;',
      },
    ],
  },
];
