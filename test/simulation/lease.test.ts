import { expect } from 'chai';
import { SEED, seeded } from '../support/global.ts';
import type { Plant } from './store.ts';
import { World } from './world.ts';

const SEEDS = 1000;
const FAULTS_MS = 60_000;

/** @returns the seeds whose run violated something, and what. */
function run(
  count: number,
  plant?: Plant,
): { readonly violations: readonly string[]; readonly seen: ReadonlySet<string> } {
  const violations: string[] = [];
  const seen = new Set<string>();
  for (let n = 0; n < count; n += 1) {
    const world = new World(
      { pods: 3, seed: n, faultsMs: FAULTS_MS, ...(plant === undefined ? {} : { plant }) },
      seeded(1_000_000 + n),
    );
    const violation = world.run();
    if (violation !== undefined) violations.push(`run ${String(n)} of seed ${String(SEED)}: ${violation}`);
    for (const one of world.seen) seen.add(one);
  }
  return { violations, seen };
}

describe(
  'the lease, three replicas on virtual time with every fault ' + 'of the store, the network and the processes',
  function () {
    this.timeout(120_000);

    it(
      `${String(SEEDS)} seeds: never two that act, epochs grow, checkpoints are fenced, and somebody leads when ` +
        'the faults end',
      () => {
        const { violations, seen } = run(SEEDS);
        expect(violations).to.deep.equal([]);
        // Runs in which nothing happened prove nothing.
        for (const kind of [
          'kill',
          'freeze',
          'cut',
          'reset',
          'store-down',
          'store-freeze',
          'wipe',
          'failover',
          'clock',
          'hand-over',
          'expire',
        ])
          expect(seen).to.include(`fault ${kind}`);
        for (const what of [
          'lead',
          'reopen',
          'lost',
          'close-sockets',
          'shut expired',
          'shut link_lost',
          'connection_gone',
        ])
          expect(seen).to.include(what);
        for (const why of ['young', 'store_changed', 'clock_jump', 'holder_changed', 'early_expiry'])
          expect(seen).to.include(`quarantined ${why}`);
      },
    );

    const plants: readonly (readonly [Plant, number, RegExp])[] = [
      ['deadline-from-reply', 6000, /S2/],
      ['no-epoch-check', 200, /S3/],
      ['no-quarantine', 500, /S2/],
      ['counter-epoch', 200, /S1/],
      ['loose-reassert', 6000, /S2/],
      ['timer-gate', 200, /S[24]/],
    ];
    for (const [plant, seeds, expected] of plants) {
      it(`finds the planted fault: ${plant}`, () => {
        let found = '';
        for (let n = 0; n < seeds && found === ''; n += 1)
          found = new World({ pods: 3, seed: n, faultsMs: FAULTS_MS, plant }, seeded(1_000_000 + n)).run() ?? '';
        expect(found, `within ${String(seeds)} seeds`).to.match(expected);
      });
    }
  },
);
