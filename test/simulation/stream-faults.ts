import type { ConsumerModel } from './stream-consumer.ts';
import type { PlatformModel } from './platform.ts';
import { EPOCH_MS, type Term, type Wire } from './stream-pod.ts';
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
/** Beyond what is promised for what was not received; played only where asked for. */
type FarFault = 'stamped far behind';
export type Fault = (typeof FAULTS)[number] | FarFault;

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
    case 'stamped far behind':
      platform.skewedLeft = SKEWED_EVENTS;
      platform.skewMs = Math.floor(unit() * (fault === 'stamped ahead' ? 60_000 : -behindMs(fault, reach)));
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

/** Stamped wrongly at one time; a checkpoint has room to name some 200 of them, beside the last 256 events. */
const SKEWED_EVENTS = 40;
/**
 * Class B by time looks back at 256 events (docs/decisions/0022); what is stamped further behind than that is not
 * promised.
 */
const BEHIND_EVENTS = 100;
const BEHIND_MS = 900;
const FAR_BEHIND_MS = 5000;

function behindMs(fault: 'stamped behind' | 'stamped far behind', { platform, time }: Reach): number {
  if (fault === 'stamped far behind') return FAR_BEHIND_MS;
  const back = platform.journal.at(-BEHIND_EVENTS) ?? platform.journal[0];
  return back === undefined ? BEHIND_MS : Math.min(BEHIND_MS, EPOCH_MS + time.nowMs - back.atMs);
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
