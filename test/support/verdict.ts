import { expect } from 'chai';
import { PROFILES } from '../../src/platforms/index.ts';
import type { Dialect } from '../../src/platforms/profile.ts';
import type { Received, SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import type { SimEvent } from '../../src/simulator/journal.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';

export interface GapSeen {
  readonly from: string;
  readonly to: string;
  readonly cause: string;
  readonly fromTime?: string;
  readonly toTime?: string;
}

/** Judges a run by the simulator's and the consumer's own records only. */
export class Verdict {
  readonly #sim: Simulator;
  readonly #consumer: SampleConsumer;
  readonly #dialect: Dialect;
  readonly #all: SimEvent[] = [];
  readonly #path: string;
  /** All before this one have been delivered or announced as missing: they stay so. */
  #settled = 0;
  #from = Infinity;

  constructor(sim: Simulator, consumer: SampleConsumer, dialect: Dialect) {
    this.#sim = sim;
    this.#consumer = consumer;
    this.#dialect = dialect;
    const profile = PROFILES[dialect];
    this.#path = profile.path.replace('{path}', profile.paths[0] ?? '');
    const journal = sim.journal(this.#path);
    const generate = journal.generate.bind(journal);
    // Purged and restarted events are gone from the journal; the verdict needs them all.
    journal.generate = (size, keys) => {
      const event = generate(size, keys);
      this.#all.push(event);
      return event;
    };
  }

  get path(): string {
    return this.#path;
  }

  /** Everything generated since the first subscription: the platform offered it. */
  offered(): readonly SimEvent[] {
    const from = this.#offeredFrom();
    return this.#all.filter((event) => isOffered(event, from));
  }

  /** Looked up until it is known: the history keeps the latest records only. */
  #offeredFrom(): number {
    if (this.#from !== Infinity) return this.#from;
    const first = this.#sim.history.of('sub.on')[0];
    if (typeof first?.['from'] === 'number') this.#from = first['from'];
    return this.#from;
  }

  gaps(): readonly GapSeen[] {
    return this.#consumer.controls
      .filter((event) => event.type === 'dev.holdfast.gap.detected')
      .map((event) => event.data as GapSeen);
  }

  missing(): readonly SimEvent[] {
    return this.offered().filter((event) => !this.#consumer.has(event.id));
  }

  /**
   * Nothing is missing that is not announced. Cheap enough to be asked every few milliseconds: it goes on where it
   * last found one missing.
   */
  complete(): boolean {
    const from = this.#offeredFrom();
    for (let at = this.#settled; at < this.#all.length; at += 1) {
      const event = this.#all[at];
      if (event !== undefined && isOffered(event, from) && !this.#consumer.has(event.id) && !this.#covered(event))
        return false;
      if (from !== Infinity) this.#settled = at + 1;
    }
    return true;
  }

  /** C1 no loss, C2 honest gaps, C3 order, C4 duplicates, C10 integrity. */
  check(options: { readonly maxDuplicates: number; readonly gaps?: number }): void {
    const missing = this.missing().filter((event) => !this.#covered(event));
    expect(
      missing.map((event) => event.seq),
      'lost events',
    ).to.deep.equal([]);
    expect(this.#consumer.repeats, 'duplicates').to.be.at.most(options.maxDuplicates);
    if (options.gaps !== undefined) expect(this.gaps().length, 'gap records').to.equal(options.gaps);
    this.#checkOrder();
    this.#checkIntegrity();
    if (PROFILES[this.#dialect].streamClass === 'A') this.#checkGapsExact();
  }

  #covered(event: SimEvent): boolean {
    return this.gaps().some((gap) => {
      if (gap.fromTime !== undefined && gap.toTime !== undefined)
        return event.atMs >= Date.parse(gap.fromTime) && event.atMs <= Date.parse(gap.toTime);
      return PROFILES[this.#dialect].streamClass === 'A'
        ? event.seq >= Number(gap.from) && event.seq <= Number(gap.to)
        : gap.cause === 'retention_exceeded';
    });
  }

  /** Per key, the first delivery of each event comes after that of all earlier ones. */
  #checkOrder(): void {
    const seen = new Set<string>();
    const last = new Map<string, number>();
    for (const event of this.#data()) {
      if (seen.has(event.id)) continue;
      seen.add(event.id);
      if (event.replay === 'backfill') continue;
      const n = numberOf(event);
      const generation = event.id.split('-').at(-2) ?? '0';
      const key = `${generation}/${event.key}`;
      expect(n, `order of key ${event.key}`).to.be.greaterThan(last.get(key) ?? 0);
      last.set(key, n);
    }
  }

  /** The payload is what the platform made. */
  #checkIntegrity(): void {
    const made = new Map(this.#all.map((event) => [event.id, event]));
    for (const event of this.#data()) {
      const original = made.get(event.id);
      if (original !== undefined)
        expect(event.data, `payload of ${event.id}`).to.deep.equal(JSON.parse(original.bytes.toString()));
    }
  }

  /** Neither end of a gap may reach an event that was delivered. */
  #checkGapsExact(): void {
    const received = new Set(this.#data().map((event) => event.id));
    const bySeq = new Map(this.#all.map((event) => [event.seq, event.id]));
    for (const gap of this.gaps()) {
      if (gap.cause === 'sequence_restarted') continue;
      for (let seq = Number(gap.from); seq <= Number(gap.to); seq += 1) {
        const id = bySeq.get(seq);
        expect(id !== undefined && received.has(id), `event ${String(seq)} is inside a gap and was delivered`).to.equal(
          false,
        );
      }
    }
  }

  #data(): readonly Received[] {
    return this.#consumer.received.filter((event) => !event.type.startsWith('dev.holdfast.'));
  }
}

/** Events of the first generation count from the first subscription on; later generations begin after it. */
function isOffered(event: SimEvent, from: number): boolean {
  return !event.id.includes('-0-') || event.seq >= from;
}

function numberOf(event: Received): number {
  const data = event.data as { readonly data: { readonly n: number } };
  return data.data.n;
}
