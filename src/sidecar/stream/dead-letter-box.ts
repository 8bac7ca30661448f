import type { StreamPlan } from '../../config/plan.ts';
import type { DeadLetter } from '../../coordination/store.ts';
import type { OutboxEntry, Outbox } from '../../core/events/outbox.ts';
import type { LetterPort, LetterView } from '../../delivery/dead-letter-routes.ts';
import type { DeadLetterSink } from '../../delivery/delivery-ports.ts';
import { attributesOf, eventIdOf, type Parcel } from '../../delivery/envelope.ts';
import type { Deps } from '../runtime/environment.ts';
import { wordsOf } from '../runtime/store-trouble.ts';

/**
 * Bytes of redriven letters that wait for the consumer at one time: they share neither the live events' buffer nor its
 * limit.
 */
export const REDRIVE_LIMIT_BYTES = 1024 * 1024;

/** Puts a letter's event into the stream again and returns its entry's number. */
export type Redeliver = (attributes: string, data: Buffer, eventId: string) => number;

/**
 * Keeps the dead letters of one stream: stores a letter before its event counts as settled, removes it after a
 * redelivery was settled.
 */
export class DeadLetterBox implements LetterPort, DeadLetterSink {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #outbox: Outbox<Parcel>;
  readonly #deliver: Redeliver;
  /** Ids of the letters that are on their way again, by the number of their entry. */
  readonly #redriving = new Map<number, string>();
  readonly #underWay = new Set<string>();
  #serial = 0;
  #refused = false;
  #closed = false;

  constructor(plan: StreamPlan, deps: Deps, outbox: Outbox<Parcel>, deliver: Redeliver) {
    this.#plan = plan;
    this.#deps = deps;
    this.#outbox = outbox;
    this.#deliver = deliver;
  }

  async add(entry: OutboxEntry<Parcel>, reason: string): Promise<'stored' | 'full'> {
    const { item } = entry;
    const redriven = this.#redriving.get(entry.ord);
    if (redriven !== undefined) {
      this.#forget(entry.ord); // it died again: the letter that is there stays
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

  /** Stores a letter; logs a refusal in words. Until the store takes the letter, its event is not settled. */
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

  /** Ends the term: forgets refusals of the store that concerned only this term. */
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

  async redrive(id: string): Promise<'redriven' | 'unknown' | 'busy'> {
    const letter = await this.#deps.store.getDeadLetter(this.#plan.lease, this.#plan.name, id);
    if (letter === undefined) return 'unknown';
    if (this.#underWay.has(id)) return 'redriven';
    const waiting = this.#outbox.redrivenBytes;
    if (waiting > 0 && waiting + letter.data.length > REDRIVE_LIMIT_BYTES) return 'busy';
    this.#redriving.set(this.#deliver(letter.attributes, letter.data, letter.eventId), id);
    this.#underWay.add(id);
    this.#deps.audit.write('dead_letter.redriven', this.#plan.client, {
      stream: this.#plan.name,
      id,
      eventId: letter.eventId,
    });
    return 'redriven';
  }

  remove(id: string): Promise<boolean> {
    return this.#deps.store.removeDeadLetter(this.#plan.lease, this.#plan.name, id);
  }

  async purge(): Promise<number> {
    const count = await this.#deps.store.purgeDeadLetters(this.#plan.lease, this.#plan.name);
    this.#deps.audit.write('dead_letter.purged', this.#plan.client, { stream: this.#plan.name, count });
    return count;
  }

  /** Removes the letters whose redelivery is settled. */
  sweep(): void {
    for (const ord of this.#outbox.takeRedriven()) {
      const id = this.#forget(ord);
      if (id === undefined) continue;
      this.remove(id).catch((error: unknown) => {
        this.#deps.log.warn({ err: error, id }, 'a redriven dead letter could not be removed');
      });
    }
  }

  #forget(ord: number): string | undefined {
    const id = this.#redriving.get(ord);
    this.#redriving.delete(ord);
    if (id !== undefined) this.#underWay.delete(id);
    return id;
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
