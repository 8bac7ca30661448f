import type { OutboxEntry } from '../../src/core/events/outbox.ts';
import type { Parcel } from '../../src/delivery/envelope.ts';
import type { PullConsumer, PullDelivery } from '../../src/delivery/pull-delivery.ts';
import type { Posted } from '../../src/delivery/push-answers.ts';
import type { PushTransport } from '../../src/delivery/push-transport.ts';
import type { VirtualTime } from './virtual-time.ts';

/** One delivery as the consumer saw it. */
export interface Delivered {
  readonly id: string;
  readonly type: string;
  /** The platform's number of the event; 0 for a control event. */
  readonly n: number;
  readonly key: string;
  readonly attempt: number;
  readonly replay: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly term: number;
  /** Its `time`, ms since 1970. */
  readonly createdMs: number;
}

/** What the consumer does with what it gets; windows end by virtual time. */
export interface Behaviour {
  /** Time one event takes. */
  workMs: number;
  downUntilMs: number;
  /** Status of everything until then. */
  status: number;
  statusUntilMs: number;
  retryAfterSeconds: number | undefined;
  /** Key that is refused until then. */
  stuckKey: string | undefined;
  stuckUntilMs: number;
  /** Key that takes long. */
  slowKey: string | undefined;
  slowMs: number;
  /** Events it will never take: answered 422. */
  poison: ReadonlySet<number>;
  /** Events that end it: all connections are lost, and it is away for a moment. */
  deadly: ReadonlySet<number>;
  /** Share of requests whose answer is lost although they were handled. */
  lossShare: number;
  /** Share of answers with a word nobody knows. */
  oddShare: number;
}

export interface Verdicts {
  /** The consumer got it. */
  got(one: Delivered): void;
  /** The consumer has taken it, and its word has reached the sidecar. */
  heard(one: Delivered): void;
  /** It has refused it for now, and its word has reached the sidecar. */
  refused(one: Delivered): void;
}

export function gentle(): Behaviour {
  return {
    workMs: 2,
    downUntilMs: 0,
    status: 200,
    statusUntilMs: 0,
    retryAfterSeconds: undefined,
    stuckKey: undefined,
    stuckUntilMs: 0,
    slowKey: undefined,
    slowMs: 0,
    poison: new Set(),
    deadly: new Set(),
    lossShare: 0,
    oddShare: 0,
  };
}

const RESTART_MS = 300;
/** What is refused with another status says something of the consumer: it waits as long as that says. */
const SPEAKS_OF_EVENTS: ReadonlySet<number> = new Set([200, 409, 500, 503]);

/** Reads a delivered CloudEvent. */
export function read(ce: Record<string, unknown>, term: number): Delivered {
  const data = (ce['data'] ?? {}) as Record<string, unknown>;
  const inner = data['data'] as { readonly n?: number } | undefined;
  return {
    id: String(ce['id']),
    type: String(ce['type']),
    n: inner?.n ?? 0,
    key: String(ce['partitionkey']),
    attempt: Number(ce['hfattempt']),
    replay: String(ce['hfreplay']),
    data,
    term,
    createdMs: Date.parse(String(ce['time'])),
  };
}

/** The application, whichever way events reach it. It outlives the sidecar's terms. */
export class ConsumerModel {
  readonly behaviour: Behaviour = gentle();
  /** The stream is pushed in order: a failure takes back all that is behind it. */
  inOrder = false;
  readonly #time: VirtualTime;
  readonly #unit: () => number;
  readonly #judge: Verdicts;
  /** Grows each time the application ends: what it was working on is gone. */
  #life = 0;
  readonly #gone: (() => void)[] = [];

  constructor(time: VirtualTime, unit: () => number, judge: Verdicts) {
    this.#time = time;
    this.#unit = unit;
    this.#judge = judge;
  }

  get down(): boolean {
    return this.#time.nowMs < this.behaviour.downUntilMs;
  }

  /** The application ends at once and is back after a while. */
  restart(awayMs: number): void {
    this.#life += 1;
    this.behaviour.downUntilMs = this.#time.nowMs + awayMs;
    for (const gone of this.#gone.splice(0)) gone();
  }

  /** HTTP push. A request that is not answered within `limitMs` has failed, whatever becomes of it here. */
  transport(
    { mode, limitMs }: { readonly mode: 'structured' | 'batch'; readonly limitMs: number },
    term: number,
    alive: () => boolean,
  ): PushTransport {
    return {
      post: (_headers, body) =>
        new Promise((resolve) => {
          const answer = (posted: Posted, afterMs: number): void => {
            this.#time.in(afterMs, () => {
              if (alive()) resolve(posted);
            });
          };
          if (this.down) return answer({ kind: 'down', code: 'ECONNREFUSED' }, 0.2);
          const parsed = JSON.parse(body.toString('utf8')) as Record<string, unknown> | Record<string, unknown>[];
          const events = (Array.isArray(parsed) ? parsed : [parsed]).map((ce) => read(ce, term));
          this.#handle(events, { mode, limitMs }, answer, alive);
        }),
      probe: (what) =>
        new Promise((resolve) => {
          this.#time.in(what === 'well' ? 2000 : 0.5, () => {
            resolve(this.down ? 'away' : 'there');
          });
        }),
      close: () => undefined,
    };
  }

  #handle(
    events: readonly Delivered[],
    { mode, limitMs }: { readonly mode: 'structured' | 'batch'; readonly limitMs: number },
    answer: (posted: Posted, afterMs: number) => void,
    alive: () => boolean,
  ): void {
    let open = true;
    const lost = (): void => {
      if (!open) return;
      open = false;
      answer({ kind: 'lost', code: 'ECONNRESET' }, 0.2);
    };
    this.#gone.push(lost);
    const life = this.#life;
    for (const one of events) this.#judge.got(one);
    const work = events.reduce((sum, one) => sum + this.#workOf(one), 0);
    if (work > limitMs)
      this.#time.in(limitMs, () => {
        if (!open || life !== this.#life) return;
        open = false;
        this.#gone.splice(this.#gone.indexOf(lost), 1);
        answer({ kind: 'failed', reason: 'ack_timeout' }, 0);
      });
    this.#time.in(work, () => {
      if (!open || life !== this.#life) return;
      if (events.some(({ n }) => this.behaviour.deadly.has(n))) return this.restart(RESTART_MS * this.#unit());
      const words = events.map((one) => this.#wordFor(one));
      if (this.#unit() < this.behaviour.lossShare) return lost();
      open = false;
      this.#gone.splice(this.#gone.indexOf(lost), 1);
      const posted = this.#posted(events, words, mode);
      this.#time.in(0.2, () => {
        if (!alive()) return;
        events.forEach((one, at) => {
          if (words[at] === 'SUCCESS') this.#judge.heard(one);
          else if (words[at] === 'RETRY' && posted.kind === 'answer' && SPEAKS_OF_EVENTS.has(posted.status))
            this.#judge.refused(one);
        });
      });
      answer(posted, 0.2);
    });
  }

  #workOf({ key }: Delivered): number {
    return this.behaviour.workMs * (0.5 + this.#unit()) + (key === this.behaviour.slowKey ? this.behaviour.slowMs : 0);
  }

  #wordFor({ key, n }: Delivered): 'SUCCESS' | 'RETRY' | 'POISON' | 'ODD' {
    if (this.behaviour.poison.has(n)) return 'POISON';
    if (key === this.behaviour.stuckKey && this.#time.nowMs < this.behaviour.stuckUntilMs) return 'RETRY';
    return this.#unit() < this.behaviour.oddShare ? 'ODD' : 'SUCCESS';
  }

  #posted(
    events: readonly Delivered[],
    words: ('SUCCESS' | 'RETRY' | 'POISON' | 'ODD')[],
    mode: 'structured' | 'batch',
  ): Posted {
    const { status, statusUntilMs, retryAfterSeconds } = this.behaviour;
    if (this.#time.nowMs < statusUntilMs) {
      words.fill('RETRY');
      const retryAfterMs = retryAfterSeconds === undefined ? undefined : retryAfterSeconds * 1000;
      return { kind: 'answer', status, retryAfterMs, text: undefined };
    }
    const plain = { kind: 'answer' as const, retryAfterMs: undefined };
    if (mode === 'structured') {
      const [word] = words;
      if (word === 'POISON') return { ...plain, status: 422, text: undefined };
      if (word === 'RETRY') return { ...plain, status: 503, text: undefined };
      return { ...plain, status: 200, text: word === 'ODD' ? '{"status":"later"}' : undefined };
    }
    // A failure takes the later ones of its key back, as the protocol says.
    const failed = new Set<string>();
    words.forEach((word, at) => {
      const key = this.inOrder ? '' : (events[at]?.key ?? '');
      if (failed.has(key)) words[at] = 'RETRY';
      else if (word === 'RETRY' || word === 'ODD') failed.add(key);
    });
    const statuses = events.map((one, at) => ({
      entryId: one.id,
      status: { SUCCESS: 'SUCCESS', RETRY: 'RETRY', POISON: 'DEADLETTER', ODD: 'later' }[words[at] ?? 'RETRY'],
    }));
    return { ...plain, status: 200, text: JSON.stringify({ statuses }) };
  }

  /** WebSocket pull: one connection; what is not acknowledged when it ends comes again. */
  puller(delivery: PullDelivery, epoch: number, credit: number, alive: () => boolean): void {
    if (!alive()) return;
    if (this.down) {
      this.#time.in(100, () => {
        this.puller(delivery, epoch, credit, alive);
      });
      return;
    }
    const life = this.#life;
    const connected = (): boolean => alive() && life === this.#life && open;
    let open = true;
    const consumer: PullConsumer = {
      credit,
      bufferedBytes: 0,
      deliver: (_epoch, entries) => {
        this.#pulled(entries, { delivery, epoch, connected });
      },
      durable: () => undefined,
      dismiss: () => {
        open = false;
      },
    };
    this.#gone.push(() => {
      open = false;
      if (!alive()) return;
      delivery.detach(consumer, 'lost');
      this.#time.in(50, () => {
        this.puller(delivery, epoch, credit, alive);
      });
    });
    delivery.attach(consumer);
  }

  #pulled(
    entries: readonly OutboxEntry<Parcel>[],
    to: {
      readonly delivery: PullDelivery;
      readonly epoch: number;
      readonly connected: () => boolean;
    },
  ): void {
    let afterMs = 0;
    for (const { item, ord } of entries) {
      const one = read(JSON.parse(item.ce.toString('utf8')) as Record<string, unknown>, to.epoch);
      this.#judge.got(one);
      afterMs += this.#workOf(one);
      this.#time.in(afterMs, () => {
        if (!to.connected()) return;
        if (this.behaviour.deadly.has(one.n)) return this.restart(RESTART_MS * this.#unit());
        this.#acknowledge(one, ord, to);
      });
    }
  }

  /** Late, doubled, missing now and then; refused as in push. */
  #acknowledge(
    one: Delivered,
    ord: number,
    { delivery, epoch }: { readonly delivery: PullDelivery; readonly epoch: number },
  ): void {
    const id = `${String(epoch)}.${String(ord)}`;
    const word = this.#wordFor(one);
    if (word === 'POISON') {
      delivery.term([id], 'never');
      return;
    }
    if (word === 'RETRY' || this.#time.nowMs < this.behaviour.statusUntilMs) {
      delivery.nack([id], 50);
      return;
    }
    const draw = this.#unit();
    if (draw < this.behaviour.lossShare) return; // forgotten: it comes again when it is overdue
    this.#judge.heard(one);
    delivery.ack([id]);
    if (draw > 0.97) delivery.ack([id]);
  }
}
