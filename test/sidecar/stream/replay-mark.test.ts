import { expect } from 'chai';
import type { EventView } from '../../../src/platforms/frame-reader.ts';
import { ReplayMark } from '../../../src/sidecar/stream/replay-mark.ts';

const LIMITS = { maxInFlight: 1, maxUncheckpointed: 1 };

/** All that the mark looks at. */
const made = (atMs: number): EventView => ({ text: () => String(atMs) }) as unknown as EventView;

function restarted(): ReplayMark {
  const mark = new ReplayMark();
  mark.restarted(LIMITS, 10_000);
  mark.linkOpened(10_000);
  mark.accepted();
  mark.accepted();
  return mark;
}

describe('what is marked as delivered before', () => {
  it(
    'is after a restart all that was made before it, however late it comes, and nothing once it has been newer ' +
      'for two seconds',
    () => {
      const mark = restarted();
      expect(mark.of(made(60_000), 10_100), 'stamped ahead').to.equal('resume');
      expect(mark.of(made(4000), 10_200), 'made before').to.equal('resume');
      expect(mark.of(made(10_300), 10_300), 'newer, and not for long').to.equal('resume');
      expect(mark.of(made(9000), 11_000), 'made before').to.equal('resume');
      expect(mark.of(made(11_100), 11_100)).to.equal('resume');
      expect(mark.of(made(13_100), 13_100)).to.equal('live');
    },
  );

  it('ends after a minute without an older one where the clock of the platform is ahead of ours', () => {
    const mark = restarted();
    expect(mark.of(made(10_600), 10_100)).to.equal('resume');
    expect(mark.of(made(70_700), 70_200)).to.equal('live');
    expect(mark.of(made(71_700), 71_200)).to.equal('live');
  });
});
