import type { StreamPlan } from '../config/resolve.ts';
import type { DeadLetter } from '../coordination/store.ts';
import type { Entry, Outbox } from '../core/outbox.ts';
import type { LetterPort, LetterView } from '../delivery/dead-letters.ts';
import { attributesOf, eventIdOf, type Parcel } from '../delivery/envelope.ts';
import type { Deps } from './deps.ts';
import { wordsOf } from './store-trouble.ts';

/** The dead letters of one stream: kept before the event counts as settled, removed after a redelivery was settled. */
export class LetterBox implements LetterPort {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #deliver: (attributes: string, data: Buffer, eventId: string) => number;
  readonly #redriving = new Map<number, string>();
  #serial = 0;
  #refused = false;
  #closed = false;

  constructor(plan: StreamPlan, deps: Deps, deliver: (attributes: string, data: Buffer, eventId: string) => number) {
    this.#plan = plan;
    this.#deps = deps;
    this.#deliver = deliver;
  }

  async add(entry: Entry<Parcel>, reason: string): Promise<'stored' | 'full'> {
    const { item } = entry;
    const redriven = this.#redriving.get(entry.ord);
    if (redriven !== undefined) {
      this.#redriving.delete(entry.ord); // it died again: the letter that is there stays
      return 'stored';
    }
    const nowMs = this.#deps.nowEpochMs();
    this.#serial += 1;
    const id = `${String(nowMs).padStart(14, '0')}-${String(this.#serial).padStart(6, '0')}`;
    const letter: DeadLetter = {
      id,
      stream: this.#plan.name,
      eventId: eventIdOf(item),
      attributes: attributesOf(item),
      data: Buffer.from(item.ce.subarray(item.dataAt, item.dataEnd)),
      reason,
      attempts: entry.attempts,
      firstAtEpochMs: item.receivedEpochMs,
      deadAtEpochMs: nowMs,
    };
    const answer = await this.#store(letter);
    if (answer === 'stored')
      this.#deps.audit.write('dead_letter.added', this.#plan.client, {
        stream: this.#plan.name,
        id,
        eventId: eventIdOf(item),
        reason,
        attempts: entry.attempts,
      });
    return answer;
  }

  /** Says in words when the store refuses a letter: until it takes it, its event is not settled. */
  async #store(letter: DeadLetter): Promise<'stored' | 'full'> {
    try {
      const answer = await this.#deps.store.addDeadLetter(this.#plan.lease, letter);
      this.#deps.storeTrouble.over(this.#use);
      this.#refused = false;
      return answer;
    } catch (error) {
      if (!this.#closed) this.#deps.storeTrouble.note(this.#use, error);
      if (!this.#refused)
        this.#deps.log.warn(
          { err: error, trouble: wordsOf(error), stream: this.#plan.name },
          'the dead letter could not be stored; its event stays where it is and the letter is tried again',
        );
      this.#refused = true;
      throw error;
    }
  }

  /** The term is over: what the store refused was its own affair. */
  close(): void {
    this.#closed = true;
    this.#deps.storeTrouble.over(this.#use);
  }

  get #use(): `dead letters ${string}` {
    return `dead letters ${this.#plan.name}`;
  }

  async list(after: string | undefined, limit: number): Promise<readonly LetterView[]> {
    return (await this.#deps.store.listDeadLetters(this.#plan.lease, this.#plan.name, after, limit)).map(viewOf);
  }

  async show(id: string): Promise<(LetterView & { readonly attributes: unknown; readonly data: string }) | undefined> {
    const letter = await this.#deps.store.getDeadLetter(this.#plan.lease, this.#plan.name, id);
    return letter === undefined
      ? undefined
      : { ...viewOf(letter), attributes: JSON.parse(letter.attributes), data: letter.data.toString('utf8') };
  }

  async redrive(id: string): Promise<boolean> {
    const letter = await this.#deps.store.getDeadLetter(this.#plan.lease, this.#plan.name, id);
    if (letter === undefined) return false;
    if ([...this.#redriving.values()].includes(id)) return true;
    this.#redriving.set(this.#deliver(letter.attributes, letter.data, letter.eventId), id);
    this.#deps.audit.write('dead_letter.redriven', this.#plan.client, {
      stream: this.#plan.name,
      id,
      eventId: letter.eventId,
    });
    return true;
  }

  remove(id: string): Promise<boolean> {
    return this.#deps.store.removeDeadLetter(this.#plan.lease, this.#plan.name, id);
  }

  async purge(): Promise<number> {
    const count = await this.#deps.store.purgeDeadLetters(this.#plan.lease, this.#plan.name);
    this.#deps.audit.write('dead_letter.purged', this.#plan.client, { stream: this.#plan.name, count });
    return count;
  }

  /** Letters whose redelivery is settled are removed. */
  sweep(outbox: Outbox<Parcel>): void {
    for (const [ord, id] of this.#redriving) {
      const entry = outbox.entry(ord);
      if (entry !== undefined && entry.state !== 'settled') continue;
      this.#redriving.delete(ord);
      this.remove(id).catch((error: unknown) => {
        this.#deps.log.warn({ err: error, id }, 'a redriven dead letter could not be removed');
      });
    }
  }
}

function viewOf(letter: DeadLetter): LetterView {
  return {
    id: letter.id,
    eventId: letter.eventId,
    reason: letter.reason,
    attempts: letter.attempts,
    deadAt: new Date(letter.deadAtEpochMs).toISOString(),
    bytes: letter.data.length,
  };
}
