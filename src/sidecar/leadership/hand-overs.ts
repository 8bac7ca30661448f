import type { Leases, SelfReport } from '../../coordination/leases.ts';
import { heirsOf } from '../../core/lease/candidate-ranking.ts';
import type { LeaseInput } from '../../core/lease/lease.ts';
import type { Deps } from '../runtime/environment.ts';
import type { Unfit } from './fitness.ts';
import { aliveMembers, type LeaseEntry } from './lease-entry.ts';
import { handingOver } from './lease-status.ts';

/** Share of the time there is to stop in which an heir is looked for. */
const OFFER_SHARE = 0.4;
/** Share of the time there is to stop that is left for acknowledgements. */
const DRAIN_SHARE = 0.4;

/** Carries out the steps of a hand-over in the election. The election implements it. */
export interface HandOverPort {
  self(): SelfReport;
  audit(
    entry: LeaseEntry,
    event: Parameters<Deps['audit']['write']>[0],
    fields: Readonly<Record<string, unknown>>,
  ): void;
  /** The id of this replica. */
  readonly own: string;
  readonly stopping: boolean;
  dispatch(entry: LeaseEntry, input: LeaseInput): void;
  /** Reads the list of candidates again; the old one stays when the store does not answer. */
  refresh(entry: LeaseEntry): Promise<void>;
}

interface HandOverOptions {
  /** True when the replica stops: it takes no other lease, and gives this one back if no heir is found. */
  readonly final: boolean;
  readonly limitMs?: number;
  /** Why this replica cannot do the work itself. */
  readonly why?: Unfit;
}

/** Gives leases to other replicas, and gets ready to take one over. */
export class HandOvers {
  readonly #leases: Leases;
  readonly #deps: Deps;
  readonly #port: HandOverPort;
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(leases: Leases, deps: Deps, port: HandOverPort) {
    this.#leases = leases;
    this.#deps = deps;
    this.#port = port;
  }

  /** Gives a lease away. Resolves when that is done or given up. @returns how many replicas were asked. */
  async giveUp(entry: LeaseEntry, { final, limitMs = Infinity, why }: HandOverOptions): Promise<number> {
    const { lease } = entry.candidate;
    if (entry.state.role.kind === 'leading') await this.#port.refresh(entry);
    const alive = aliveMembers(entry, this.#port.own, this.#deps.nowMs());
    // A replica whose credentials are refused does not work either; it is asked only where it can prove that they no
    // longer are.
    const able = why === undefined || why === 'credentials' ? alive : alive.filter((member) => !member.refused);
    // No replica hears an offer while the store is away.
    const heirs = entry.state.linked ? heirsOf(this.#port.own, lease, able) : [];
    if (!handingOver(entry.state)) entry.proving = why === 'credentials';
    const drainMs = limitMs * DRAIN_SHARE;
    this.#port.dispatch(entry, { kind: 'hand-over', heirs, final, drainMs });
    if (!handingOver(entry.state)) return heirs.length;
    const timer = Number.isFinite(limitMs)
      ? setTimeout(() => {
          this.#port.dispatch(entry, { kind: 'hand-over', heirs: [], final, drainMs });
        }, limitMs * OFFER_SHARE)
      : undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.set(lease, [...(this.#waiting.get(lease) ?? []), resolve]);
    });
    clearTimeout(timer);
    return heirs.length;
  }

  /** Forgets the hand-over of a lease that is not being given away any more. */
  ended(lease: string): void {
    for (const done of this.#waiting.get(lease)?.splice(0) ?? []) done();
  }

  /** Makes ready to take the lease over, then names the token for the transfer. */
  accept(entry: LeaseEntry, offer: { readonly epoch: number; readonly prove: boolean }): void {
    entry.candidate
      .warm(offer.epoch, offer.prove)
      .then(async (ready) => {
        // Meanwhile this replica may have been told to stop, or may lead already.
        if (!ready || this.#port.stopping || entry.state.role.kind !== 'standby') return;
        const token = this.#tokenFor(entry);
        this.#port.dispatch(entry, { kind: 'accepted', token });
        await this.#leases.publish({ kind: 'warm', lease: entry.candidate.lease, heir: this.#port.own, token });
      })
      .catch((error: unknown) => {
        this.#deps.log.warn({ err: error, client: entry.candidate.client }, 'not ready to take over');
      });
  }

  /** Returns the same token for a second offer: the first answer may still be on its way. */
  #tokenFor({ state: { expecting } }: LeaseEntry): string {
    if (expecting !== undefined && expecting.untilMs > this.#deps.nowMs()) return expecting.token;
    return this.#deps.randomId() + this.#deps.randomId();
  }
}
