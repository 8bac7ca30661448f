import type { ConsumerModel } from './stream-consumer.ts';
import type { PlatformModel } from './platform.ts';
import type { Term, Wire } from './stream-pod.ts';
import type { StoreModel } from './stream-store.ts';
import type { VirtualTime } from './virtual-time.ts';

export const FAULTS = [
  'link lost',
  'link closed',
  'platform away',
  'half open',
  'consumer down',
  'consumer restarts',
  'answers 500',
  'answers 429',
  'stuck key',
  'slow key',
  'store away',
  'doubt',
  'kill',
  'hand-over',
  'fenced',
  'stamped ahead',
  'stamped behind',
  'redrive',
  'quiet',
] as const;
export type Fault = (typeof FAULTS)[number];

export type LeadershipFault = Extract<Fault, 'doubt' | 'kill' | 'hand-over' | 'fenced'>;

export function isOfLeadership(fault: Fault): fault is LeadershipFault {
  return fault === 'doubt' || fault === 'kill' || fault === 'hand-over' || fault === 'fenced';
}

/** What a fault can reach. */
export interface Reach {
  readonly time: VirtualTime;
  readonly unit: () => number;
  readonly consumer: ConsumerModel;
  readonly wire: Wire;
  readonly platform: PlatformModel;
  readonly store: StoreModel;
  readonly term: Term | undefined;
  readonly keys: readonly string[];
}

/** Makes one fault happen to platform, network, store or consumer. */
export function disturb(fault: Exclude<Fault, LeadershipFault>, lastsMs: number, reach: Reach): void {
  const { time, unit, consumer, wire, platform, store, term, keys } = reach;
  const { behaviour } = consumer;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(unit() * from.length)] as T;
  const untilMs = time.nowMs + lastsMs;
  switch (fault) {
    case 'link lost':
      return term?.dropLinks(1006);
    case 'link closed':
      return term?.dropLinks(pick([1000, 1001, 1011]));
    case 'platform away':
      wire.downUntilMs = untilMs;
      return term?.dropLinks(1006);
    case 'half open':
      wire.silentUntilMs = untilMs;
      return;
    case 'consumer down':
      return consumer.restart(lastsMs);
    case 'consumer restarts':
      return consumer.restart(100);
    case 'answers 500':
    case 'answers 429':
      behaviour.status = fault === 'answers 500' ? pick([500, 503, 404, 401, 409]) : 429;
      behaviour.retryAfterSeconds = pick([undefined, 1, 3]);
      behaviour.statusUntilMs = untilMs;
      return;
    case 'stuck key':
      behaviour.stuckKey = pick(keys.slice(0, 3));
      behaviour.stuckUntilMs = untilMs;
      return;
    case 'slow key':
      behaviour.slowKey = pick(keys.slice(0, 3));
      behaviour.slowMs = 3000 * unit();
      return time.in(lastsMs, () => {
        behaviour.slowKey = undefined;
      });
    case 'store away':
      store.awayUntilMs = untilMs;
      return;
    case 'stamped ahead':
    case 'stamped behind':
      platform.skewMs = fault === 'stamped ahead' ? Math.floor(60_000 * unit()) : -Math.floor(900 * unit());
      return time.in(pick([10, 100, 300]), () => {
        platform.skewMs = 0;
      });
    case 'redrive':
      oldLetters(store);
      for (const id of store.letters.keys()) void term?.driver.letters.redrive(id).catch(() => undefined);
      return;
    case 'quiet':
      return;
  }
}

/** Letters of another day: more of them than may wait for the consumer at one time. */
const OLD_LETTERS = 60;
export const OLD_LETTER_BYTES = 40_000;

const OLD_DATA = Buffer.from(JSON.stringify({ text: 'x'.repeat(OLD_LETTER_BYTES - 20) }));

function oldLetters(store: StoreModel): void {
  for (let n = 0; n < OLD_LETTERS; n += 1) {
    const id = `old-${String(n)}`;
    store.letters.set(id, {
      id,
      stream: 'main',
      eventId: id,
      attributes: JSON.stringify({ specversion: '1.0', id, source: '/old', type: 'old', partitionkey: id }),
      data: OLD_DATA,
      reason: 'old',
      attempts: 1,
      firstAtEpochMs: 0,
      deadAtEpochMs: 0,
    });
  }
}
