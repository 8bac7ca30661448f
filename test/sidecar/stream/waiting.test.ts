import { expect } from 'chai';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';

interface Waiting {
  readonly state: string;
  readonly reason?: string;
  readonly nextAttemptEpochMs?: number;
}

describe('what the status says of a stream that is not connected', () => {
  const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 1, serverPingEveryMs: 100 });
  let sidecar: TestSidecar;
  after(async () => {
    await sidecar.stop();
    await sim.close();
  });

  it('why, and when the next attempt is made; neither once it is connected again', async () => {
    sidecar = await new TestSidecar(
      writeDocuments({ simPort: await sim.listen(), dialect: 'genesys-streams' }),
    ).start();
    const waiting = (): Waiting => sidecar.stream;
    await until('the stream is open', () => waiting().state === 'OPEN');
    expect(waiting()).to.include({ reason: undefined, nextAttemptEpochMs: undefined });
    sim.do({ do: 'set', faults: { upgrade: { status: 429, retryAfter: 2, times: 1 } } });
    sim.do({ do: 'drop' });
    await until('it was refused', () => sim.history.of('conn.rej').length > 0);
    const refusedAtMs = Date.now();
    await until('it knows', () => waiting().reason === 'rate_limited');
    expect(waiting()).to.include({ state: 'BACKOFF' });
    expect(waiting().nextAttemptEpochMs).to.be.within(refusedAtMs + 1000, Date.now() + 2000);
    await until('it is open again', () => waiting().state === 'OPEN');
    expect(waiting()).to.include({ reason: undefined, nextAttemptEpochMs: undefined });
  });
});
