import { MARK, type PlantedFault } from './planted-fault.ts';

/** Positions: the checkpoint, what it covers, and what is announced. */
export const POSITION_PLANTS: readonly PlantedFault[] = [
  {
    id: 'checkpoint-before-ack',
    say: 'the checkpoint covers what was received, not what was acknowledged',
    row: 'K2',
    rules: ['C5'],
    edits: [
      {
        file: 'src/core/events/settled-prefix.ts',
        find: 'return { ord: this.#floor, item: this.#item, runs: this.#runs.list() };',
        replace:
          `${MARK};\n    const { last } = this.#ring;\n    ` +
          'return { ord: last, item: this.#ring.at(last)?.item ?? this.#item, runs: [] };',
      },
      {
        file: 'src/core/events/settled-prefix.ts',
        find: 'return this.#floor + this.#runs.count;',
        replace: 'return this.#ring.last;',
      },
    ],
  },
  {
    id: 'highest-seen',
    say: 'the checkpoint is the highest position seen',
    row: 'K2',
    rules: ['C5'],
    edits: [
      {
        file: 'src/sidecar/stream/sequence-record.ts',
        find: 'const record = { ...base, position: `sequence:${String(last)}`, tail };',
        replace: `${MARK}; const record = { ...base, position: \`sequence:\${String(tracker.last)}\`, tail: [] };`,
      },
    ],
  },
  {
    id: 'flush-on-reconnect',
    say: 'what waits for the consumer is thrown away on a reconnection',
    row: 'K2b',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-connection.ts',
        find: '    this.#intake.linkOpened(this.state.positionExpired, this.#dialer.asked);',
        replace:
          `    ${MARK}; for (let ord = this.#outbox.floor + 1; ord <= this.#outbox.lastOrd; ord += 1) ` +
          `this.#outbox.settle(ord);\n    this.#intake.linkOpened(this.state.positionExpired, ` +
          'this.#dialer.asked);',
      },
    ],
  },
  {
    id: 'forgetful',
    say: 'repetitions of the platform reach the consumer',
    row: 'N3',
    rules: ['C4'],
    edits: [
      {
        file: 'src/sidecar/stream/intake.ts',
        find: "      case 'duplicate':\n",
        replace: `      case 'duplicate':\n        ${MARK};\n        return this.#accept(view, 'live');\n`,
      },
    ],
  },
  {
    id: 'unmarked',
    say: 'repetitions after a change of leader are not marked',
    row: 'P1',
    rules: ['C4'],
    edits: [
      {
        file: 'src/sidecar/stream/replay-mark.ts',
        find: "    if (before || this.#left > 0) return 'resume';",
        replace: `    ${MARK};\n    void before;\n    if (this.#left >= 0) return 'live';`,
      },
    ],
  },
  {
    id: 'double',
    say: 'a sequence number is read as a double',
    row: 'S17',
    rules: ['C1', 'C10'],
    edits: [
      {
        file: 'src/core/events/sequence.ts',
        find: '  return text.length <= 15 ? Number(text) : normalise(BigInt(text));',
        replace: `  ${MARK};\n  return Number(text);`,
      },
    ],
  },
  {
    id: 'silent-gap',
    say: 'a gap is counted and not announced',
    row: 'S11',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/continuity-notices.ts',
        find: "    this.#writer.control('gap.detected', body, at);",
        replace: `    ${MARK}; void body; void at;`,
      },
    ],
  },
  {
    id: 'no-baseline',
    say: 'a subscription is not written down before its first event',
    row: 'P16',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-baseline.ts',
        find: "    if (this.#told !== 'nothing') return;",
        replace: `    ${MARK};\n    if (era >= 0) return;`,
      },
    ],
  },
  {
    id: 'unknown-position',
    say: 'a connection lost before the first event is simply opened again',
    row: 'N4b',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-connection.ts',
        find: "if (this.#plan.profile.streamClass === 'C' || this.#intake.resume.current === undefined)",
        replace: `${MARK};\n    if (this.#plan.profile.streamClass === 'C')`,
      },
    ],
  },
  {
    id: 'hole-forgotten',
    say: 'an acknowledged notice moves the beginning of a hole that is not announced yet',
    row: 'P17-C',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/intake.ts',
        find: 'settledAtEpochMs: this.#timeGap.vouchedUntil(receivedEpochMs),',
        replace: `settledAtEpochMs: ${MARK} ?? receivedEpochMs,`,
      },
      {
        file: 'src/sidecar/stream/parcel-writer.ts',
        find: 'heardEpochMs: this.#receipts.heardEpochMs,',
        replace: 'heardEpochMs: this.#deps.nowEpochMs(),',
      },
    ],
  },
  {
    id: 'sealed-away',
    say: 'a leader that was not connected says at its end that nothing was missed',
    row: 'P2-C',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-driver.ts',
        find: 'const whole = this.#grant.begun && this.connection.open && !this.intake.holed;',
        replace: `${MARK}; const whole = this.connection.state.gen >= 0;`,
      },
    ],
  },
  {
    id: 'no-second-question',
    say: 'a hole is called a gap without asking again',
    row: 'S9',
    rules: ['C2'],
    edits: [
      {
        file: 'src/core/events/sequence-tracker.ts',
        find: '    if (this.#resumeTriedFor !== from) {',
        replace: `    ${MARK};\n    if (this.#resumeTriedFor !== from && from === -1) {`,
      },
    ],
  },
  {
    id: 'poison-dropped',
    say: 'what cannot be read is dropped without a word',
    row: 'S16',
    rules: ['C10'],
    edits: [
      {
        file: 'src/sidecar/stream/intake.ts',
        find: "    this.pushControl('poison',",
        replace: `    ${MARK};\n    void ((_type: string, _data: unknown) => undefined)('poison',`,
      },
    ],
  },
];
