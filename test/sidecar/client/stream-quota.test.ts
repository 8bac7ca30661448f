import { expect } from 'chai';
import type { StreamPool, PoolRequest } from '../../../src/coordination/stream-pool.ts';
import type { ClientPlan } from '../../../src/config/plan.ts';
import type { Deps } from '../../../src/sidecar/runtime/environment.ts';
import { StreamQuota } from '../../../src/sidecar/client/stream-quota.ts';

describe('the places of a client in its pool', () => {
  // Found and mended: A23.
  it('a stream that starts while its term ends takes none', async () => {
    const asked: PoolRequest[] = [];
    const pool: StreamPool = {
      admit: (request) => {
        asked.push(request);
        return Promise.resolve({ kind: 'granted' });
      },
      leave: () => Promise.resolve(),
    };
    const plan = { platform: 'p', tenantId: 't', lease: 'L', streams: [], dialing: { maxStreams: 1 } };
    const slots = new StreamQuota(plan as unknown as ClientPlan, { pool } as unknown as Deps, () => undefined);
    slots.want('before');
    await Promise.resolve();
    expect(slots.takeNotes()).to.deep.equal([{ kind: 'granted', stream: 'before' }]);
    slots.stop(true);
    slots.want('after');
    slots.want('before');
    await Promise.resolve();
    expect(asked.map((one) => one.stream)).to.deep.equal(['L/before']);
    expect(slots.takeNotes()).to.deep.equal([]);
    expect(slots.waiting).to.deep.equal([]);
  });
});
