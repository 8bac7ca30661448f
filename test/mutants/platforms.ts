import type { Mutant } from './mutant.ts';

const tests = ['test/platforms/json-scanner.test.ts'];
const envelope = ['test/delivery/envelope.test.ts'];

/** What is read from the wire, and what is written to it. */
export const PLATFORMS: readonly Mutant[] = [
  {
    id: 'scan-numbers-rounded',
    say: 'numbers of 16 and 17 digits are read as doubles',
    tests,
    only: 'FrameReader',
    edits: [{ file: 'src/platforms/json-scanner.ts', find: 'if (to - from > 15 ||', replace: 'if (to - from > 17 ||' }],
  },
  {
    id: 'scan-any-depth',
    say: 'nesting has no limit',
    tests,
    only: 'is poison',
    edits: [
      {
        file: 'src/platforms/json-scanner.ts',
        find: 'const MAX_DEPTH = 512;',
        replace: 'const MAX_DEPTH = 20_000;',
      },
    ],
  },
  {
    id: 'scan-escaped-names',
    say: 'a name spelled with escapes is not found',
    tests,
    edits: [{ file: 'src/platforms/json-scanner.ts', find: 'if (bytes[k] === BACKSLASH)', replace: 'if (false)' }],
  },
  {
    id: 'scan-first-of-two',
    say: 'of two members with one name the first wins',
    tests,
    edits: [
      {
        file: 'src/platforms/json-scanner.ts',
        find: 'if (slot < 0) return;',
        replace: 'if (slot < 0 || this.#kinds[slot] !== 0) return;',
      },
    ],
  },
  {
    id: 'scan-control-characters',
    say: 'control characters stand in strings',
    tests,
    edits: [
      {
        file: 'src/platforms/json-scanner.ts',
        find: 'if (c === undefined || c < 0x20) return -1;',
        replace: 'if (c === undefined) return -1;',
      },
    ],
  },
  {
    id: 'codec-binary-read',
    say: 'a binary frame is read as text',
    tests,
    only: 'FrameReader',
    edits: [
      {
        file: 'src/platforms/frame-reader.ts',
        find: "if (isBinary) return sink.poison(data, 'binary frame');",
        replace: '',
      },
    ],
  },
  {
    id: 'codec-second-object-ignored',
    say: 'what stands behind an object is ignored',
    tests,
    only: 'FrameReader',
    edits: [
      {
        file: 'src/platforms/frame-reader.ts',
        find: 'if (skipSpace(data, end) !== data.length)',
        replace: 'if (false)',
      },
    ],
  },
  {
    id: 'codec-batch-of-one',
    say: 'only the first event of a batch is read',
    tests,
    only: 'FrameReader',
    edits: [{ file: 'src/platforms/frame-reader.ts', find: 'if (data[i] !== COMMA) return;', replace: 'return;' }],
  },
  {
    id: 'codec-inherited-names',
    say: 'a message of the type "constructor" is a control message we know',
    tests,
    only: 'FrameReader',
    edits: [
      {
        file: 'src/platforms/frame-reader.ts',
        find: '&& Object.hasOwn(this.#profile.controls, type))',
        replace: ')',
      },
    ],
  },
  {
    id: 'envelope-attempt-overflows',
    say: 'the attempt number may be longer than its room',
    tests: envelope,
    edits: [{ file: 'src/delivery/envelope.ts', find: 'String(Math.min(attempt, 9999))', replace: 'String(attempt)' }],
  },
  {
    id: 'envelope-epoch-of-before',
    say: 'an event of a new term carries the epoch of the old one',
    tests: envelope,
    edits: [{ file: 'src/delivery/envelope.ts', find: '|| stamp.epoch !== this.#tailEpoch) {', replace: ') {' }],
  },
  {
    id: 'envelope-slab-shared',
    say: 'an event is written over the one before',
    tests: envelope,
    edits: [{ file: 'src/delivery/envelope.ts', find: 'this.#used += size;', replace: '' }],
  },
  {
    id: 'envelope-seconds-unlooked',
    say: 'seconds from 60 to 99 pass after a time of the same minute',
    tests: envelope,
    edits: [
      {
        file: 'src/delivery/envelope.ts',
        find: String.raw`const SECONDS = /^:[0-5]\d`,
        replace: String.raw`const SECONDS = /^:\d\d`,
      },
    ],
  },
];
