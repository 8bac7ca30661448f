import { Scribe, straight, type Golden } from './scribe.ts';

/** A failover after which the first `count` events come again. */
const again = (count: number, more: Readonly<Record<string, unknown>> = { redeliv: true }): Scribe => {
  const seqs = Array.from({ length: count }, (_, index) => index + 1);
  return straight(8)
    .down('SIGKILL', null)
    .at(100)
    .rx(2, seqs, more)
    .ack(...seqs);
};

/** Histories of the stream: its events, gaps, checkpoints, epochs, connections and attempts. */
export const GOLDEN_STREAM: readonly Golden[] = [
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
];
