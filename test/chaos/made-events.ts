import { ms, type HistoryLine, type RunFacts } from './history.ts';

/** Two instants of different writers closer than this have no order; ties go to the system under test. */
export const TIE_MS = 1;

/** An event that the platform made, and what became of it. */
export interface MadeEvent {
  readonly seq: number;
  readonly id: string;
  readonly key: string;
  readonly hash: string;
  readonly t: number;
  /** In which epoch and when it was delivered first; the rule of order writes it down. */
  epoch: number | undefined;
  received: number | undefined;
  acked: number | undefined;
  gapAt: number | undefined;
}

/** The events that the platform made, by id and by stream. */
export class MadeEvents {
  readonly #streamClass: RunFacts['streamClass'];
  /** When the first stream was subscribed, ms. */
  readonly #subscribedMs: number;
  readonly #byId = new Map<string, MadeEvent>();
  readonly #byStream = new Map<string, MadeEvent[]>();

  constructor(lines: readonly HistoryLine[], { streamClass }: RunFacts) {
    this.#streamClass = streamClass;
    const first = lines.find((line) => line.k === 'sub.on');
    this.#subscribedMs = first === undefined ? Infinity : ms(first);
    for (const line of lines) if (line.k === 'ev.gen') this.#add(line);
    for (const line of lines) {
      if (line.k === 'c.ack') for (const id of line['ids'] as readonly string[]) this.#acknowledge(id, ms(line));
      if (line.k === 'c.gap') for (const made of this.covered(line)) made.gapAt ??= ms(line);
    }
  }

  #add(line: HistoryLine): void {
    const stream = String(line['stream']);
    const made: MadeEvent = {
      seq: Number(line['seq']),
      id: String(line['id']),
      key: text(line['key']),
      hash: String(line['h']),
      t: ms(line),
      epoch: undefined,
      received: undefined,
      acked: undefined,
      gapAt: undefined,
    };
    this.#byId.set(made.id, made);
    const list = this.#byStream.get(stream);
    if (list === undefined) this.#byStream.set(stream, [made]);
    else list.push(made);
  }

  #acknowledge(id: string, t: number): void {
    const made = this.#byId.get(id);
    if (made !== undefined) made.acked ??= t;
  }

  get all(): readonly MadeEvent[] {
    return [...this.#byId.values()];
  }

  get(id: string): MadeEvent | undefined {
    return this.#byId.get(id);
  }

  of(stream: string): readonly MadeEvent[] {
    return this.#byStream.get(stream) ?? [];
  }

  /**
   * The events a gap record speaks of: by number in class A (by time where no number was known yet), by time
   * elsewhere.
   */
  covered(line: HistoryLine): readonly MadeEvent[] {
    const all = this.of(String(line['stream']));
    if (this.#streamClass === 'A' && typeof line['fromT'] !== 'number')
      return all.filter((made) => made.seq >= Number(line['from']) && made.seq <= Number(line['to']));
    return all.filter((made) => made.t >= Number(line['fromT']) - TIE_MS && made.t <= Number(line['toT']) + TIE_MS);
  }

  /** What the platform made before anybody was subscribed was never offered. */
  offered(made: MadeEvent): boolean {
    return made.t >= this.#subscribedMs;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
