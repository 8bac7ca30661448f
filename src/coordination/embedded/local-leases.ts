import type { AcquireAnswer, Leases, Notice, RenewAnswer, RenewRequest, SelfReport, Sighting } from '../leases.ts';
import type { RedisConnectionState } from '../redis/redis-connection.ts';
import type { Store } from '../store.ts';

/**
 * Gives leadership where there is only one replica: it always leads. The epoch still grows with every start, because
 * checkpoints are fenced all the same.
 */
export class LocalLeases implements Leases {
  readonly #store: Store;
  readonly #nowMs: () => number;
  readonly #taken = new Set<string>();
  readonly storeAheadMs = 0;

  constructor(store: Store, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
  }

  onLink(listener: (state: RedisConnectionState) => void): void {
    setImmediate(() => {
      listener('up');
    });
  }

  onNotice(listener: (notice: Notice) => void): void {
    void listener; // there is no other replica
  }

  observe(leases: readonly string[], self: SelfReport): Promise<ReadonlyMap<string, Sighting>> {
    const member = { ...self, refused: false, seenStoreMs: this.#nowMs(), sinceStoreMs: this.#nowMs() };
    const view = {
      pttlMs: Infinity,
      epoch: 0,
      fenceToken: '',
      formerSelf: false,
      state: 'released' as const,
      conn: '',
      beat: '',
      incarnation: 'local',
      storeMs: this.#nowMs(),
    };
    return Promise.resolve(
      new Map(
        leases.map((lease) => [
          lease,
          { view: { ...view, token: this.#taken.has(lease) ? 'another' : undefined }, holder: '', members: [member] },
        ]),
      ),
    );
  }

  async acquire(lease: string, want: { readonly floor: number }, self: SelfReport): Promise<AcquireAnswer> {
    const epoch = await this.#store.claim(lease, self.id, want.floor);
    return { kind: 'won', token: 'local', epoch, storeMs: this.#nowMs(), incarnation: 'local' };
  }

  /**
   * Renews the leases. Another process that took the epoch of this directory has the last word: its epoch is never
   * taken back.
   */
  async renew(requests: readonly RenewRequest[]): Promise<ReadonlyMap<string, RenewAnswer>> {
    const out = new Map<string, RenewAnswer>();
    for (const { lease, epoch } of requests) {
      if ((await this.#store.epoch(lease)) > epoch) this.#taken.add(lease);
      out.set(
        lease,
        this.#taken.has(lease)
          ? { kind: 'lost' }
          : { kind: 'renewed', storeMs: this.#nowMs(), incarnation: 'local', forgotten: false },
      );
    }
    return out;
  }

  gone(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  break(): Promise<boolean> {
    return Promise.resolve(false);
  }

  release(): Promise<boolean> {
    return Promise.resolve(true);
  }

  transfer(): Promise<boolean> {
    return Promise.resolve(false);
  }

  publish(): Promise<void> {
    return Promise.resolve();
  }

  leave(): Promise<void> {
    return Promise.resolve();
  }
}
