import { Scribe, straight, type Golden } from './scribe.ts';

/** Histories of how processes behave and what they say of themselves: ends, tokens, memory, secrets, counters. */
export const GOLDEN_CONDUCT: readonly Golden[] = [
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
];
