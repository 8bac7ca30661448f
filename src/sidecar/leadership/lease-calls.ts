import type { Leases, Notice, SelfReport, Sighting } from '../../coordination/leases.ts';
import { HoldfastError } from '../../core/errors.ts';
import type { LeaseEffect, LeaseInput } from '../../core/lease/lease.ts';
import type { Deps } from '../runtime/environment.ts';

type Effect<K extends LeaseEffect['kind']> = Extract<LeaseEffect, { kind: K }>;

/** Takes the store's answers about leases. The election implements it. */
export interface LeaseAnswers {
  /** Returns what this replica reports of itself with a call. */
  self(): SelfReport;
  answered(lease: string, input: LeaseInput): void;
  seen(lease: string, sighting: Sighting, sentAtMs: number): void;
  /** Takes that the store did not answer; `input` goes to the lease's machine then. */
  failed(lease: string, error: unknown, input: LeaseInput): void;
  /** Takes that the lock of a vanished holder was removed. */
  broken(lease: string, why: Effect<'break'>['why']): void;
  handedOver(lease: string, heir: string, epoch: number): void;
}

/**
 * Asks the store about leases and passes its answers on. Looks, renewals and proofs of all leases that are due in one
 * turn go out together.
 */
export class LeaseCalls {
  readonly #leases: Leases;
  readonly #deps: Deps;
  readonly #port: LeaseAnswers;
  /** Calls without an answer: an answer may have to be acted on, also at the end. */
  readonly #asked = new Set<Promise<unknown>>();
  #looks = new Set<string>();
  #renewals = new Map<string, Effect<'renew'> & { readonly ttlMs: number }>();
  #proofs = new Map<string, string>();
  #due = false;

  constructor(leases: Leases, deps: Deps, port: LeaseAnswers) {
    this.#leases = leases;
    this.#deps = deps;
    this.#port = port;
  }

  look(lease: string): void {
    this.#looks.add(lease);
    this.#soon();
  }

  renew(lease: string, effect: Effect<'renew'>, ttlMs: number): void {
    this.#renewals.set(lease, { ...effect, ttlMs });
    this.#soon();
  }

  prove(lease: string, { conn }: Effect<'prove'>): void {
    this.#proofs.set(lease, conn);
    this.#soon();
  }

  acquire(lease: string, { gen, incarnation, fenceToken, beat, floor }: Effect<'acquire'>, ttlMs: number): void {
    this.#ask(
      this.#leases.acquire(lease, { ttlMs, incarnation, fenceToken, beat, floor }, this.#port.self()),
      (answer) => {
        this.#port.answered(
          lease,
          answer.kind === 'won'
            ? { ...answer, kind: 'acquired', gen, unit: this.#deps.random() }
            : { kind: 'not-acquired', gen, why: answer.kind },
        );
      },
      (error: unknown) => {
        this.#port.failed(lease, error, { kind: 'not-acquired', gen, why: 'failed' });
      },
    );
  }

  break(lease: string, { token, conn, beat, why }: Effect<'break'>): void {
    const of = { token, conn: why === 'no_renewal' ? undefined : conn, beat };
    this.#ask(this.#leases.break(lease, of), (done) => {
      // Refused: a newer holder is there, or another standby was faster. The next look shows it.
      if (!done) return;
      this.#port.broken(lease, why);
      this.#port.answered(lease, { kind: 'broken' });
    });
  }

  /** Gives the lease back. Drops a renewal that was not sent yet: it must not follow. */
  release(lease: string, { token }: Effect<'release'>): void {
    this.#renewals.delete(lease);
    this.#ask(this.#leases.release(lease, token), () => undefined);
  }

  transfer(lease: string, effect: Effect<'transfer'>, ttlMs: number): void {
    const { token, epoch, nextEpoch, heir, heirToken } = effect;
    this.#ask(
      this.#leases.transfer(lease, { token, epoch }, { heir, token: heirToken, epoch: nextEpoch }, ttlMs),
      (ok) => {
        if (ok) this.#port.handedOver(lease, heir, nextEpoch);
        this.#port.answered(lease, { kind: 'transferred', epoch, ok });
      },
      (error: unknown) => {
        this.#port.failed(lease, error, { kind: 'transferred', epoch, ok: false });
      },
    );
  }

  tell(notice: Notice): void {
    this.#ask(this.#leases.publish(notice), () => undefined);
  }

  /** Resolves when no call is unanswered: a lease that is won while the replica stops is given back before. */
  async answered(): Promise<void> {
    while (this.#asked.size > 0) await Promise.allSettled(this.#asked);
  }

  #ask<T>(
    work: Promise<T>,
    then: (value: T) => void,
    failed = (error: unknown): void => {
      this.#deps.log.debug({ err: error }, 'the store did not carry out a step of the lease');
    },
  ): void {
    const asked = work.then(then, failed).finally(() => {
      this.#asked.delete(asked);
    });
    this.#asked.add(asked);
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

  #sendRenewalsOf(due: readonly (readonly [string, Effect<'renew'>])[], ttlMs: number): void {
    const requests = due.map(([lease, { token, epoch, notAfterStoreMs }]) => ({
      lease,
      token,
      epoch,
      notAfterStoreMs,
    }));
    // One unit for the batch keeps its leases together at the next one.
    const unit = this.#deps.random();
    this.#leases.renew(requests, ttlMs, this.#port.self()).then(
      (answers) => {
        for (const [lease, { gen }] of due) {
          const answer = answers.get(lease);
          if (answer === undefined)
            this.#port.failed(lease, unreadable(lease), { kind: 'not-renewed', gen, why: 'failed' });
          else
            this.#port.answered(
              lease,
              answer.kind === 'renewed' ? { ...answer, gen, unit } : { kind: 'not-renewed', gen, why: answer.kind },
            );
        }
      },
      (error: unknown) => {
        for (const [lease, { gen }] of due)
          this.#port.failed(lease, error, { kind: 'not-renewed', gen, why: 'failed' });
      },
    );
  }

  #sendLooks(): void {
    const leases = [...this.#looks];
    if (leases.length === 0) return;
    this.#looks = new Set();
    const sentAtMs = this.#deps.nowMs();
    this.#leases.observe(leases, this.#port.self()).then(
      (sightings) => {
        for (const lease of leases) {
          const sighting = sightings.get(lease);
          if (sighting === undefined) this.#port.failed(lease, unreadable(lease), { kind: 'look-failed' });
          else this.#port.seen(lease, sighting, sentAtMs);
        }
      },
      (error: unknown) => {
        for (const lease of leases) this.#port.failed(lease, error, { kind: 'look-failed' });
      },
    );
  }

  #sendProofs(): void {
    const due = this.#proofs;
    if (due.size === 0) return;
    this.#proofs = new Map();
    this.#leases.gone([...new Set(due.values())]).then(
      (answers) => {
        for (const [lease, conn] of due) this.#port.answered(lease, { kind: 'proof', conn, gone: answers?.get(conn) });
      },
      () => {
        for (const [lease, conn] of due) this.#port.answered(lease, { kind: 'proof', conn, gone: undefined });
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
