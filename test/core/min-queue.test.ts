import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { MinQueue } from '../../src/core/min-queue.ts';

/** The collector, on demand. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

describe('a queue with the lowest number first', () => {
  it('gives what a sorted list would, whatever comes in whatever order', () => {
    const command = fc.oneof({ arbitrary: fc.integer({ min: 0, max: 50 }), weight: 3 }, fc.constant('pop' as const));
    fc.assert(
      fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
        const queue = new MinQueue<number>();
        let model: number[] = [];
        for (const one of commands) {
          if (one === 'pop') {
            expect(queue.pop()).to.equal(model[0]);
            model = model.slice(1);
          } else {
            queue.push(one, one);
            model = [...model, one].sort((a, b) => a - b);
          }
          expect(queue.top).to.equal(model[0]);
          expect(queue.lowest).to.equal(model[0]);
        }
      }),
    );
  });

  it('keeps nothing alive that was taken', () => {
    const collect = collector();
    const queue = new MinQueue<object>();
    let first: WeakRef<object>;
    {
      const value = { bytes: Buffer.alloc(10) };
      first = new WeakRef(value);
      queue.push(1, value);
    }
    for (let n = 2; n < 10; n += 1) queue.push(n, {});
    queue.pop();
    return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      collect();
      expect(first.deref()).to.equal(undefined);
      expect(queue.lowest).to.equal(2);
    });
  });

  it('forgets what was taken of a long growing row', () => {
    const queue = new MinQueue<number>();
    for (let n = 0; n < 5000; n += 1) queue.push(n, n);
    for (let n = 0; n < 4000; n += 1) expect(queue.pop()).to.equal(n);
    queue.push(3, 3);
    expect(queue.pop()).to.equal(3);
    for (let n = 4000; n < 5000; n += 1) expect(queue.pop()).to.equal(n);
    expect(queue.pop()).to.equal(undefined);
  });
});
