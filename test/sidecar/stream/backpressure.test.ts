import { expect } from 'chai';
import type { LivenessPolicy } from '../../../src/core/session/liveness.ts';
import { Backpressure, mayUnpark } from '../../../src/sidecar/stream/backpressure.ts';

const POLICY = { ping: undefined, watchdog: undefined } as unknown as LivenessPolicy;
const fill = (bufferedBytes: number) => ({ bufferedBytes, maxBytes: 1000 });

describe('backpressure', () => {
  it(
    'pauses when the buffer is full, reads on when it is half ' + 'empty, parks when it is full still after a second',
    () => {
      const pressure = new Backpressure(POLICY);
      expect(pressure.look(fill(999), 0)).to.equal('nothing');
      expect(pressure.look(fill(1000), 0)).to.equal('pause');
      expect([pressure.look(fill(1000), 999), pressure.deadline()]).to.deep.equal(['nothing', 1000]);
      expect(pressure.look(fill(499), 999)).to.equal('resume');
      expect(pressure.look(fill(1000), 2000)).to.equal('pause');
      expect(pressure.look(fill(1000), 3000)).to.equal('park');
      expect(pressure.deadline()).to.equal(undefined);
    },
  );

  // Found and mended: A3, D2
  it('a pause ends after a second although the buffer is neither full nor half empty', () => {
    const pressure = new Backpressure(POLICY);
    pressure.look(fill(1000), 0);
    expect(pressure.look(fill(700), 500)).to.equal('nothing');
    expect(pressure.look(fill(700), 1000)).to.equal('resume');
    expect(pressure.paused).to.equal(false);
  });

  it('a parked stream may connect again when its buffer is half empty', () => {
    expect([mayUnpark(fill(500)), mayUnpark(fill(499))]).to.deep.equal([false, true]);
  });
});
