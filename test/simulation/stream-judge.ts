import type { Checkpoint, DeadLetter } from '../../src/coordination/store.ts';
import type { Made } from './platform.ts';
import { read, type Delivered, type Verdicts } from './stream-consumer.ts';
import { EPOCH_MS } from './stream-pod.ts';

interface Gap {
  readonly from: string;
  readonly to: string;
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  /** When it was announced, by virtual time. */
  readonly atMs: number;
  /** Numbers that cursors stand for; NaN: it has none. */
  readonly after: number;
  readonly before: number;
}

/** What the judge must know of the run besides what it is told. */
export interface Case {
  readonly streamClass: 'A' | 'B' | 'C';
  readonly kind: 'sequence' | 'since' | 'cursor' | 'none';
  readonly journal: readonly Made[];
  readonly bound: number;
  /** What was refused goes again after this at the earliest. */
  readonly retryMs: number;
  /** Entries of one key, or of the whole stream, go in order. */
  readonly order: 'key' | 'stream' | 'pull';
  readonly letters: () => ReadonlySet<number>;
  readonly nowMs: () => number;
}

/** Slack of an announced time for the way of an event (the notice reaches back by this much itself). */
const SLACK_MS = 1;

/** Holds a run against what was promised; its only sources are the platform's journal, the consumer and the store. */
export class StreamJudge implements Verdicts {
  readonly #case: Case;
  readonly violations: string[] = [];
  readonly seen = new Map<string, number>();
  /** Events and control events that the consumer has taken, and whose acknowledgement the sidecar has heard. */
  readonly #taken = new Set<string>();
  readonly #takenNumbers = new Set<number>();
  /** The term in which an event was handed over last. */
  readonly #gotIn = new Map<number, number>();
  /** By number: since when, and by which term, an event waits that was refused. */
  readonly #refusedAt = new Map<number, { readonly term: number; readonly atMs: number }>();
  readonly #heardIn = new Map<string, number>();
  readonly #gaps: Gap[] = [];
  readonly #lossless: { readonly atMs: number; readonly said: unknown; readonly fromMs: number }[] = [];
  readonly #lastOf = new Map<string, number>();
  readonly #opened: number[] = [];
  readonly #repeats = new Map<number, Set<number>>();
  #repeatsTerm = -1;
  /** The last term whose position the platform had forgotten. */
  #expiredTerm = -1;
  /** Numbers below this are settled or announced, for the checkpoint. */
  #prefix = 0;
  /** Up to here all of the journal is settled or announced; what is stays so. */
  #closedTo = 0;
  /** Numbers that were found settled when a checkpoint named them so. */
  readonly #ahead = new Set<number>();
  subscribedFrom: number | undefined;

  constructor(facts: Case) {
    this.#case = facts;
  }

  /** For a person who looks for the cause. */
  get gaps(): readonly unknown[] {
    return this.#gaps;
  }

  note(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  fault(text: string): void {
    if (this.violations.length < 5) this.violations.push(`${String(Math.round(this.#case.nowMs()))} ms: ${text}`);
  }

  got(one: Delivered): void {
    if (one.n === 0) {
      if (one.type.endsWith('gap.detected')) {
        if (one.data['cause'] === 'retention_exceeded') this.#expiredTerm = one.term;
        this.#notices.add(one.id);
        this.#lateness(one);
      }
      return;
    }
    if (this.#heardIn.get(one.id) === one.term && one.replay !== 'redrive')
      this.fault(`${one.id} was acknowledged in this term and comes again`);
    this.#paced(one);
    const before = this.#gotIn.get(one.n);
    if (before !== undefined && before !== one.term && one.replay !== 'redrive') this.#repeat(one, before);
    this.#gotIn.set(one.n, one.term);
    if (one.attempt === 1 && one.replay !== 'redrive' && one.replay !== 'backfill') this.#order(one);
  }

  refused(one: Delivered): void {
    if (one.n > 0 && one.replay !== 'redrive') this.#refusedAt.set(one.n, { term: one.term, atMs: this.#case.nowMs() });
  }

  /** What was refused waits before it comes again, each time. */
  #paced({ n, term, replay }: Delivered): void {
    const refused = this.#refusedAt.get(n);
    if (refused?.term !== term || replay === 'redrive') return;
    this.#refusedAt.delete(n);
    const waitedMs = this.#case.nowMs() - refused.atMs;
    if (waitedMs < this.#case.retryMs - 1)
      this.fault(`e-${String(n)} was refused and comes again after ${waitedMs.toFixed(1)} ms`);
  }

  heard(one: Delivered): void {
    this.#taken.add(one.id);
    this.#notices.delete(one.id);
    // A letter that was redriven says nothing of the event's own way.
    if (one.replay !== 'redrive') this.#heardIn.set(one.id, one.term);
    if (one.n > 0) this.#takenNumbers.add(one.n);
    if (one.type.endsWith('gap.detected')) this.#gap(one);
    if (one.type.endsWith('stream.resumed')) {
      this.note(`lossless ${String(one.data['lossless'])}`);
      const atMs = one.createdMs - EPOCH_MS;
      this.#lossless.push({ atMs, said: one.data['lossless'], fromMs: atMs - Number(one.data['downMs']) });
    }
  }

  /** A notice that the consumer refused until it was a dead letter is there for a person to read. */
  buried({ attributes, data }: DeadLetter): void {
    const ce = {
      ...(JSON.parse(attributes) as Record<string, unknown>),
      data: JSON.parse(data.toString('utf8')) as unknown,
    };
    const one = read(ce, 0);
    if (one.n > 0) this.note('dead letter');
    if (one.type.endsWith('gap.detected')) this.#gap(one);
  }

  /** A connection came about. */
  opened(): void {
    this.#opened.push(this.#case.nowMs());
  }

  /** A checkpoint was stored. */
  saved(record: Checkpoint): void {
    const { kind, journal } = this.#case;
    if (record.position === '') return this.#forgotten(record);
    this.#positioned = true;
    const value = record.position.slice(record.position.indexOf(':') + 1);
    if (kind === 'sequence') {
      this.#covers(Number(value));
      let end = Number(value);
      const { ahead = [] } = record;
      for (let at = 0; at + 1 < ahead.length; at += 2) {
        const first = end + (ahead[at] ?? 0);
        end = first + (ahead[at + 1] ?? 0) - 1;
        this.note('settled ahead');
        for (let n = first; n <= end; n += 1) {
          if (this.#ahead.has(n)) continue;
          if (this.#done(n)) this.#ahead.add(n);
          else this.fault(`the checkpoint names ${String(n)} as settled ahead, and it is not`);
        }
      }
    } else if (kind === 'cursor') {
      const n = numberOf(value);
      if (n >= 1 && n <= journal.length) this.#covers(n);
    } else if (kind === 'since') {
      for (const one of this.#open())
        if (one.stampMs < Number(value))
          this.fault(
            `the checkpoint says since ${value}, and e-${String(one.sequence)} of ${String(one.stampMs)} is ` +
              'not settled',
          );
    }
  }

  /** Where an event was received and no notice is open, the store must know where the stream stands. */
  #forgotten({ index }: Checkpoint): void {
    if (this.#case.kind === 'none' || this.#top === 0 || this.#notices.size > 0) return;
    // Before its first event a stream with cursors has no name for where it stands.
    if (this.#positioned || (index > 0 && this.#case.kind !== 'cursor'))
      this.fault('the checkpoint forgets where the stream stands');
  }

  #positioned = false;
  /** Gaps by time that the consumer has got and not taken. */
  readonly #notices = new Set<string>();

  /** The highest number that was handed over; what is above it may not have been received yet. */
  get #highest(): number {
    return this.#top;
  }
  #top = 0;

  /** At the end: nothing was lost without a word, and what was called lossless was. */
  finish(): void {
    for (const one of this.#case.journal) {
      if (this.subscribedFrom === undefined || one.sequence < this.subscribedFrom) continue;
      if (this.#done(one.sequence)) continue;
      this.note('lost and announced');
      const before = this.#lossless.find(
        ({ atMs, said, fromMs }) => said === true && atMs > one.atMs - EPOCH_MS && fromMs <= one.atMs - EPOCH_MS,
      );
      const gap = this.#gapOf(one);
      // A connection that came about in between may have lost what the notice had not to answer for.
      const later = this.#opened.some(
        (atMs) => before !== undefined && gap !== undefined && atMs > before.atMs && atMs <= gap.atMs,
      );
      if (before !== undefined && !later)
        this.fault(
          `e-${String(one.sequence)}, made ${String(one.atMs - EPOCH_MS)}, is missing, and a later notice ` +
            `said lossless: ${JSON.stringify(before)}`,
        );
      if (!this.#announced(one))
        this.fault(`e-${String(one.sequence)}, made ${String(one.atMs - EPOCH_MS)}, was lost without a word`);
    }
  }

  /** Numbers of a class A stream that an announced gap covers count as settled. */
  #done(n: number): boolean {
    if (this.#takenNumbers.has(n) || this.#case.letters().has(n)) return true;
    if (this.#case.kind === 'sequence') return this.#gaps.some(({ from, to }) => n >= Number(from) && n <= Number(to));
    const made = this.#case.kind === 'cursor' ? this.#case.journal[n - 1] : undefined;
    return made !== undefined && this.#announced(made);
  }

  #covers(n: number): void {
    for (let at = Math.max(this.#prefix, (this.subscribedFrom ?? 1) - 1) + 1; at <= n; at += 1) {
      if (!this.#done(at)) return this.fault(`the checkpoint covers ${String(n)}, and ${String(at)} is not settled`);
      this.#prefix = at;
    }
  }

  #open(): readonly Made[] {
    const { journal } = this.#case;
    const from = this.subscribedFrom ?? Infinity;
    const open = (one: Made): boolean => one.sequence >= from && !this.#done(one.sequence) && !this.#announced(one);
    if (from === Infinity) return [];
    for (let one = journal[this.#closedTo]; one !== undefined && !open(one); one = journal[this.#closedTo])
      this.#closedTo += 1;
    return journal.slice(this.#closedTo, this.#highest).filter(open);
  }

  #announced(made: Made): boolean {
    return this.#gapOf(made) !== undefined;
  }

  #gapOf({ sequence, atMs, stampMs }: Made): Gap | undefined {
    return this.#gaps.find(({ from, to, fromMs, toMs, after, before }) => {
      if (this.#case.kind === 'sequence' && from !== '' && /^\d+$/.test(from))
        return sequence >= Number(from) && sequence <= Number(to);
      if (this.#case.kind === 'cursor' && !Number.isNaN(after))
        return sequence > after && sequence < (to === '' ? Infinity : before);
      if (fromMs === undefined || toMs === undefined) return false;
      const within = (ms: number): boolean => ms >= fromMs - SLACK_MS && ms <= toMs + SLACK_MS;
      return within(atMs) || within(stampMs);
    });
  }

  #gap({ data, createdMs }: Delivered): void {
    const text = (name: string): string => (typeof data[name] === 'string' ? data[name] : '');
    this.note(`gap ${text('cause')}`);
    const time = (name: string): number | undefined => (text(name) === '' ? undefined : Date.parse(text(name)));
    this.#gaps.push({
      from: text('from'),
      to: text('to'),
      fromMs: time('fromTime'),
      toMs: time('toTime'),
      atMs: createdMs - EPOCH_MS,
      after: numberOf(text('from')),
      before: numberOf(text('to')),
    });
  }

  #lateness(one: Delivered): void {
    const from = one.data['fromTime'];
    const to = one.data['toTime'];
    if (typeof from === 'string' && typeof to === 'string' && from > to)
      this.fault(`a gap ends before it begins: ${from} ${to}`);
  }

  /** Of what each earlier term had handed over last no more may come again than may be out at one time. */
  #repeat(one: Delivered, before: number): void {
    if (one.attempt === 1 && one.replay === 'live') this.fault(`${one.id} comes again and is not marked`);
    if (one.term !== this.#repeatsTerm) {
      this.#repeatsTerm = one.term;
      this.#repeats.clear();
    }
    const repeated = this.#repeats.get(before) ?? new Set<number>();
    this.#repeats.set(before, repeated.add(one.n));
    this.note('repeated');
    // Behind a position that the platform has forgotten, numbers that were settled ahead may mean other events: they
    // are not believed.
    if (repeated.size > this.#case.bound && this.#expiredTerm !== one.term)
      this.fault(`more than ${String(this.#case.bound)} come again in one term`);
  }

  #order(one: Delivered): void {
    this.#top = Math.max(this.#top, one.n);
    const lane = this.#case.order === 'key' ? `${String(one.term)} ${one.key}` : String(one.term);
    const last = this.#lastOf.get(lane) ?? 0;
    const made = this.#case.journal[one.n - 1];
    // What was announced as missing and comes all the same comes late.
    if (one.n < last && made !== undefined && !this.#announced(made))
      this.fault(`${one.id} comes after e-${String(last)} for the first time (${this.#case.order})`);
    this.#lastOf.set(lane, Math.max(last, one.n));
  }
}

/** The number inside a cursor of the platform model, or inside an event's id. */
function numberOf(cursor: string): number {
  const plain = /^e-(\d+)$/.exec(cursor)?.[1] ?? Buffer.from(cursor, 'base64url').toString().replace('c:', '');
  return Number(plain);
}
