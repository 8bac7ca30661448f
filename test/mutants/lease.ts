import type { Mutant } from './mutant.ts';

const tests = ['test/core/lease/lease.test.ts'];
const grant = ['test/sidecar/runtime/lease-grant.test.ts'];
const grantFile = 'src/sidecar/runtime/lease-grant.ts';

/** What only many runs of three replicas bring to light. */
const simulated = { tests: ['test/simulation/lease.test.ts'], only: 'never two that act', seed: 1 };

/** Leadership, as one replica decides it. */
export const LEASE: readonly Mutant[] = [
  {
    id: 'lease-without-guard',
    say: 'the deadline leaves no time before the key can expire',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease-leader.ts',
        find: 'return sentAtMs + policy.ttlMs * (1 - DRIFT_SHARE) - DRIFT_MS - policy.marginMs;',
        replace: 'return sentAtMs + policy.ttlMs * (1 - DRIFT_SHARE) - DRIFT_MS;',
      },
    ],
  },
  {
    id: 'lease-open-at-its-deadline',
    say: 'the lease is open at the very instant of its deadline',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease.ts',
        find: 'return nowMs < leaseOpenUntil(state);',
        replace: 'return nowMs <= leaseOpenUntil(state);',
      },
    ],
  },
  {
    id: 'grant-open-at-its-deadline',
    say: 'a term may act at the very instant of the deadline',
    tests: grant,
    edits: [{ file: grantFile, find: 'nowMs < this.#held.openUntilMs', replace: 'nowMs <= this.#held.openUntilMs' }],
  },
  {
    id: 'grant-of-another-epoch',
    say: 'a term acts while another epoch is held',
    tests: grant,
    edits: [{ file: grantFile, find: 'this.#held.epoch === this.epoch &&', replace: '' }],
  },
  {
    id: 'grant-outlives-its-term',
    say: 'a term that is over may act while the lease is held',
    tests: grant,
    edits: [{ file: grantFile, find: 'return !this.#over &&', replace: 'return' }],
  },
  {
    id: 'heir-writes-before-it-has-read',
    say: 'an heir writes a first record over the one that the last term left',
    tests: ['test/sidecar/leadership/client-candidate.test.ts'],
    edits: [{ file: 'src/sidecar/stream/checkpointer.ts', find: 'if (!this.#begun) {', replace: 'if (false) {' }],
  },
  {
    id: 'grant-warm-for-ever',
    say: 'a leader that was an heir dials while its lease is in doubt',
    tests: grant,
    edits: [{ file: grantFile, find: 'warmedUp(): void { this.#warming = false;', replace: 'warmedUp(): void {' }],
  },
  {
    id: 'lease-reasserted-after-a-lost-link',
    say: 'a forgotten lease is taken back although the link was away',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease-leader.ts',
        find: 'const sure = role.linkLostAtMs === undefined && draft.nowMs < role.deadlineMs;',
        replace: 'const sure = draft.nowMs < role.deadlineMs;',
      },
    ],
  },
  {
    id: 'lease-open-while-transferring',
    say: 'the old leader goes on while the transfer is under way',
    ...simulated,
    edits: [
      {
        file: 'src/core/lease/lease-hand-over.ts',
        find: 'draft.s = { ...draft.s, role: { ...role, open: false, handOver } };',
        replace: 'draft.s = { ...draft.s, role: { ...role, handOver } };',
      },
    ],
  },
  {
    id: 'lease-transferred-after-the-deadline',
    say: 'a lease is handed over after its own deadline',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease-hand-over.ts',
        find: 'nextEpoch === 0 || draft.nowMs >= role.deadlineMs)',
        replace: 'nextEpoch === 0)',
      },
    ],
  },
  {
    id: 'lease-unseen-connection-proved-dead',
    say: 'a connection that was never seen alive is proved dead by its absence',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease-standby.ts',
        find: 'if (draft.s.aliveConn !== input.conn && !watch.formerSelf) return;',
        replace: '',
      },
    ],
  },
  {
    id: 'lease-stale-look-believed',
    say: 'an answer that was long under way is believed',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease-standby.ts',
        find: 'if (draft.nowMs - sentAtMs > STALE_LOOK_MS) {',
        replace: 'if (false) {',
      },
    ],
  },
  {
    id: 'lease-lower-epoch-without-quarantine',
    say: 'a store whose epoch went back is believed',
    tests,
    edits: [
      {
        file: 'src/core/lease/lease-standby.ts',
        find: "if (view.epoch < before.epoch) return 'epoch_lost';",
        replace: '',
      },
    ],
  },
  {
    id: 'lease-early-expiry-without-quarantine',
    say: 'a lock that is gone before its time is free',
    ...simulated,
    edits: [
      {
        file: 'src/core/lease/lease-standby.ts',
        find: "return early ? 'early_expiry' : undefined;",
        replace: 'return undefined;',
      },
    ],
  },
];
