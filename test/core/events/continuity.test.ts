import { expect } from 'chai';
import fc from 'fast-check';
import { aliveUntil, BESIDE_GAP, continuityRatio, downForMs, percent } from '../../../src/core/events/continuity.ts';
import { NO_PROGRESS_MS, noProgress } from '../../../src/core/events/no-progress.ts';
import { deadLetterLabel } from '../../../src/core/vocabulary.ts';

describe('continuity', () => {
  const whole = { counted: 1, gaps: 0, unknownMs: 0, totalMs: 60_000 };

  it('is the counted rate where all time is known', () => {
    expect(continuityRatio(whole)).to.equal(1);
    expect(continuityRatio({ ...whole, counted: 0.4, gaps: 1 })).to.equal(0.4);
  });

  // Found and mended: B12
  it('counts time of which nothing is known', () => {
    expect(continuityRatio({ ...whole, gaps: 1, unknownMs: 15_000 })).to.equal(0.75);
    expect(continuityRatio({ ...whole, unknownMs: 15_000 }), 'a break that still lasts').to.equal(0.75);
    expect(continuityRatio({ ...whole, gaps: 1, unknownMs: 90_000 })).to.equal(0);
  });

  // Found and mended: B12
  it('is never whole beside a gap, nor shown as whole, whatever the figures', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(1e9),
        fc.nat(1e9),
        fc.integer({ min: 0, max: 3 }),
        (counted, unknownMs, totalMs, digits) => {
          const ratio = continuityRatio({ counted, gaps: 1, unknownMs, totalMs });
          expect(ratio).to.be.within(0, BESIDE_GAP);
          expect(percent(ratio, digits)).to.not.match(/^100/);
        },
      ),
    );
    expect(percent(BESIDE_GAP, 3)).to.equal('99.999%');
    expect(percent(1, 2)).to.equal('100.00%');
    expect(percent(0.5, 0)).to.equal('50%');
  });
});

describe('how long a stream was down when it is taken over', () => {
  // Found and mended: B11
  it('since the last sign of the old leader, never less than nothing', () => {
    expect(downForMs(100_000, 95_000, 0)).to.equal(5000);
    expect(downForMs(100_000, 10_000, 94_000), 'idle, and the lease was seen').to.equal(6000);
    expect(downForMs(100_000, 130_000, 0), 'clocks differ').to.equal(0);
  });

  it('a leader that hands over was there until then; of one that expired the last renewal counts', () => {
    const at = { nowEpochMs: 100_000, seenEpochMs: 98_000, ttlMs: 6000 };
    expect(aliveUntil('transferred', at)).to.equal(100_000);
    expect(aliveUntil('acquired', at)).to.equal(92_000);
    expect(aliveUntil('acquired', { ...at, seenEpochMs: 0 })).to.equal(0);
  });
});

describe('progress', () => {
  const stuck = {
    backlog: 3,
    oldestMs: NO_PROGRESS_MS + 1000,
    sinceSettledMs: NO_PROGRESS_MS + 2000,
    held: false,
    open: true,
  };

  it('none: events wait, nothing holds them, and nothing is settled for minutes', () => {
    expect(noProgress(stuck)).to.equal(NO_PROGRESS_MS + 1000);
    for (const [what, over] of [
      ['nothing waits', { backlog: 0, oldestMs: undefined }],
      ['it came just now, after an idle hour', { oldestMs: 10 }],
      ['others are settled', { sinceSettledMs: 10 }],
      ['it is held', { held: true }],
      ['the lease is not open', { open: false }],
    ] as const)
      expect(noProgress({ ...stuck, ...over }), what).to.equal(undefined);
  });
});

describe('labels of dead letters', () => {
  // Found and mended: B2
  it("are few, whatever the consumer's words and statuses", () => {
    expect(deadLetterLabel('http_400')).to.equal('http_400');
    expect(deadLetterLabel('http_418')).to.equal('http_4xx');
    expect(deadLetterLabel('terminated:because I say so')).to.equal('terminated');
    expect(deadLetterLabel('attempts_exhausted:http_500')).to.equal('attempts_exhausted');
    expect(deadLetterLabel('never heard of')).to.equal('other');
  });
});
