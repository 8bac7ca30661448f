import { expect } from 'chai';
import { judge } from './checker.ts';
import { GOLDEN_CONDUCT } from './golden-conduct.ts';
import { GOLDEN_STREAM } from './golden-stream.ts';
import { GOLDEN_TIME } from './golden-time.ts';
import type { HistoryLine } from './history.ts';
import { FACTS, straight } from './scribe.ts';

const GOLDEN = [...GOLDEN_STREAM, ...GOLDEN_CONDUCT, ...GOLDEN_TIME];

describe('the judge of histories', () => {
  for (const [name, scribe, expected, facts] of GOLDEN) {
    it(`${name}: ${expected.length === 0 ? 'PASS' : String(expected)}`, () => {
      const judgement = judge(scribe.lines(), { ...FACTS, ...facts });
      expect(
        [...new Set(judgement.violations.map((one) => one.rule))],
        JSON.stringify(judgement.violations.map((one) => one.text)),
      ).to.deep.equal(expected);
    });
  }

  it('says what it met, in the order in which it happened', () => {
    const parked = straight()
      .fault('f', 'slow', 'all', 90)
      .at(60)
      .end('c1', 'parked')
      .at(70)
      .connect('c2', 'a')
      .finish(100);
    expect([...judge(parked.lines(), FACTS).seen]).to.include('parked');
    const lease = straight()
      .at(60)
      .end('c1', 'parked')
      .at(65)
      .fault('f', 'slow', 'all', 90)
      .at(70)
      .connect('c2', 'a')
      .finish(100);
    expect([...judge(lease.lines(), FACTS).seen]).to.not.include('parked');
  });

  const broken: readonly (readonly [string, (lines: HistoryLine[]) => HistoryLine[]])[] = [
    ['a file without an end', (lines) => lines.filter((line) => !(line.w === 'cons' && line.k === 'eof'))],
    ['a hole in the numbers', (lines) => lines.filter((line) => !(line.w === 'sim' && line.i === 2))],
    [
      'a time that goes back',
      (lines) =>
        lines.map((line) =>
          line.w === 'sim' && line.i === 3
            ? { ...line, t: '0' }
            : line.w === 'sim' && line.i === 2
              ? { ...line, t: '9' }
              : line,
        ),
    ],
    [
      'an event on a closed connection',
      (lines) => lines.map((line) => (line.k === 'ev.tx' ? { ...line, conn: 'c9' } : line)),
    ],
    [
      'a fault that was never ended',
      (lines) => [
        ...lines.filter((line) => line.w !== 'nem'),
        { w: 'nem', i: 0, t: '1', k: 'n.on', f: 'x' },
        { w: 'nem', i: 1, t: '2', k: 'eof' },
      ],
    ],
  ];
  for (const [name, spoil] of broken) {
    it(`${name}: INVALID, not FAIL`, () => {
      expect(judge(spoil([...straight().lines()]), FACTS).verdict).to.equal('INVALID');
    });
  }
});
