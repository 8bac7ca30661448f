import type { Leases, SelfReport, Sighting } from '../../coordination/leases.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { LeaseEffect, LeaseInput } from '../../core/lease/lease.ts';
import type { Deps } from '../runtime/environment.ts';

type Renew = Extract<LeaseEffect, { kind: 'renew' }>;

export interface CallsHost {
  self(): SelfReport;
  answered(lease: string, input: LeaseInput): void;
  seen(lease: string, sighting: Sighting, sentAtMs: number): void;
  failed(lease: string, error: unknown, input: LeaseInput): void;
}

/** Looks, renewals and proofs of all leases that were asked for in one turn go out together. */
export class LeaseCalls {
  readonly #leases: Leases;
  readonly #deps: Deps;
  readonly #host: CallsHost;
  #looks = new Set<string>();
  #renewals = new Map<string, Renew & { readonly ttlMs: number }>();
  #proofs = new Map<string, string>();
  #due = false;

  constructor(leases: Leases, deps: Deps, host: CallsHost) {
    this.#leases = leases;
    this.#deps = deps;
    this.#host = host;
  }

  look(lease: string): void {
    this.#looks.add(lease);
    this.#soon();
  }

  renew(lease: string, effect: Renew, ttlMs: number): void {
    this.#renewals.set(lease, { ...effect, ttlMs });
    this.#soon();
  }

  /** A renewal that was not sent yet must not follow a release. */
  forget(lease: string): void {
    this.#renewals.delete(lease);
  }

  prove(lease: string, conn: string): void {
    this.#proofs.set(lease, conn);
    this.#soon();
  }

  #soon(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      this.#sendRenewals();
      this.#sendLooks();
      this.#sendProofs();
    });
  }

  #sendRenewals(): void {
    const due = this.#renewals;
    this.#renewals = new Map();
    // Leases of one configuration usually share their ttl; a call carries one.
    for (const ttlMs of new Set([...due.values()].map((one) => one.ttlMs)))
      this.#sendRenewalsOf(
        [...due].filter(([, one]) => one.ttlMs === ttlMs),
        ttlMs,
      );
  }

  #sendRenewalsOf(due: readonly (readonly [string, Renew])[], ttlMs: number): void {
    const requests = due.map(([lease, { token, epoch, notAfterStoreMs }]) => ({
      lease,
      token,
      epoch,
      notAfterStoreMs,
    }));
    // One unit for the batch keeps its leases together at the next one.
    const unit = this.#deps.random();
    this.#leases.renew(requests, ttlMs, this.#host.self()).then(
      (answers) => {
        for (const [lease, { gen }] of due) {
          const answer = answers.get(lease);
          if (answer === undefined)
            this.#host.failed(lease, unreadable(lease), { kind: 'not-renewed', gen, why: 'failed' });
          else
            this.#host.answered(
              lease,
              answer.kind === 'renewed' ? { ...answer, gen, unit } : { kind: 'not-renewed', gen, why: answer.kind },
            );
        }
      },
      (error: unknown) => {
        for (const [lease, { gen }] of due)
          this.#host.failed(lease, error, { kind: 'not-renewed', gen, why: 'failed' });
      },
    );
  }

  #sendLooks(): void {
    const leases = [...this.#looks];
    if (leases.length === 0) return;
    this.#looks = new Set();
    const sentAtMs = this.#deps.nowMs();
    this.#leases.observe(leases, this.#host.self()).then(
      (sightings) => {
        for (const lease of leases) {
          const sighting = sightings.get(lease);
          if (sighting === undefined) this.#host.failed(lease, unreadable(lease), { kind: 'look-failed' });
          else this.#host.seen(lease, sighting, sentAtMs);
        }
      },
      (error: unknown) => {
        for (const lease of leases) this.#host.failed(lease, error, { kind: 'look-failed' });
      },
    );
  }

  #sendProofs(): void {
    const due = this.#proofs;
    if (due.size === 0) return;
    this.#proofs = new Map();
    this.#leases.gone([...new Set(due.values())]).then(
      (answers) => {
        for (const [lease, conn] of due) this.#host.answered(lease, { kind: 'proof', conn, gone: answers?.get(conn) });
      },
      () => {
        for (const [lease, conn] of due) this.#host.answered(lease, { kind: 'proof', conn, gone: undefined });
      }, // not allowed, or no answer: the ttl decides
    );
  }
}

function unreadable(lease: string): HoldfastError {
  return new HoldfastError(
    'HF_STORE_CORRUPT',
    `the keys of ${lease} hold something else; docs/redis-keys.md tells what belongs there`,
  );
}
