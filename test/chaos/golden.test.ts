import { expect } from 'chai';
import { judge } from './checker.ts';
import { Writer, type HistoryLine, type RunFacts } from './history.ts';

const FACTS: RunFacts = {
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
const S = '/s';

/** Writes a history by hand: times in ms. */
class Scribe {
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
    this.sim.add('sub.on', { conn, stream: S }, this.#ns);
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
      this.sim.add('ev.gen', { stream: S, seq, id: `e${String(seq)}`, key: 'k', h: `h${String(seq)}` }, this.#ns);
    if (conn !== '')
      for (const seq of seqs)
        this.sim.add('ev.tx', { conn, stream: S, seq, id: `e${String(seq)}`, replay: false }, this.#ns);
    return this;
  }
  purge(upto: number): this {
    this.sim.add('ev.purge', { stream: S, upto }, this.#ns);
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
    this.cons.add('c.gap', { pod: 'a', stream: S, from: String(from), to: String(to), cause: 'x' }, this.#ns);
    return this;
  }
  stored(seq: number, epoch: number): this {
    this.obs.add('r.ckpt', { stream: S, seq, epoch }, this.#ns);
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
function straight(n = 4): Scribe {
  const scribe = new Scribe().at(0).connect('c1', 'a');
  for (let seq = 1; seq <= n; seq += 1)
    scribe
      .at(seq * 10)
      .make('c1', seq)
      .rx(1, [seq])
      .ack(seq);
  return scribe.at(n * 10 + 5);
}

type Golden = readonly [string, Scribe, readonly string[] | 'INVALID', Partial<RunFacts>?];

const again = (count: number, more: Readonly<Record<string, unknown>> = { redeliv: true }): Scribe => {
  const seqs = Array.from({ length: count }, (_, index) => index + 1);
  return straight(8)
    .down('SIGKILL', null)
    .at(100)
    .rx(2, seqs, more)
    .ack(...seqs);
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
  [
    'what was made before anybody was subscribed',
    new Scribe().at(0).make('', 1).at(5).connect('c1', 'a').at(10).make('c1', 2).rx(1, [2]).ack(2),
    [],
  ],
  ['a checkpoint at the acknowledged end', straight().stored(4, 1), []],
  ['a checkpoint one past the hole', straight().make('c1', 5).rx(1, [5]).stored(5, 1).at(80).ack(5), ['C5']],
  ['an exact gap', straight().make('', 5, 6).purge(6).at(60).gap(5, 6).at(70).make('c1', 7).rx(1, [7]).ack(7), []],
  ['a gap one too wide', straight().make('', 5, 6).purge(6).at(60).gap(4, 6), ['C2']],
  ['a gap one too narrow', straight().make('', 5, 6).purge(6).at(60).gap(5, 5), ['C1']],
  ['a gap for what could be had', straight().make('c1', 5).at(60).gap(5, 5), ['C2']],
  [
    'a gap after the later event',
    straight().make('', 5).purge(5).at(60).make('c1', 6).rx(1, [6]).ack(6).at(70).gap(5, 5),
    ['C2'],
  ],
  ['an overlap of 999 ms', straight().connect('c2', 'b').at(1044).end('c1'), []],
  ['an overlap of 1,001 ms', straight().connect('c2', 'b').at(1046).end('c1'), ['C7']],
  ['the same pod on both', straight().connect('c2', 'a').at(5000).end('c1'), []],
  [
    'an overlap while the old one was frozen',
    straight().fault('f', 'freeze', 'a', 9000).at(500).connect('c2', 'b').at(9040).end('c1'),
    [],
  ],
  ['an old epoch in the store', straight().stored(3, 2).at(60).stored(4, 1), ['C6']],
  [
    'an old epoch while the store loses its data',
    straight().stored(3, 2).fault('f', 'flush', 'redis', { toMs: 70, storeLoss: true }).at(60).stored(4, 1),
    [],
  ],
  [
    'an old epoch after the store had lost its data',
    straight()
      .stored(3, 2)
      .fault('f', 'flush', 'redis', { toMs: 50, storeLoss: true })
      .at(60)
      .stored(4, 3)
      .at(70)
      .stored(4, 2),
    ['C6'],
  ],
  [
    'as many late events of an old epoch as are in flight',
    straight().make('c1', 5, 6, 7).rx(2, [5]).at(150).rx(1, [6, 7]).ack(5, 6, 7),
    [],
  ],
  [
    'one late event of an old epoch too many',
    straight().make('c1', 5, 6, 7, 8).rx(2, [5]).at(150).rx(1, [6, 7, 8]).ack(5, 6, 7, 8),
    ['C6'],
  ],
  [
    'what an older leader had in flight and a newer one delivered before',
    straight().make('c1', 5).rx(2, [5]).ack(5).at(150).rx(1, [5]),
    [],
  ],
  [
    'an older leader that repeats its own delivery without a mark',
    straight().make('c1', 5).rx(2, [5]).ack(5).at(80).rx(1, [4]),
    ['C4'],
  ],
  [
    'attempts at the gate',
    new Scribe()
      .at(0)
      .connect('c1', 'a')
      .at(1)
      .end('c1')
      .connect('c2', 'a')
      .at(2)
      .end('c2')
      .connect('c3', 'a')
      .at(600)
      .end('c3')
      .connect('c4', 'a'),
    [],
  ],
  [
    'attempts beyond the gate',
    [1, 2, 3, 4, 5].reduce(
      (scribe, n) =>
        scribe
          .at(n)
          .connect(`c${String(n)}`, 'a')
          .end(`c${String(n)}`),
      new Scribe(),
    ),
    ['C8'],
  ],
  ['an attempt just before Retry-After ends', new Scribe().at(0).refuse('c1', 2).at(1990).connect('c2', 'a'), ['C8']],
  ['an attempt after Retry-After', new Scribe().at(0).refuse('c1', 2).at(2002).connect('c2', 'a'), []],
  ['events out of order', straight().make('c1', 5, 6).rx(1, [6, 5]).ack(5, 6), ['C3']],
  ['a changed payload', straight().make('c1', 5).rx(1, [5], { h: 'other' }).ack(5), ['C10']],
  ['an event nobody made', straight().rx(1, [99]), ['C10']],
  ['a process that was told to stop and ended with a fault', straight().down('SIGTERM', 70), ['C12']],
  ['a process that was told to stop and needed its emergency exit', straight().down('SIGTERM', null), ['C12']],
  ['a process that was told to stop and did', straight().down('SIGTERM', 0), []],
  ['a process that ended by itself', straight().down(undefined, 1), ['C12']],
  ['a token after its end', straight().end('c1').at(100).connect('c2', 'a', 'expired'), ['C17']],
  [
    'a token again that was refused',
    new Scribe().at(0).refuse('c1', undefined, 401).at(100).connect('c2', 'a', 'k1'),
    ['C17'],
  ],
  [
    'another token after a refusal',
    new Scribe().at(0).refuse('c1', undefined, 401).at(100).connect('c2', 'a', 'k2'),
    [],
  ],
  ['a bad frame that was announced', straight().bad('x').at(60).says('c.poison', { id: 'p', h: 'x' }), []],
  ['a bad frame that nobody was told of', straight().bad('x'), ['C10']],
  ['a bad frame that nobody sent', straight().says('c.poison', { id: 'p', h: 'x' }), ['C10']],
  ['memory at its limit', straight().proves('p.stat', { rssMb: 200, fds: 20 }), []],
  ['memory beyond its limit', straight().proves('p.stat', { rssMb: 201, fds: 20 }), ['C11']],
  [
    'descriptors that are not given back',
    straight().proves('p.stat', { rssMb: 100, fds: 20 }).at(90).proves('p.stat', { rssMb: 100, fds: 24 }),
    ['C11'],
  ],
  ['a secret in an output', straight().proves('p.out', { what: 'output', secrets: 1 }), ['C13']],
  [
    'five commands a second to a store that fails',
    straight()
      .fault('f', 'redis', 'redis', { toMs: 9000, failing: true })
      .at(2000)
      .proves('net.use', { commands: 4, connections: 1, overMs: 1000 })
      .at(9500)
      .connect('c9', 'a'),
    [],
  ],
  [
    'six commands a second to a store that fails',
    straight()
      .fault('f', 'redis', 'redis', { toMs: 9000, failing: true })
      .at(2000)
      .proves('net.use', { commands: 4, connections: 2, overMs: 1000 })
      .at(9500)
      .connect('c9', 'a'),
    ['C14'],
  ],
  [
    'as many commands to a store that answers',
    straight().proves('net.use', { commands: 99, connections: 2, overMs: 1000 }),
    [],
  ],
  [
    'counters that tell the truth',
    straight()
      .rx(1, [2], { redeliv: true, attempt: 2 })
      .says('c.ctl', { attempt: 1 })
      .proves('m.end', { delivered: 5, redelivered: 1, gaps: 0, poison: 0, leaderChanges: 1 }),
    ['C4'],
  ],
  [
    'a counter off by one',
    straight().proves('m.end', { delivered: 5, redelivered: 0, gaps: 0, poison: 0, leaderChanges: 1 }),
    ['C15'],
  ],
  [
    'as many counted and unsent in the moment of a freeze as are in flight',
    straight()
      .fault('f', 'freeze', 'a', 90)
      .proves('m.end', { delivered: 6, redelivered: 0, gaps: 0, poison: 0, leaderChanges: 1 }),
    [],
  ],
  [
    'one more',
    straight()
      .fault('f', 'freeze', 'a', 90)
      .proves('m.end', { delivered: 7, redelivered: 0, gaps: 0, poison: 0, leaderChanges: 1 }),
    ['C15'],
  ],
  [
    'a term that was not counted',
    straight().proves('m.end', { delivered: 4, redelivered: 0, gaps: 0, poison: 0, leaderChanges: 0 }),
    ['C15'],
  ],
  ['a term that nobody wrote down', straight().mute(), ['C16']],
  [
    'a gap that was written down and not announced',
    straight().proves('a.line', { event: 'gap.detected', from: '5', to: '6', at: 10 }),
    ['C16'],
  ],
  [
    'a gap that was written down and not announced, long before the fleet is stopped',
    straight()
      .proves('a.line', { event: 'gap.detected', from: '5', to: '6', at: 10 })
      .finish(5000)
      .at(6000)
      .down('SIGTERM', 0),
    ['C16'],
  ],
  [
    'a gap by time before anything was delivered',
    new Scribe()
      .at(0)
      .connect('c1', 'a')
      .at(10)
      .make('', 1)
      .at(20)
      .says('c.gap', { stream: S, from: 'x', to: 'y', fromT: 0, toT: 15 })
      .at(30)
      .make('c1', 2)
      .rx(1, [2])
      .ack(2),
    [],
  ],
  [
    'a gap by time although a position was known',
    straight().make('', 5).at(60).says('c.gap', { stream: S, from: 'x', to: 'y', fromT: 40, toT: 59 }),
    ['C2'],
  ],
  [
    'a gap by time after the store had lost what it was told last',
    straight()
      .make('', 5)
      .fault('f', 'flush', 'redis', { toMs: 59, storeLoss: true })
      .at(60)
      .says('c.gap', { stream: S, from: 'x', to: 'y', fromT: 40, toT: 59 }),
    [],
  ],
  [
    'a gap by time although the position was known long before the store lost it',
    straight()
      .at(5000)
      .make('', 5)
      .fault('f', 'flush', 'redis', { toMs: 5059, storeLoss: true })
      .at(5060)
      .says('c.gap', { stream: S, from: 'x', to: 'y', fromT: 4040, toT: 5059 }),
    ['C2'],
  ],
  [
    'a connection that ends while nothing may be noticed',
    straight().fault('f', 'load', 'all', { toMs: 100, steady: true }).at(60).end('c1').at(70).connect('c2', 'a'),
    ['C18'],
  ],
  [
    'a term that begins while nothing may be noticed',
    straight().stored(4, 1).fault('f', 'load', 'all', { toMs: 100, steady: true }).at(60).locked(2),
    ['C18'],
  ],
  [
    'attempts beyond what the backoff allows',
    [0, 700].reduce(
      (scribe, t) =>
        scribe
          .at(t)
          .connect(`c${String(t)}`, 'a')
          .end(`c${String(t)}`),
      new Scribe(),
    ),
    ['C8'],
    { attempts: { 1000: 1 } },
  ],
  [
    'an overlap behind a cut link that the replica had ended',
    straight().connect('c2', 'b').at(500).proves('net.closed', { port: 'c1' }).at(3000).end('c1'),
    [],
  ],
  ['a ping that is answered in time', straight().ping('c1', 'p').at(544).pong('c1', 'p'), [], { pongMs: 500 }],
  ['a ping that is answered late', straight().ping('c1', 'p').at(546).pong('c1', 'p'), ['C19'], { pongMs: 500 }],
  [
    'a ping without an answer, and a connection that ends late',
    straight().ping('c1', 'p').at(900).end('c1'),
    ['C19'],
    { pongMs: 500 },
  ],
  [
    'nothing open after the last fault',
    straight().fault('f', 'kill', 'a', 60).at(70).end('c1').at(5000).stored(4, 1),
    ['C9'],
  ],
];

describe('the judge of histories', () => {
  for (const [name, scribe, expected, facts] of GOLDEN) {
    it(`${name}: ${expected.length === 0 ? 'PASS' : String(expected)}`, () => {
      const judgement = judge(scribe.lines(), { ...FACTS, ...facts });
      expect(
        [...new Set(judgement.violations.map((one) => one.rule))],
        JSON.stringify(judgement.violations.map((one) => one.text)),
      ).to.deep.equal(expected);
    });
  }

  it('says what it met, in the order in which it happened', () => {
    const parked = straight()
      .fault('f', 'slow', 'all', 90)
      .at(60)
      .end('c1', 'parked')
      .at(70)
      .connect('c2', 'a')
      .finish(100);
    expect([...judge(parked.lines(), FACTS).seen]).to.include('parked');
    const lease = straight()
      .at(60)
      .end('c1', 'parked')
      .at(65)
      .fault('f', 'slow', 'all', 90)
      .at(70)
      .connect('c2', 'a')
      .finish(100);
    expect([...judge(lease.lines(), FACTS).seen]).to.not.include('parked');
  });

  const broken: readonly (readonly [string, (lines: HistoryLine[]) => HistoryLine[]])[] = [
    ['a file without an end', (lines) => lines.filter((line) => !(line.w === 'cons' && line.k === 'eof'))],
    ['a hole in the numbers', (lines) => lines.filter((line) => !(line.w === 'sim' && line.i === 2))],
    [
      'a time that goes back',
      (lines) =>
        lines.map((line) =>
          line.w === 'sim' && line.i === 3
            ? { ...line, t: '0' }
            : line.w === 'sim' && line.i === 2
              ? { ...line, t: '9' }
              : line,
        ),
    ],
    [
      'an event on a closed connection',
      (lines) => lines.map((line) => (line.k === 'ev.tx' ? { ...line, conn: 'c9' } : line)),
    ],
    [
      'a fault that was never ended',
      (lines) => [
        ...lines.filter((line) => line.w !== 'nem'),
        { w: 'nem', i: 0, t: '1', k: 'n.on', f: 'x' },
        { w: 'nem', i: 1, t: '2', k: 'eof' },
      ],
    ],
  ];
  for (const [name, spoil] of broken) {
    it(`${name}: INVALID, not FAIL`, () => {
      expect(judge(spoil([...straight().lines()]), FACTS).verdict).to.equal('INVALID');
    });
  }
});
