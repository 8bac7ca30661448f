import { loadDocuments } from '../../src/config/load-documents.ts';
import { resolve } from '../../src/config/plan.ts';
import type { Store } from '../../src/coordination/store.ts';
import { ClientCandidate } from '../../src/sidecar/leadership/client-candidate.ts';
import { StoreRefusals } from '../../src/sidecar/runtime/store-refusals.ts';
import { StoreTrouble } from '../../src/sidecar/runtime/store-trouble.ts';
import { writeDocuments, type DocumentOptions } from './documents.ts';
import { TestSidecar } from './sidecar.ts';
import { until } from './until.ts';

/** A candidate that leads one client with one stream, without an election, on a clock that the test can put forward. */
export class LeadingCandidate {
  readonly world: TestSidecar;
  readonly candidate: ClientCandidate;
  readonly held = { epoch: 0, openUntilMs: Infinity, holder: '' };
  aheadMs = 0;

  constructor(documents: DocumentOptions, store?: Store) {
    const file = writeDocuments(documents);
    this.world = new TestSidecar(file, store);
    const [plan] = resolve(loadDocuments([file]));
    if (plan === undefined) throw new Error('the documents hold no client');
    const { deps } = this.world;
    this.candidate = new ClientCandidate(
      plan,
      {
        ...deps,
        nowMs: () => deps.nowMs() + this.aheadMs,
        storeTrouble: new StoreTrouble(),
        refusals: new StoreRefusals(deps.log),
      },
      { held: () => this.held, doubt: () => undefined },
    );
  }

  async lead(): Promise<this> {
    this.held.epoch = await this.world.store.claim(this.candidate.lease, 'me', 0);
    this.candidate.lead(this.held.epoch, { how: 'acquired', forgot: false });
    await until('its streams have begun', () => this.candidate.complete);
    return this;
  }

  async stop(): Promise<void> {
    this.candidate.lost('stopped');
    await this.world.store.close();
  }
}
