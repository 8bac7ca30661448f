import type { Dialect, Position } from '../../src/platforms/profile.ts';

/** One event as the platform knows it. */
export interface Made {
  readonly sequence: number;
  readonly id: string;
  readonly key: string;
  /** When it was made, by true time. */
  readonly atMs: number;
  /** What its timestamp says: the platform's clock may be ahead or behind. */
  readonly stampMs: number;
  readonly cursor: string;
  readonly json: string;
}

export type Answer =
  | { readonly kind: 'open'; readonly link: number; readonly frames: readonly Buffer[] }
  | { readonly kind: 'refused'; readonly status: 410; readonly oldest: string };

export interface PlatformOptions {
  /** Its resume value decides the class: A by sequence, B by time or cursor, C by none. */
  readonly dialect: 'genesys-streams' | 'genesys-analytics-events' | 'cxone-events' | 'genesys-gateway';
  /** Events older than this cannot be asked for; Infinity: all can. */
  readonly retentionMs: number;
  /** Events in one frame at most; more than one make an array. */
  readonly batch: number;
}

const RESUME = {
  'genesys-streams': 'sequence',
  'genesys-analytics-events': 'since',
  'cxone-events': 'cursor',
  'genesys-gateway': 'none',
} as const satisfies Partial<Readonly<Record<Dialect, string>>>;

/**
 * A platform without sockets, on virtual time: what it made, what it still offers, and what each link has been sent. A
 * resume is inclusive: the event at the position comes again. Nothing here asks a clock or chance.
 */
export class PlatformModel {
  /** Everything that was ever made, in order. */
  readonly journal: Made[] = [];
  /** Added to the stamps of what is made from now on, of so many events at most. */
  skewMs = 0;
  skewedLeft = Infinity;
  readonly #options: PlatformOptions;
  readonly #resume: 'sequence' | 'since' | 'cursor' | 'none';
  /** Index in the journal of the next event for each open link. */
  readonly #links = new Map<number, number>();
  #link = 0;
  /** Events before this index are gone. */
  #kept = 0;

  constructor(options: PlatformOptions) {
    this.#options = options;
    this.#resume = RESUME[options.dialect];
  }

  make(nowMs: number, key: string): Made {
    const sequence = this.journal.length + 1;
    const id = `e-${String(sequence)}`;
    const cursor = this.#resume === 'cursor' ? Buffer.from(`c:${String(sequence)}`).toString('base64url') : '';
    if (this.skewMs !== 0) this.skewedLeft -= 1;
    if (this.skewedLeft < 0) this.skewMs = 0;
    const stampMs = nowMs + this.skewMs;
    const json = JSON.stringify({
      ...(this.#resume === 'sequence' ? { sequence } : {}),
      ...(this.#resume === 'cursor' ? { cursor } : {}),
      id,
      eventType: 'simulated',
      timestamp: new Date(stampMs).toISOString(),
      conversationId: key,
      data: { n: sequence },
    });
    const made = { sequence, id, key, atMs: nowMs, stampMs, cursor, json };
    this.journal.push(made);
    return made;
  }

  /**
   * Opens a link from a position, or from now on. Class C ignores the position. @returns the backlog, or a refusal
   * with the oldest position on offer.
   */
  connect(position: Position | undefined, nowMs: number): Answer {
    this.#forget(nowMs);
    const backlog = position === undefined ? [] : this.#from(position);
    if (backlog === undefined) return { kind: 'refused', status: 410, oldest: this.#oldest(nowMs) };
    this.#link += 1;
    this.#links.set(this.#link, this.journal.length);
    return { kind: 'open', link: this.#link, frames: this.#frames(backlog) };
  }

  /** Returns what was made since the link was asked last; nothing for a link that is closed. */
  due(link: number): readonly Buffer[] {
    const from = this.#links.get(link);
    if (from === undefined) return [];
    this.#links.set(link, this.journal.length);
    return this.#frames(this.journal.slice(from));
  }

  /** What is due on it and was not fetched is lost to this link. */
  disconnect(link: number): void {
    this.#links.delete(link);
  }

  #forget(nowMs: number): void {
    while ((this.journal[this.#kept]?.atMs ?? Infinity) < nowMs - this.#options.retentionMs) this.#kept += 1;
  }

  /** What the position asks for; undefined: part of it is gone. */
  #from({ value }: Position): readonly Made[] | undefined {
    const kept = this.journal.slice(this.#kept);
    const gone = this.journal.slice(0, this.#kept);
    switch (this.#resume) {
      case 'none':
        return [];
      case 'sequence':
        return Number(value) <= this.#kept ? undefined : kept.filter((one) => one.sequence >= Number(value));
      case 'since':
        return gone.some((one) => one.stampMs >= Number(value))
          ? undefined
          : kept.filter((one) => one.stampMs >= Number(value));
      case 'cursor': {
        const at = kept.findIndex((one) => one.cursor === value || one.id === value);
        return at < 0 ? undefined : kept.slice(at);
      }
    }
  }

  /**
   * The oldest position on offer, in the dialect's own terms; where nothing is left, the one that the next event would
   * have.
   */
  #oldest(nowMs: number): string {
    const oldest = this.journal[this.#kept];
    if (this.#resume === 'sequence') return String(oldest?.sequence ?? this.journal.length + 1);
    if (this.#resume === 'cursor') return oldest?.cursor ?? '';
    return new Date(oldest?.stampMs ?? nowMs + this.skewMs).toISOString();
  }

  #frames(events: readonly Made[]): readonly Buffer[] {
    const { batch } = this.#options;
    if (batch <= 1) return events.map((one) => Buffer.from(one.json));
    const frames: Buffer[] = [];
    for (let at = 0; at < events.length; at += batch)
      frames.push(
        Buffer.from(
          `[${events
            .slice(at, at + batch)
            .map((one) => one.json)
            .join(',')}]`,
        ),
      );
    return frames;
  }
}
