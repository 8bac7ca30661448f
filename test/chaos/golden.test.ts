import { expect } from 'chai';
import { judge } from './checker.ts';
import { Writer, type HistoryLine, type RunFacts } from './history.ts';

const FACTS: RunFacts = { streamClass: 'A', maxAgain: 3, maxInFlight: 2, overlapMs: 1000, capacity: 3, refillMs: 600, convergeMs: 1000, storeLoss: false };
const S = '/s';

/** Writes a history by hand: times in ms. */
class Scribe {
  readonly sim = new Writer('sim');
  readonly cons = new Writer('cons');
  readonly nem = new Writer('nem');
  readonly obs = new Writer('obs');
  readonly proc = new Writer('proc');
  #t = 0;

  at(ms: number): this {
    this.#t = ms;
    return this;
  }
  get #ns(): bigint {
    return BigInt(Math.round(this.#t * 1_000_000));
  }
  connect(conn: string, pod: string, tok = 'k1'): this {
    this.sim.add('conn.req', { conn, pod, tok }, this.#ns);
    this.sim.add('conn.open', { conn }, this.#ns);
    this.sim.add('sub.on', { conn, stream: S }, this.#ns);
    return this;
  }
  refuse(conn: string, retryAfter: number): this {
    this.sim.add('conn.req', { conn, pod: 'a', tok: 'k1' }, this.#ns);
    this.sim.add('conn.rej', { conn, status: 429, retryAfter }, this.#ns);
    return this;
  }
  end(conn: string): this {
    this.sim.add('conn.end', { conn }, this.#ns);
    return this;
  }
  make(conn: string, ...seqs: readonly number[]): this {
    for (const seq of seqs) this.sim.add('ev.gen', { stream: S, seq, id: `e${String(seq)}`, key: 'k', h: `h${String(seq)}` }, this.#ns);
    if (conn !== '') for (const seq of seqs) this.sim.add('ev.tx', { conn, stream: S, seq, id: `e${String(seq)}`, replay: false }, this.#ns);
    return this;
  }
  purge(upto: number): this {
    this.sim.add('ev.purge', { stream: S, upto }, this.#ns);
    return this;
  }
  rx(epoch: number, seqs: readonly number[], more: Readonly<Record<string, unknown>> = {}): this {
    for (const seq of seqs) this.cons.add('c.rx', { pod: 'a', id: `e${String(seq)}`, h: `h${String(seq)}`, epoch, redeliv: false, ...more }, this.#ns);
    return this;
  }
  ack(...seqs: readonly number[]): this {
    this.cons.add('c.ack', { ids: seqs.map((seq) => `e${String(seq)}`) }, this.#ns);
    return this;
  }
  gap(from: number, to: number): this {
    this.cons.add('c.gap', { stream: S, from: String(from), to: String(to), cause: 'x' }, this.#ns);
    return this;
  }
  stored(seq: number, epoch: number): this {
    this.obs.add('r.ckpt', { stream: S, seq, epoch }, this.#ns);
    return this;
  }
  fault(f: string, kind: string, target: string, toMs: number): this {
    this.nem.add('n.on', { f, kind, target }, this.#ns);
    this.nem.add('n.off', { f, kind, target }, BigInt(toMs * 1_000_000));
    return this;
  }
  down(expected: boolean, code: number | null = expected ? null : 1): this {
    this.proc.add('p.down', { pod: 'a', code, expected }, this.#ns);
    return this;
  }
  lines(): readonly HistoryLine[] {
    return [this.sim, this.cons, this.nem, this.obs, this.proc].flatMap((writer) => {
      writer.add('eof', {}, BigInt(1e15));
      return writer.lines;
    });
  }
}

/** A straight run of events 1..n, all acknowledged. */
function straight(n = 4): Scribe {
  const scribe = new Scribe().at(0).connect('c1', 'a');
  for (let seq = 1; seq <= n; seq += 1) scribe.at(seq * 10).make('c1', seq).rx(1, [seq]).ack(seq);
  return scribe.at(n * 10 + 5);
}

type Golden = readonly [string, Scribe, readonly string[] | 'INVALID', Partial<RunFacts>?];

const again = (count: number, more: Readonly<Record<string, unknown>> = { redeliv: true }): Scribe => {
  const seqs = Array.from({ length: count }, (_, index) => index + 1);
  return straight(8).down(true).at(100).rx(2, seqs, more).ack(...seqs);
};

const GOLDEN: readonly Golden[] = [
  ['nothing happened', new Scribe(), []],
  ['a straight run', straight(), []],
  ['a failover with as many repetitions as allowed', again(3), []],
  ['a failover with one repetition more', again(4), ['C4']],
  ['a repetition without a mark', again(1, { redeliv: false }), ['C4']],
  ['a repetition without a disruption', straight().rx(1, [2], { redeliv: true }), ['C4']],
  ['an event that was never delivered', straight().make('c1', 5), ['C1']],
  ['a hole in the acknowledgements', straight().make('c1', 5, 6).rx(1, [5, 6]).ack(6), ['C1']],
  ['what was made before anybody was subscribed', new Scribe().at(0).make('', 1).at(5).connect('c1', 'a').at(10).make('c1', 2).rx(1, [2]).ack(2), []],
  ['a checkpoint at the acknowledged end', straight().stored(4, 1), []],
  ['a checkpoint one past the hole', straight().make('c1', 5).rx(1, [5]).stored(5, 1).at(80).ack(5), ['C5']],
  ['an exact gap', straight().make('', 5, 6).purge(6).at(60).gap(5, 6).at(70).make('c1', 7).rx(1, [7]).ack(7), []],
  ['a gap one too wide', straight().make('', 5, 6).purge(6).at(60).gap(4, 6), ['C2']],
  ['a gap one too narrow', straight().make('', 5, 6).purge(6).at(60).gap(5, 5), ['C1']],
  ['a gap for what could be had', straight().make('c1', 5).at(60).gap(5, 5), ['C2']],
  ['a gap after the later event', straight().make('', 5).purge(5).at(60).make('c1', 6).rx(1, [6]).ack(6).at(70).gap(5, 5), ['C2']],
  ['an overlap of 999 ms', straight().connect('c2', 'b').at(1044).end('c1'), []],
  ['an overlap of 1,001 ms', straight().connect('c2', 'b').at(1046).end('c1'), ['C7']],
  ['the same pod on both', straight().connect('c2', 'a').at(5000).end('c1'), []],
  ['an overlap while the old one was frozen', straight().fault('f', 'freeze', 'a', 9000).at(500).connect('c2', 'b').at(9040).end('c1'), []],
  ['an old epoch in the store', straight().stored(3, 2).at(60).stored(4, 1), ['C6']],
  ['an old epoch after the store lost its data', straight().stored(3, 2).at(60).stored(4, 1), [], { storeLoss: true }],
  ['as many late events of an old epoch as are in flight', straight().make('c1', 5, 6, 7).rx(2, [5]).at(150).rx(1, [6, 7]).ack(5, 6, 7), []],
  ['one late event of an old epoch too many', straight().make('c1', 5, 6, 7, 8).rx(2, [5]).at(150).rx(1, [6, 7, 8]).ack(5, 6, 7, 8), ['C6']],
  ['attempts at the gate', new Scribe().at(0).connect('c1', 'a').at(1).end('c1').connect('c2', 'a').at(2).end('c2').connect('c3', 'a').at(600).end('c3').connect('c4', 'a'), []],
  ['attempts beyond the gate', [1, 2, 3, 4, 5].reduce((scribe, n) => scribe.at(n).connect(`c${String(n)}`, 'a').end(`c${String(n)}`), new Scribe()), ['C8']],
  ['an attempt just before Retry-After ends', new Scribe().at(0).refuse('c1', 2).at(1990).connect('c2', 'a'), ['C8']],
  ['an attempt after Retry-After', new Scribe().at(0).refuse('c1', 2).at(2002).connect('c2', 'a'), []],
  ['events out of order', straight().make('c1', 5, 6).rx(1, [6, 5]).ack(5, 6), ['C3']],
  ['a changed payload', straight().make('c1', 5).rx(1, [5], { h: 'other' }).ack(5), ['C10']],
  ['an event nobody made', straight().rx(1, [99]), ['C10']],
  ['a process that was told to stop and ended with a fault', straight().down(true, 70), ['C12']],
  ['a process that ended by itself', straight().down(false), ['C12']],
  ['a token after its end', straight().end('c1').at(100).connect('c2', 'a', 'expired'), ['C17']],
  ['nothing open after the last fault', straight().fault('f', 'kill', 'a', 60).at(70).end('c1').at(5000).stored(4, 1), ['C9']],
];

describe('the judge of histories', () => {
  for (const [name, scribe, expected, facts] of GOLDEN) {
    it(`${name}: ${expected.length === 0 ? 'PASS' : String(expected)}`, () => {
      const judgement = judge(scribe.lines(), { ...FACTS, ...facts });
      expect([...new Set(judgement.violations.map((one) => one.rule))], JSON.stringify(judgement.violations.map((one) => one.text))).to.deep.equal(expected);
    });
  }

  const broken: readonly (readonly [string, (lines: HistoryLine[]) => HistoryLine[]])[] = [
    ['a file without an end', (lines) => lines.filter((line) => !(line.w === 'cons' && line.k === 'eof'))],
    ['a hole in the numbers', (lines) => lines.filter((line) => !(line.w === 'sim' && line.i === 2))],
    ['a time that goes back', (lines) => lines.map((line) => (line.w === 'sim' && line.i === 3 ? { ...line, t: '0' } : line.w === 'sim' && line.i === 2 ? { ...line, t: '9' } : line))],
    ['an event on a closed connection', (lines) => lines.map((line) => (line.k === 'ev.tx' ? { ...line, conn: 'c9' } : line))],
    ['a fault that was never ended', (lines) => [...lines.filter((line) => line.w !== 'nem'), { w: 'nem', i: 0, t: '1', k: 'n.on', f: 'x' }, { w: 'nem', i: 1, t: '2', k: 'eof' }]],
  ];
  for (const [name, spoil] of broken) {
    it(`${name}: INVALID, not FAIL`, () => {
      expect(judge(spoil([...straight().lines()]), FACTS).verdict).to.equal('INVALID');
    });
  }
});
