import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EmbeddedStore } from '../../../src/coordination/embedded/embedded-store.ts';
import { LocalLeases } from '../../../src/coordination/embedded/local-leases.ts';
import type { Notice } from '../../../src/coordination/leases.ts';
import { DeadHints } from '../../../src/sidecar/replica/dead-hints.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';

class Hearing extends LocalLeases {
  readonly #listeners: ((notice: Notice) => void)[] = [];

  override onNotice(listener: (notice: Notice) => void): void {
    this.#listeners.push(listener);
  }

  tell(notice: Notice): void {
    for (const listener of this.#listeners) listener(notice);
  }
}

/** Found and mended: A15. */
describe('somebody says that a connection of ours is dead', () => {
  const cuts: string[] = [];
  let nowMs = 0;
  const held = [
    { connectionId: 'silent', silentMs: 12_000 },
    { connectionId: 'silent too', silentMs: 10_000 },
    { connectionId: 'heard', silentMs: 9999 },
    { connectionId: 'healthy', silentMs: 0 },
  ];
  const hints = new DeadHints(
    () => held,
    (id) => cuts.push(id),
    () => nowMs,
  );

  it('it is cut only when we have not heard from it either, at most one a second', () => {
    for (const id of ['heard', 'healthy', 'unknown', '']) hints.heard(id);
    expect(cuts).to.deep.equal([]);
    hints.heard('silent');
    hints.heard('silent too');
    nowMs = 999;
    hints.heard('silent too');
    expect(cuts).to.deep.equal(['silent']);
    nowMs = 1000;
    hints.heard('silent too');
    expect(cuts).to.deep.equal(['silent', 'silent too']);
  });

  let sim: Simulator | undefined;
  let sidecar: TestSidecar | undefined;
  after(async () => {
    await sidecar?.stop();
    await sim?.close();
  });

  it('a live stream goes on', async () => {
    const platform = new Simulator({ port: 0, rate: 0, size: 200, keys: 3, serverPingEveryMs: 100 });
    sim = platform;
    const file = writeDocuments({ simPort: await platform.listen(), dialect: 'genesys-streams' });
    const store = new EmbeddedStore(mkdtempSync(join(tmpdir(), 'hf-hints-')));
    const leases = new Hearing(store, () => performance.now());
    const replica = await new TestSidecar(file, store, leases).start();
    sidecar = replica;
    await until('it is open', () => replica.audits('connection.opened').length === 1);
    const connection = String(replica.audits('connection.opened')[0]?.['connectionId']);
    leases.tell({ kind: 'dead', connection });
    platform.generate(1);
    await until('the event comes', () => replica.stream.events.received === 1);
    expect(replica.audits('connection.opened')).to.have.length(1);
    expect(platform.connections).to.have.length(1);
  });
});
