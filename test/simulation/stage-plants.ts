import type { StreamPlant } from './stream-plant.ts';

const intake = 'src/sidecar/stream/intake.ts';
const stream = 'src/sidecar/stream/stream-driver.ts';
const connection = 'src/sidecar/stream/stream-connection.ts';
const push = 'src/delivery/push-delivery.ts';

/** One rule of a stage each, left out or turned round. */
export const STAGE_PLANTS: readonly StreamPlant[] = [
  {
    id: 'hold-over-forgotten',
    say: 'a hold that is over is no reason to look at what becomes due',
    edits: [
      {
        file: push,
        find: 'return earliest(this.#gate.deadline(nowMs) ?? this.#outbox.deadline(nowMs, false), look);',
        replace:
          'return earliest(this.#gate.hold === undefined ? this.#outbox.deadline(nowMs, false) : ' +
          'this.#gate.deadline(nowMs), look);',
      },
    ],
    options: { faults: ['answers 429', 'answers 500'] },
    run: 0,
  },
  {
    id: 'answers-after-the-pump',
    say: 'the store opens the window, and nobody looks',
    edits: [
      {
        file: stream,
        find:
          'this.#checkpointer.collect(nowMs); for (const { final } of this.#checkpointer.takeNotes()) ' +
          'this.#onFenced(final); this.delivery.pump(nowMs);',
        replace:
          'this.delivery.pump(nowMs); this.#checkpointer.collect(nowMs); for (const { final } of ' +
          'this.#checkpointer.takeNotes()) this.#onFenced(final);',
      },
    ],
    options: { faults: ['quiet'] },
    run: 5,
  },
  {
    id: 'deaf-forgotten',
    say: 'a parked link is heard again after something of it was left unread',
    edits: [
      {
        file: connection,
        find: "this.#leaveUnread(gen, link.phase === 'closing');",
        replace: "if (link.phase === 'closing' && this.state.goal === 'park') return;",
      },
      {
        file: connection,
        find: 'if (this.#deaf.has(gen)) return; this.#heard = gen;',
        replace: 'this.#heard = gen;',
      },
    ],
    options: {
      dialect: 'cxone-events',
      faults: ['quiet'],
      latencyMs: 150,
      limits: { maxInFlight: 32, maxUncheckpointed: 256, maxBufferedBytes: 4000 },
    },
    run: 10,
  },
  {
    id: 'first-suspect-only',
    say: 'a suspect behind another one of its key holds all of them',
    edits: [
      {
        file: push,
        find: 'of this.#suspects.turns(inOrder)) {',
        replace: 'of this.#suspects.turns(inOrder).slice(0, 1)) {',
      },
    ],
    options: { mode: 'key-batch', faults: ['consumer restarts', 'quiet'] },
    run: 8,
  },
  {
    id: 'behind-forgotten',
    say: 'a gap by time begins at the last receipt although reading was behind',
    edits: [
      {
        file: 'src/sidecar/stream/receipt-clock.ts',
        find: 'return Math.min(epochMs, this.#behindSinceEpochMs ?? Infinity);',
        replace: 'return epochMs;',
      },
    ],
    options: { dialect: 'genesys-gateway', faults: ['slow key', 'consumer down', 'link lost'] },
    run: 0,
  },
  {
    id: 'one-event-is-a-storm',
    say: 'an event that is refused again and again counts each time',
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'effects: times > SPARED_LIMIT ? step.effects :',
        replace: 'effects: times < 0 * SPARED_LIMIT ? step.effects :',
      },
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'const known = counted.dead.includes(at.event);',
        replace: 'const known = at.event < 0;',
      },
      {
        file: 'src/core/events/consumer-health.ts',
        find: '[...counted.dead, at.event].slice(-policy.storm.consecutive - 1)',
        replace: '[...counted.dead, at.event]',
      },
    ],
    options: { faults: ['store away'] },
    run: 51,
  },
  {
    id: 'tail-not-restored',
    say: 'the next checkpoint no longer names what the last one did',
    edits: [
      {
        file: intake,
        find: "if (this.#plan.profile.streamClass === 'B') this.#tail.restore(checkpoint.tail);",
        replace: '',
      },
    ],
    options: { dialect: 'genesys-analytics-events', faults: ['kill', 'fenced', 'hand-over'] },
    run: 2,
  },
  {
    id: 'pause-lost-on-open',
    say: 'a pause that began without a link does not hold the next one',
    edits: [
      {
        file: connection,
        find: 'if (this.#backpressure.paused) this.sockets.pause(false); this.#backpressure.reset(); this.regulate();',
        replace: '',
      },
    ],
    options: { faults: ['link lost', 'link closed', 'consumer down'] },
    run: 92,
  },
  {
    id: 'keys-overtake',
    say: 'the next event of a key goes while one of it is out',
    edits: [
      {
        file: 'src/core/events/dispatch-order.ts',
        find: "else if (lane.out === 0 && head.state === 'queued') this.offer(head);",
        replace: "else if (head.state === 'queued') this.offer(head);",
      },
      {
        file: 'src/core/events/dispatch-order.ts',
        find: 'return lane?.head === entry && lane.out === 0;',
        replace: 'return lane?.head === entry;',
      },
      {
        file: 'src/core/events/dispatch-order.ts',
        find: 'lane.head = head;',
        replace: 'lane.head = lane.out > 0 ? head?.next : head;',
      },
    ],
    options: { mode: 'key-batch', faults: ['stuck key', 'answers 500'] },
    run: 1,
  },
  {
    id: 'waiting-not-counted',
    say: 'what waits to go again has no place in the window',
    edits: [
      {
        file: 'src/core/events/delivery-window.ts',
        find: 'return this.sent + this.#waiting + this.#dying;',
        replace: 'return this.sent + this.#dying;',
      },
    ],
    options: {
      dialect: 'genesys-streams',
      mode: 'key',
      faults: ['answers 500', 'kill'],
      limits: { maxInFlight: 2, maxUncheckpointed: 2, maxBufferedBytes: 8_000_000 },
    },
    run: 10,
  },
  {
    id: 'sealed-unheard',
    say: 'a leader whose link did not answer its close says that nothing was missed',
    edits: [
      {
        file: stream,
        find: 'const finished = closed && !this.connection.endedUnheard &&',
        replace: 'const finished = closed &&',
      },
    ],
    options: { dialect: 'genesys-gateway', faults: ['half open', 'hand-over'] },
    run: 8,
  },
  {
    id: 'letters-vouch',
    say: 'a redriven letter that is settled says that the platform was heard',
    edits: [
      {
        file: 'src/sidecar/stream/parcel-writer.ts',
        find: 'heardEpochMs: this.#receipts.heardEpochMs,',
        replace: 'heardEpochMs: this.#deps.nowEpochMs(),',
      },
    ],
    options: { dialect: 'genesys-gateway', faults: ['half open', 'redrive', 'kill', 'fenced'] },
    run: 141,
  },
  {
    id: 'marks-counted',
    say: 'after a restart as many events are marked as may be out, and not what had gone far ahead of them',
    edits: [
      {
        file: 'src/sidecar/stream/replay-mark.ts',
        find: "if (before || this.#left > 0) return 'resume';",
        replace: "void before; if (this.#left > 0) return 'resume';",
      },
    ],
    options: { dialect: 'genesys-streams', mode: 'key', faults: ['stuck key', 'kill', 'stamped ahead'] },
    run: 5,
  },
  {
    id: 'tail-too-short',
    say: 'of what still comes again a checkpoint names only the newest',
    edits: [
      {
        file: 'src/sidecar/stream/accepted-tail.ts',
        find: '.filter((one) => !passed(one));',
        replace: '.filter((one) => !passed(one)).slice(-256);',
      },
    ],
    options: {
      dialect: 'genesys-analytics-events',
      faults: ['stamped ahead', 'kill', 'fenced'],
      limits: { maxInFlight: 2, maxUncheckpointed: 2, maxBufferedBytes: 8_000_000 },
    },
    run: 46,
  },
  {
    id: 'never-proved',
    say: 'a number that the tracker knows does not prove what was settled ahead of it',
    edits: [
      {
        file: 'src/sidecar/stream/settled-before.ts',
        find: 'if (!this.#proved && this.#intervals.length > 0) this.#proved =',
        replace: 'if (this.#proved) this.#proved =',
      },
    ],
    options: {
      dialect: 'genesys-streams',
      mode: 'key',
      faults: ['stuck key', 'fenced', 'hand-over', 'answers 500'],
      limits: { maxInFlight: 8, maxUncheckpointed: 2, maxBufferedBytes: 8_000_000 },
    },
    run: 196,
  },
  {
    id: 'due-ignored',
    say: 'what left once and is refused again goes at once, without its delay',
    edits: [
      {
        file: 'src/core/events/dispatch-order.ts',
        find: 'if (top.dueAtMs <= this.#nowMs && this.#takeable(top)) return top;',
        replace: 'if (this.#takeable(top)) return top;',
      },
    ],
    options: {},
    run: 149,
  },
  {
    id: 'sealed-unread',
    say: 'a leader that never read the last checkpoint says at its end that nothing was missed',
    edits: [{ file: stream, find: 'const whole = this.#grant.begun && this', replace: 'const whole = this' }],
    options: { dialect: 'genesys-gateway', faults: ['store away', 'hand-over'] },
    run: 3211,
  },
];
