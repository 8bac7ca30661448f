import type { Mutant } from './mutant.ts';

const file = 'src/core/events/sequence-tracker.ts';
const tests = ['test/core/events/sequence-tracker.test.ts'];

/** Order, repeats and holes of class A. */
export const TRACKER: readonly Mutant[] = [
  {
    id: 'tracker-gap-one-long',
    say: 'a gap names the first event behind it too',
    tests,
    edits: [{ file, find: 'const to = pred(first);', replace: 'const to = first;' }],
  },
  {
    id: 'tracker-restore-repeats-one',
    say: 'after a restart the last settled number is expected again',
    tests,
    edits: [{ file, find: 'this.#expected = succ(last);', replace: 'this.#expected = last;' }],
  },
  {
    id: 'tracker-tail-of-one',
    say: 'a checkpoint carries one print instead of eight',
    tests,
    edits: [{ file, find: 'const TAIL = 8;', replace: 'const TAIL = 1;' }],
  },
  {
    id: 'tracker-late-number-taken-twice',
    say: 'a number of an announced gap stays open after it came',
    tests,
    edits: [{ file, find: 'this.#gaps.splice(index, 1, ...parts);', replace: '' }],
  },
  {
    id: 'tracker-late-closes-the-gap',
    say: 'the first late number closes its whole gap',
    tests,
    edits: [{ file, find: 'this.#gaps.splice(index, 1, ...parts);', replace: 'this.#gaps.splice(index, 1);' }],
  },
  {
    id: 'tracker-early-conflict-unseen',
    say: 'an early number that comes again with other content is a repeat',
    tests,
    edits: [
      {
        file,
        find: "if (known !== undefined) return known.print === print ? 'duplicate' : 'conflict';",
        replace: "if (known !== undefined) return 'duplicate';",
      },
    ],
  },
  {
    id: 'tracker-no-limit-of-bytes',
    say: 'early events are kept whatever they weigh',
    tests,
    edits: [{ file, find: '|| this.#heldBytes > this.#policy.reorderBytes', replace: '' }],
  },
  {
    id: 'tracker-no-limit-of-number',
    say: 'any number of early events is kept',
    tests,
    edits: [{ file, find: '|| this.#held.size > this.#policy.reorderLimit', replace: '' }],
  },
  {
    id: 'tracker-scattered-conflicts-prove',
    say: 'numbers that do not follow one another prove a new numbering',
    tests,
    edits: [
      {
        file,
        find: 'if (lastSuspect !== undefined && sequence !== succ(lastSuspect.sequence)) this.#clearSuspects();',
        replace: '',
      },
    ],
  },
  {
    id: 'tracker-one-conflict-proves',
    say: 'one number with other content is a new numbering',
    tests,
    edits: [{ file, find: 'const CONFLICTS_PROVE = 3;', replace: 'const CONFLICTS_PROVE = 1;' }],
  },
  {
    id: 'tracker-prints-never-forgotten',
    say: 'a number older than the prints is judged by the print of another',
    tests,
    edits: [{ file, find: 'if (distance(this.#expected, this.#lowestPrint) > PRINTS)', replace: 'if (false)' }],
  },
  {
    id: 'tracker-hole-without-asking',
    say: 'a hole is a gap without asking the platform once more',
    tests,
    edits: [{ file, find: 'if (this.#resumeTriedFor !== from) {', replace: 'if (false) {' }],
  },
  {
    id: 'tracker-filter-makes-gaps',
    say: 'where holes are normal they are waited for all the same',
    tests,
    edits: [{ file, find: 'if (!this.#policy.contiguous) {', replace: 'if (false) {' }],
  },
];
