import { Writer, type HistoryLine, type RunFacts } from './history.ts';

/** The facts of a history that is written by hand. */
export const FACTS: RunFacts = {
  streamClass: 'A',
  maxAgain: 3,
  maxInFlight: 2,
  overlapMs: 1000,
  capacity: 3,
  refillMs: 600,
  convergeMs: 1000,
  rssMb: 200,
  fdsMore: 3,
  commandsPerSecond: 5,
};
/** Its only stream. */
export const STREAM = '/s';

/** Writes a history by hand: times in ms. */
export class Scribe {
  readonly sim = new Writer('sim');
  readonly cons = new Writer('cons');
  readonly nem = new Writer('nem');
  readonly obs = new Writer('obs');
  readonly proc = new Writer('proc');
  #t = 0;
  #mute = false;

  at(ms: number): this {
    this.#t = ms;
    return this;
  }
  get #ns(): bigint {
    return BigInt(Math.round(this.#t * 1_000_000));
  }
  connect(conn: string, pod: string, tok = 'k1'): this {
    this.sim.add('conn.req', { conn, pod, tok, tokId: tok, port: conn }, this.#ns);
    this.sim.add('conn.open', { conn }, this.#ns);
    this.sim.add('sub.on', { conn, stream: STREAM }, this.#ns);
    return this;
  }
  refuse(conn: string, retryAfter: number | undefined, status = 429): this {
    this.sim.add('conn.req', { conn, pod: 'a', tok: 'k1', tokId: 'k1' }, this.#ns);
    this.sim.add('conn.rej', { conn, status, retryAfter }, this.#ns);
    return this;
  }
  end(conn: string, reason?: string): this {
    this.sim.add('conn.end', { conn, reason }, this.#ns);
    return this;
  }
  make(conn: string, ...seqs: readonly number[]): this {
    for (const seq of seqs)
      this.sim.add('ev.gen', { stream: STREAM, seq, id: `e${String(seq)}`, key: 'k', h: `h${String(seq)}` }, this.#ns);
    if (conn !== '')
      for (const seq of seqs)
        this.sim.add('ev.tx', { conn, stream: STREAM, seq, id: `e${String(seq)}`, replay: false }, this.#ns);
    return this;
  }
  purge(upto: number): this {
    this.sim.add('ev.purge', { stream: STREAM, upto }, this.#ns);
    return this;
  }
  rx(epoch: number, seqs: readonly number[], more: Readonly<Record<string, unknown>> = {}): this {
    for (const seq of seqs)
      this.cons.add(
        'c.rx',
        { pod: 'a', attempt: 1, id: `e${String(seq)}`, h: `h${String(seq)}`, epoch, redeliv: false, ...more },
        this.#ns,
      );
    return this;
  }
  ack(...seqs: readonly number[]): this {
    this.cons.add('c.ack', { ids: seqs.map((seq) => `e${String(seq)}`) }, this.#ns);
    return this;
  }
  gap(from: number, to: number): this {
    this.cons.add('c.gap', { pod: 'a', stream: STREAM, from: String(from), to: String(to), cause: 'x' }, this.#ns);
    return this;
  }
  stored(seq: number, epoch: number): this {
    this.obs.add('r.ckpt', { stream: STREAM, seq, epoch }, this.#ns);
    return this;
  }
  locked(epoch: number): this {
    this.obs.add('r.lock', { epoch }, this.#ns);
    return this;
  }
  fault(
    f: string,
    kind: string,
    target: string,
    till: number | { readonly toMs: number; readonly [more: string]: unknown },
  ): this {
    const { toMs, ...more } = typeof till === 'number' ? { toMs: till } : till;
    this.nem.add('n.on', { f, kind, target, ...more }, this.#ns);
    this.nem.add('n.off', { f, kind, target }, BigInt(toMs * 1_000_000));
    return this;
  }
  down(told: 'SIGTERM' | 'SIGKILL' | undefined, code: number | null): this {
    this.proc.add('p.down', { pod: 'a', code, sig: code === null ? 'SIGKILL' : null, told }, this.#ns);
    return this;
  }
  proves(k: string, fields: Readonly<Record<string, unknown>>): this {
    this.proc.add(k, { pod: 'a', ...fields }, this.#ns);
    return this;
  }
  /** What the pods wrote down is not added by itself. */
  mute(): this {
    this.#mute = true;
    return this;
  }
  says(k: string, fields: Readonly<Record<string, unknown>>): this {
    this.cons.add(k, { pod: 'a', ...fields }, this.#ns);
    return this;
  }
  /** The fleet is stopped from here on. */
  finish(atMs: number): this {
    this.nem.add('n.end', {}, BigInt(atMs * 1_000_000));
    return this;
  }
  ping(conn: string, payload: string): this {
    this.sim.add('ping.tx', { conn, payload }, this.#ns);
    return this;
  }
  pong(conn: string, payload: string): this {
    this.sim.add('pong.rx', { conn, payload }, this.#ns);
    return this;
  }
  bad(h: string): this {
    this.sim.add('fr.bad', { h }, this.#ns);
    return this;
  }
  lines(): readonly HistoryLine[] {
    const said = new Writer('said');
    const terms = new Set<unknown>();
    for (const line of this.#mute ? [] : this.cons.lines) {
      const [pod, at] = [line['pod'], Number(line.t) / 1e6];
      if (line.k === 'c.rx' && !terms.has(line['epoch']))
        said.add('a.line', { pod, event: 'leader.changed', epoch: String(line['epoch']), at }, BigInt(1e14));
      terms.add(line['epoch']);
      if (line.k === 'c.gap')
        said.add('a.line', { pod, event: 'gap.detected', from: line['from'], to: line['to'], at }, BigInt(1e14));
    }
    return [this.sim, this.cons, this.nem, this.obs, this.proc, said].flatMap((writer) => {
      writer.add('eof', {}, BigInt(1e15));
      return writer.lines;
    });
  }
}

/** A straight run of events 1..n, all acknowledged. */
export function straight(n = 4): Scribe {
  const scribe = new Scribe().at(0).connect('c1', 'a');
  for (let seq = 1; seq <= n; seq += 1)
    scribe
      .at(seq * 10)
      .make('c1', seq)
      .rx(1, [seq])
      .ack(seq);
  return scribe.at(n * 10 + 5);
}

/** A name, a history and the rules that it breaks. */
export type Golden = readonly [string, Scribe, readonly string[] | 'INVALID', Partial<RunFacts>?];
