import type { Mutant } from './mutant.ts';

/** The pure machines, but for the road of an event (stream.ts) and the lease (lease.ts). */
const machines = ['test/core/machines.test.ts'];
const TOKEN: readonly Mutant[] = [
  {
    id: 'token-later-instant',
    say: 'rotation at the later of the two instants',
    tests: ['test/core/token.test.ts'],
    edits: [
      {
        file: 'src/core/token.ts',
        find: 'const due = Math.min(token.askedAtMs',
        replace: 'const due = Math.max(token.askedAtMs',
      },
    ],
  },
  {
    id: 'token-floor-of-short-life',
    say: 'the floor of a short life is that of a long one',
    tests: ['test/core/token.test.ts'],
    edits: [
      {
        file: 'src/core/token.ts',
        find: 'const floor = Math.min(minRemainingMs, (token.expiresAtMs - token.askedAtMs) * FLOOR_SHARE);',
        replace: 'const floor = minRemainingMs;',
      },
    ],
  },
  {
    id: 'token-rejected-kept',
    say: 'a rejected token stays in use',
    tests: ['test/core/token.test.ts'],
    edits: [
      {
        file: 'src/core/token.ts',
        find: 'fetchWhenAllowed(policy, { ...state, active: undefined, wanted: true }, nowMs)',
        replace: 'fetchWhenAllowed(policy, { ...state, wanted: true }, nowMs)',
      },
    ],
  },
  {
    id: 'token-no-distance',
    say: 'requests for tokens keep no distance',
    tests: ['test/core/token.test.ts'],
    edits: [
      {
        file: 'src/core/token.ts',
        find: 'state.lastAskedAtMs === undefined ? nowMs : state.lastAskedAtMs + policy.minIntervalMs',
        replace: 'nowMs',
      },
    ],
  },
  {
    id: 'token-late-answer',
    say: 'the answer to an earlier request is taken for that to the present one',
    tests: ['test/core/token.test.ts'],
    edits: [
      {
        file: 'src/core/token.ts',
        find: "if (state.work.kind !== 'fetching' || state.work.gen !== input.gen) return",
        replace: "if (state.work.kind !== 'fetching') return",
      },
    ],
  },
  {
    id: 'token-expired-kept',
    say: 'a token that ended stays the active one beside the staged one',
    tests: ['test/core/token.test.ts'],
    edits: [
      {
        file: 'src/core/token.ts',
        find: 'next = { ...next, active: next.staging, staging: undefined };',
        replace: '',
      },
    ],
  },
];

const RESTRAINT: readonly Mutant[] = [
  {
    id: 'backoff-cap-after-jitter',
    say: 'the cap comes after the jitter: all wait exactly the cap',
    tests: machines,
    only: 'backoffDelay',
    edits: [
      {
        file: 'src/core/dialing/backoff.ts',
        find: 'return Math.floor(capped * (policy.jitterLow + unit * (policy.jitterHigh - policy.jitterLow)));',
        replace:
          'return Math.floor(Math.min(policy.maxMs, grown * (policy.jitterLow + unit * (policy.jitterHigh - ' +
          'policy.jitterLow))));',
      },
    ],
  },
  {
    id: 'backoff-salt-ignored',
    say: 'replicas with one seed share their delays',
    tests: machines,
    only: 'backoffDelay',
    edits: [
      { file: 'src/core/dialing/backoff.ts', find: 'return (unit + salt) % 1;', replace: 'return unit + salt * 0;' },
    ],
  },
  {
    id: 'breaker-at-the-rate',
    say: 'the breaker opens at its rate, not above it',
    tests: machines,
    only: 'the circuit breaker',
    edits: [
      {
        file: 'src/core/dialing/circuit-breaker.ts',
        find: 'failed * 100 > total * policy.failureRatePercent',
        replace: 'failed * 100 >= total * policy.failureRatePercent',
      },
    ],
  },
  {
    id: 'breaker-never-forgets',
    say: 'failures of an hour ago count',
    tests: machines,
    only: 'the circuit breaker',
    edits: [
      {
        file: 'src/core/dialing/circuit-breaker.ts',
        find: '= buckets.filter((bucket) => bucket.startMs > nowMs - policy.windowMs);',
        replace: '= buckets;',
      },
    ],
  },
  {
    id: 'breaker-opened-by-success',
    say: 'a success may open the breaker',
    tests: machines,
    only: 'the circuit breaker',
    edits: [
      {
        file: 'src/core/dialing/circuit-breaker.ts',
        find: 'const trips = !ok && failsTooOften',
        replace: 'const trips = failsTooOften',
      },
    ],
  },
  {
    id: 'breaker-many-probes',
    say: 'an open breaker whose time is over lets everybody through, not one probe',
    tests: machines,
    only: 'the circuit breaker',
    edits: [
      {
        file: 'src/core/dialing/circuit-breaker.ts',
        find: "state.kind === 'closed' ? state : { kind: 'half-open', probing: true }",
        replace: 'state',
      },
    ],
  },
  {
    id: 'gate-one-too-many',
    say: 'the gate lets one attempt more through at once',
    tests: machines,
    only: 'the gate',
    edits: [{ file: 'src/core/dialing/rate-gate.ts', find: '(policy.capacity - 1)', replace: 'policy.capacity' }],
  },
  {
    id: 'gate-one-too-few',
    say: 'the gate keeps one back for nothing',
    tests: machines,
    only: 'the gate',
    edits: [{ file: 'src/core/dialing/rate-gate.ts', find: '(policy.capacity - 1)', replace: '(policy.capacity - 2)' }],
  },
  {
    id: 'gate-concurrent-off-by-one',
    say: 'one attempt more at one time',
    tests: machines,
    only: 'the gate',
    edits: [
      {
        file: 'src/core/dialing/rate-gate.ts',
        find: 'state.inFlight >= policy.concurrent',
        replace: 'state.inFlight > policy.concurrent',
      },
    ],
  },
  {
    id: 'admission-shorter-hold-wins',
    say: 'a later, shorter Retry-After ends an earlier, longer one',
    tests: machines,
    only: 'admission',
    edits: [
      {
        file: 'src/core/dialing/dial-queue.ts',
        find: 'return state.pausedUntilMs !== undefined && state.pausedUntilMs >= untilMs',
        replace: 'return false',
      },
    ],
  },
  {
    id: 'admission-neutral-probe-stays-out',
    say: 'a probe that says nothing keeps its place for ever',
    tests: machines,
    only: 'admission',
    edits: [
      {
        file: 'src/core/dialing/dial-queue.ts',
        find: "probing ? { kind: 'half-open', probing: false } : state.breaker",
        replace: 'state.breaker',
      },
    ],
  },
  {
    id: 'session-no-overlap',
    say: 'the old link is closed at once when the new one opens',
    tests: ['test/core/session/session.test.ts'],
    only: 'rotates by overlap',
    edits: [
      {
        file: 'src/core/session/session.ts',
        find: 'Math.min(draft.nowMs + draft.policy.overlapMs, tokenEndMs)',
        replace: 'Math.min(draft.nowMs, tokenEndMs)',
      },
    ],
  },
  {
    id: 'session-second-401-at-once',
    say: 'a second refusal of a token is answered at once again',
    tests: ['test/core/session/session.test.ts'],
    only: 'refreshes once after 401',
    edits: [
      {
        file: 'src/core/session/session-failures.ts',
        find: 'if (draft.s.authFailures > 1) return retry',
        replace: 'if (draft.s.authFailures > 2) return retry',
      },
    ],
  },
];

const consumer = ['test/core/events/consumer-health.test.ts'];
const CONSUMER: readonly Mutant[] = [
  {
    id: 'storm-one-early',
    say: 'the storm guard holds one dead letter too early',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'inARow.length > policy.storm.consecutive',
        replace: 'inARow.length >= policy.storm.consecutive',
      },
    ],
  },
  {
    id: 'storm-at-the-share',
    say: 'the storm guard holds at its share, not above it',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'dead * 100 > total * policy.storm.sharePercent',
        replace: 'dead * 100 >= total * policy.storm.sharePercent',
      },
    ],
  },
  {
    id: 'storm-samples-off-by-one',
    say: 'the share is looked at one sample late',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'total >= policy.storm.minSamples',
        replace: 'total > policy.storm.minSamples',
      },
    ],
  },
  {
    id: 'storm-window-endless',
    say: 'outcomes of the window before count',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'if (nowMs - state.windowStartMs < policy.storm.windowMs) return state;',
        replace: 'if (state.windowStartMs <= nowMs) return state;',
      },
    ],
  },
  {
    id: 'storm-row-not-broken',
    say: 'a success does not end a row of dead letters',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'dead: NOTHING, settledInWindow: counted',
        replace: 'settledInWindow: counted',
      },
    ],
  },
  {
    id: 'hold-ends-for-all',
    say: 'after a hold everything goes at once, not one event',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: "return nowMs >= hold.untilMs ? 'one' : 'none';",
        replace: "return nowMs >= hold.untilMs ? 'all' : 'none';",
      },
    ],
  },
  {
    id: 'hold-of-a-refusal-ended-by-any-answer',
    say: 'a consumer that refuses is released by an answer that settles nothing',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: "if (state.hold?.reason !== 'consumer_down') return",
        replace: 'if (state.hold === undefined) return',
      },
    ],
  },
  {
    id: 'retry-after-without-limit',
    say: 'any Retry-After of the consumer is obeyed',
    tests: consumer,
    edits: [
      {
        file: 'src/core/events/consumer-health.ts',
        find: 'return Math.max(backoff, Math.min(retryAfterMs ?? 0, policy.retryAfterMaxMs));',
        replace: 'return Math.max(backoff, retryAfterMs ?? 0);',
      },
    ],
  },
];

const checkpoint = ['test/core/events/checkpoint-schedule.test.ts'];
const CHECKPOINT: readonly Mutant[] = [
  {
    id: 'checkpoint-failed-counts-as-stored',
    say: 'a write that failed counts as stored',
    tests: checkpoint,
    edits: [
      {
        file: 'src/core/events/checkpoint-schedule.ts',
        find: 'failures: state.failures + 1,',
        replace: 'storedOrd: ord, failures: state.failures + 1,',
      },
    ],
  },
  {
    id: 'checkpoint-hammers-when-urgent',
    say: 'a store that fails is asked at once again when delivery waits for it',
    tests: checkpoint,
    edits: [{ file: 'src/core/events/checkpoint-schedule.ts', find: '&& state.failures === 0;', replace: ';' }],
  },
  {
    id: 'checkpoint-two-writes',
    say: 'a second write begins before the first is answered',
    tests: checkpoint,
    edits: [
      {
        file: 'src/core/events/checkpoint-schedule.ts',
        find: 'if (state.fenced || state.writing || waiting <= 0) return false;',
        replace: 'if (state.fenced || waiting <= 0) return false;',
      },
    ],
  },
  {
    id: 'checkpoint-fence-forgotten',
    say: 'a refused epoch is tried again',
    tests: checkpoint,
    edits: [
      {
        file: 'src/core/events/checkpoint-schedule.ts',
        find: 'return { ...state, writing: false, fenced: true };',
        replace: 'return { ...state, writing: false };',
      },
    ],
  },
  {
    id: 'checkpoint-urgent-one-late',
    say: 'the urgent write comes one entry late',
    tests: checkpoint,
    edits: [
      {
        file: 'src/core/events/checkpoint-schedule.ts',
        find: 'waiting >= policy.urgentAfter',
        replace: 'waiting > policy.urgentAfter',
      },
    ],
  },
];

export const MACHINES: readonly Mutant[] = [...TOKEN, ...RESTRAINT, ...CONSUMER, ...CHECKPOINT];
