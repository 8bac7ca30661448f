import { ApiError, microTime, type Kube } from '../api/kube.ts';

export interface LeaderElectionPolicy {
  /** A lease that was not renewed for so long may be taken. */
  readonly leaseMs: number;
  /** The leader stops writing when its last renewal is older. Less than leaseMs. */
  readonly renewMs: number;
  readonly retryMs: number;
}

interface LeaseObject {
  readonly metadata: Record<string, unknown>;
  readonly spec: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string;
    readonly acquireTime?: string;
    readonly leaseTransitions?: number;
  };
}

/**
 * Elects the controller that writes: one at a time, by a coordination.k8s.io Lease and the API server's compare of
 * resource versions. Others' clocks are not read: a lease counts from the moment this process saw it change. Streams
 * never depend on it.
 */
export class LeaderElection {
  readonly #kube: Kube;
  readonly #path: string;
  readonly #name: string;
  readonly #id: string;
  readonly #policy: LeaderElectionPolicy;
  readonly #nowMs: () => number;
  readonly #nowEpochMs: () => number;
  #renewedMs = -Infinity;
  #seen = { version: '', atMs: -Infinity };
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  onTrouble: (error: unknown) => void = () => undefined;

  constructor(
    kube: Kube,
    lease: { readonly namespace: string; readonly name: string; readonly id: string },
    policy: LeaderElectionPolicy,
    clock: { readonly nowMs: () => number; readonly nowEpochMs: () => number },
  ) {
    this.#kube = kube;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${lease.namespace}/leases`;
    this.#name = lease.name;
    this.#id = lease.id;
    this.#policy = policy;
    this.#nowMs = clock.nowMs;
    this.#nowEpochMs = clock.nowEpochMs;
  }

  start(): void {
    this.#timer = setInterval(() => {
      void this.#look();
    }, this.#policy.retryMs);
    void this.#look();
  }

  /** True while this controller leads; to be asked before each write. */
  get leading(): boolean {
    return this.#nowMs() - this.#renewedMs < this.#policy.renewMs;
  }

  /** Gives the lease back. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (!this.leading) return;
    this.#renewedMs = -Infinity;
    await this.#kube
      .patch(`${this.#path}/${this.#name}`, { spec: { holderIdentity: '', leaseDurationSeconds: 1 } })
      .catch(() => undefined); // it expires
  }

  async #look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const sentMs = this.#nowMs();
    try {
      const lease = await this.#read();
      if (lease === undefined) await this.#kube.create(this.#path, this.#mine(undefined));
      else if (!this.#mayTake(lease)) return;
      else await this.#kube.replace(`${this.#path}/${this.#name}`, this.#mine(lease));
      this.#renewedMs = sentMs;
    } catch (error) {
      // Another controller was faster: the next look shows which.
      if (!(error instanceof ApiError) || error.status !== 409) this.onTrouble(error);
    } finally {
      this.#busy = false;
    }
  }

  async #read(): Promise<LeaseObject | undefined> {
    try {
      return (await this.#kube.get(`${this.#path}/${this.#name}`)) as LeaseObject;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  #mayTake(lease: LeaseObject): boolean {
    const version = String(lease.metadata['resourceVersion']);
    if (version !== this.#seen.version) this.#seen = { version, atMs: this.#nowMs() };
    const holder = lease.spec.holderIdentity ?? '';
    return (
      holder === this.#id ||
      holder === '' ||
      this.#nowMs() - this.#seen.atMs > Math.max(this.#policy.leaseMs, (lease.spec.leaseDurationSeconds ?? 0) * 1000)
    );
  }

  #mine(lease: LeaseObject | undefined): unknown {
    const now = microTime(this.#nowEpochMs());
    const same = lease?.spec.holderIdentity === this.#id;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease?.metadata ?? { name: this.#name },
      spec: {
        holderIdentity: this.#id,
        leaseDurationSeconds: Math.ceil(this.#policy.leaseMs / 1000),
        renewTime: now,
        acquireTime: same ? lease.spec.acquireTime : now,
        leaseTransitions: (lease?.spec.leaseTransitions ?? 0) + (same ? 0 : 1),
      },
    };
  }
}
