import { Scribe, straight, STREAM, type Golden } from './scribe.ts';

/** Histories in which an instant or a span decides: gaps by time, steady times, backoff, pings, convergence. */
export const GOLDEN_TIME: readonly Golden[] = [
  [
    'a gap by time before anything was delivered',
    new Scribe()
      .at(0)
      .connect('c1', 'a')
      .at(10)
      .make('', 1)
      .at(20)
      .says('c.gap', { stream: STREAM, from: 'x', to: 'y', fromT: 0, toT: 15 })
      .at(30)
      .make('c1', 2)
      .rx(1, [2])
      .ack(2),
    [],
  ],
  [
    'a gap by time although a position was known',
    straight().make('', 5).at(60).says('c.gap', { stream: STREAM, from: 'x', to: 'y', fromT: 40, toT: 59 }),
    ['C2'],
  ],
  [
    'a gap by time after the store had lost what it was told last',
    straight()
      .make('', 5)
      .fault('f', 'flush', 'redis', { toMs: 59, storeLoss: true })
      .at(60)
      .says('c.gap', { stream: STREAM, from: 'x', to: 'y', fromT: 40, toT: 59 }),
    [],
  ],
  [
    'a gap by time although the position was known long before the store lost it',
    straight()
      .at(5000)
      .make('', 5)
      .fault('f', 'flush', 'redis', { toMs: 5059, storeLoss: true })
      .at(5060)
      .says('c.gap', { stream: STREAM, from: 'x', to: 'y', fromT: 4040, toT: 5059 }),
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
