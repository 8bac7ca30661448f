import { expect } from 'chai';
import fc from 'fast-check';
import { parseSequence, pred, succ, distance } from '../../../src/core/events/sequence.ts';
import { SequenceTracker } from '../../../src/core/events/sequence-tracker.ts';

const POLICY = { reorderMs: 500, reorderLimit: 64, reorderBytes: 1e9, contiguous: true };
const printOf = (sequence: number | bigint, generation = 0): number =>
  (Number(BigInt(sequence) % 1_000_003n) * 7919 + generation * 104_729) >>> 0;

/** A tracker with the plumbing of its driver: what comes out, in order. */
class Run {
  readonly tracker = new SequenceTracker<number | bigint>(POLICY, () => 1);
  readonly out: (number | bigint)[] = [];
  readonly gaps: string[] = [];
  readonly said: string[] = [];
  offer(sequence: number | bigint, now = 0, generation = 0): string {
    const offered = this.tracker.offer(sequence, printOf(sequence, generation), () => sequence, now);
    this.said.push(offered);
    if (offered === 'next' || offered === 'late') this.out.push(sequence);
    if (offered === 'next') this.out.push(...this.tracker.released());
    if (offered === 'conflict') this.look(now);
    return offered;
  }
  look(now: number): string {
    const missing = this.tracker.overdue(now);
    if (missing.kind === 'gap') this.gaps.push(`${String(missing.from)}-${String(missing.to)}`);
    if (missing.kind === 'gap' || missing.kind === 'restarted') this.out.push(...this.tracker.released());
    return missing.kind;
  }
}

describe('Sequence', () => {
  it('reads integers of any size and nothing else', () => {
    expect(parseSequence('9007199254740993')).to.equal(9007199254740993n);
    expect(parseSequence('12')).to.equal(12);
    for (const text of ['"12"', '1.5', '-1', 'null', '1e3', '012', ''])
      expect(parseSequence(text), text).to.equal(undefined);
  });
  it('counts across 2^53 without rounding', () => {
    const edge = Number.MAX_SAFE_INTEGER;
    expect(succ(edge)).to.equal(9007199254740992n);
    expect(pred(9007199254740992n)).to.equal(edge);
    expect(distance(succ(succ(edge)), edge)).to.equal(2);
  });
});

describe('SequenceTracker', () => {
  it('takes the first event as its base, whatever its number', () => {
    const run = new Run();
    run.offer(4711);
    run.offer(4712);
    expect(run.out).to.deep.equal([4711, 4712]);
    expect(run.tracker.continuityRate).to.equal(1);
  });

  it('delivers swapped neighbours in order', () => {
    const run = new Run();
    for (const sequence of [1, 3, 2, 5, 4]) run.offer(sequence);
    expect(run.out).to.deep.equal([1, 2, 3, 4, 5]);
    expect(run.tracker.deadline()).to.equal(undefined);
  });

  it('asks once for a hole, then calls it a gap with exact bounds', () => {
    const run = new Run();
    run.offer(1);
    run.offer(5, 10);
    expect(run.tracker.deadline()).to.equal(510);
    expect(run.look(509)).to.equal('nothing');
    expect(run.look(510)).to.equal('resume');
    run.tracker.resumeAsked();
    run.offer(5, 600);
    expect(run.look(1100)).to.equal('gap');
    expect(run.gaps).to.deep.equal(['2-4']);
    expect(run.out).to.deep.equal([1, 5]);
    expect(run.tracker.continuityRate).to.equal(2 / 5);
  });

  it('a late arrival repairs its gap', () => {
    const run = new Run();
    run.offer(1);
    run.tracker.resumeAsked();
    run.offer(4, 0);
    run.look(500);
    expect(run.offer(3, 600)).to.equal('late');
    expect(run.offer(3, 601)).to.equal('duplicate');
    expect(run.tracker.missing).to.equal(1);
  });

  it('drops repeats and audits the same number with other content, first kept', () => {
    const run = new Run();
    for (const sequence of [1, 2, 3]) run.offer(sequence);
    expect(run.offer(2)).to.equal('duplicate');
    expect(run.offer(2, 0, 9)).to.equal('conflict');
    expect(run.out).to.deep.equal([1, 2, 3]);
  });

  it('recognises a replay of up to 500 events after a restart, also below what it knows', () => {
    for (const k of [1, 8, 100, 500]) {
      const run = new Run();
      const tail = [1000, 999, 998, 997, 996, 995, 994, 993].map((sequence) => ({
        sequence,
        print: printOf(sequence),
      }));
      run.tracker.restore(1000, tail);
      for (let sequence = 1001 - k; sequence <= 1003; sequence += 1) run.offer(sequence, 0);
      expect(run.out, `k = ${String(k)}`).to.deep.equal([1001, 1002, 1003]);
      expect(run.look(10_000)).to.equal('nothing');
    }
  });

  it('recognises that the platform counts anew, and loses nothing of it', () => {
    const run = new Run();
    for (let sequence = 1; sequence <= 50; sequence += 1) run.offer(sequence);
    for (let sequence = 1; sequence <= 60; sequence += 1) run.offer(sequence, 0, 5);
    expect(run.out.slice(50)).to.deep.equal(Array.from({ length: 60 }, (_, n) => n + 1));
  });

  // Survivor of the mutants by hand: a tail of 1.
  it(
    'a checkpoint carries the prints of the last eight numbers: a replay of them after a restart is known ' +
      'number by number',
    () => {
      const before = new Run();
      for (let sequence = 1; sequence <= 20; sequence += 1) before.offer(sequence);
      const tail = before.tracker.tail(20);
      expect(tail.map(({ sequence }) => sequence)).to.deep.equal([20, 19, 18, 17, 16, 15, 14, 13]);
      const after = new Run();
      after.tracker.restore(20, tail);
      for (let sequence = 13; sequence <= 21; sequence += 1) after.offer(sequence);
      expect(after.said).to.deep.equal([...Array.from({ length: 8 }, () => 'duplicate'), 'next']);
    },
  );

  it('takes each number of an announced gap once, in any order', () => {
    const run = new Run();
    run.offer(1);
    run.tracker.resumeAsked();
    run.offer(7);
    run.look(500);
    expect(run.gaps).to.deep.equal(['2-6']);
    for (const sequence of [4, 2, 6, 3, 5]) expect(run.offer(sequence, 600), String(sequence)).to.equal('late');
    for (const sequence of [4, 2, 6, 3, 5]) expect(run.offer(sequence, 700), String(sequence)).to.equal('duplicate');
    expect([run.tracker.missing, run.tracker.continuityRate]).to.deep.equal([0, 1]);
  });

  it('an early number that comes twice is a repeat, with other content a conflict', () => {
    const run = new Run();
    run.offer(1);
    run.offer(3);
    expect(run.offer(3)).to.equal('duplicate');
    expect(run.offer(3, 0, 9)).to.equal('conflict');
    run.offer(2);
    expect(run.out).to.deep.equal([1, 2, 3]);
  });

  it('waits for no more early events than its limits of number and bytes', () => {
    for (const [limits, size] of [
      [{ reorderLimit: 2 }, 1],
      [{ reorderBytes: 14 }, 5],
    ] as const) {
      const tracker = new SequenceTracker<number>({ ...POLICY, ...limits }, () => size);
      for (const sequence of [1, 3, 4]) tracker.offer(sequence, printOf(sequence), () => sequence, 0);
      expect(tracker.overdue(0).kind).to.equal('nothing');
      tracker.offer(5, printOf(5), () => 5, 0);
      expect(tracker.overdue(0)).to.deep.equal({ kind: 'resume', from: 2 });
    }
  });

  it('single numbers with other content, not one after the other, are no new numbering', () => {
    const run = new Run();
    for (let sequence = 1; sequence <= 20; sequence += 1) run.offer(sequence);
    for (const sequence of [3, 7, 12, 15]) expect(run.offer(sequence, 0, 9)).to.equal('conflict');
    expect(run.offer(21)).to.equal('next');
    expect(run.out.length).to.equal(21);
  });

  it('a number older than the prints that are kept is not judged by the print of another', () => {
    const run = new Run();
    for (let sequence = 1; sequence <= 5000; sequence += 1) run.offer(sequence);
    expect(run.offer(500)).to.equal('held');
    expect(run.look(500), 'an old replay').to.equal('nothing');
    expect(run.offer(5001, 501)).to.equal('next');
  });

  it('where holes are normal it only recognises repeats', () => {
    const tracker = new SequenceTracker<number>({ ...POLICY, contiguous: false }, () => 1);
    const offer = (sequence: number): string => tracker.offer(sequence, printOf(sequence), () => sequence, 0);
    expect([1, 5, 5, 9].map(offer)).to.deep.equal(['next', 'next', 'duplicate', 'next']);
    expect(tracker.missing).to.equal(0);
  });

  it('for any shuffle inside the window and any repeats: every number once, in order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 120 }),
        fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 12 }))),
        fc.bigInt({ min: 0n, max: 2n ** 60n }),
        (count, swaps, base) => {
          const numbers: (number | bigint)[] = Array.from({ length: count }, (_, n) => {
            const value = base + BigInt(n);
            return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
          });
          const first = numbers.shift() ?? 0;
          for (const [at, far] of swaps) {
            const i = at % Math.max(1, numbers.length);
            const j = Math.min(numbers.length - 1, i + far);
            const [a, b] = [numbers[i], numbers[j]];
            if (a !== undefined && b !== undefined) [numbers[i], numbers[j]] = [b, a];
          }
          const run = new Run();
          run.offer(first);
          for (const [n, sequence] of numbers.entries()) {
            run.offer(sequence, n);
            if (n % 5 === 0) run.offer(sequence, n);
          }
          expect(run.out.map(String)).to.deep.equal(Array.from({ length: count }, (_, n) => String(base + BigInt(n))));
        },
      ),
    );
  });

  it(
    'for any losses that even a resume does not bring back: what is delivered and what is announced add up ' +
      'exactly',
    () => {
      fc.assert(
        fc.property(fc.array(fc.boolean(), { minLength: 2, maxLength: 150 }), (present) => {
          const run = new Run();
          run.offer(0);
          let now = 0;
          const live = present.flatMap((there, n) => (there ? [n + 1] : []));
          for (let at = 0; at < live.length; at += 1) {
            run.offer(live[at]!, now);
            now += 600;
            if (run.look(now) === 'resume') {
              // The platform replays what it has from the position on, up to here.
              run.tracker.resumeAsked();
              for (const sequence of live.slice(0, at + 1)) run.offer(sequence, now);
              now += 600;
              run.look(now);
            }
          }
          const announced = run.gaps.flatMap((gap) => {
            const [from = 0, to = 0] = gap.split('-').map(Number);
            return Array.from({ length: to - from + 1 }, (_, n) => from + n);
          });
          const highest = live.at(-1) ?? 0;
          expect(run.out).to.deep.equal([0, ...live]);
          expect(announced).to.deep.equal(
            Array.from({ length: highest }, (_, n) => n + 1).filter((n) => !live.includes(n)),
          );
        }),
      );
    },
  );
});
