import type { Mutant } from './mutant.ts';

const contract = ['test/coordination/store.contract.test.ts'];
const shared = ['test/coordination/redis/shared.test.ts'];
const sealed = ['test/coordination/sealed-value.test.ts'];
const leases = ['test/coordination/redis/leases.contract.test.ts'];
const scripts = 'src/coordination/redis/scripts/store-scripts.ts';
const leaseScripts = 'src/coordination/redis/scripts/lease-scripts.ts';

const CHECKPOINTS: readonly Mutant[] = [
  {
    id: 'save-without-fence',
    say: 'the store takes a checkpoint of any epoch',
    tests: contract,
    only: 'redis keeps a checkpoint and refuses',
    edits: [
      {
        file: scripts,
        find:
          "if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end for i = 2, #ARGV, 4 do local " +
          'stored',
        replace: 'for i = 2, #ARGV, 4 do local stored',
      },
    ],
  },
  {
    id: 'save-goes-back',
    say: 'the store takes an earlier checkpoint of the same epoch',
    tests: contract,
    only: 'redis keeps a checkpoint and refuses',
    edits: [
      {
        file: scripts,
        find:
          'if index > tonumber(ARGV[i + 1]) or index == tonumber(ARGV[i + 1]) and ahead > tonumber(ARGV[i + ' +
          '2]) then return -1 end',
        replace: '',
      },
    ],
  },
  {
    id: 'save-half',
    say: 'of several checkpoints the store takes those before the one it refuses',
    tests: contract,
    only: 'redis writes several checkpoints all or none',
    edits: [
      {
        file: scripts,
        find:
          'if index > tonumber(ARGV[i + 1]) or index == tonumber(ARGV[i + 1]) and ahead > tonumber(ARGV[i + ' +
          '2]) then return -1 end',
        replace:
          'if index > tonumber(ARGV[i + 1]) or index == tonumber(ARGV[i + 1]) and ahead > tonumber(ARGV[i + ' +
          "2]) then return -1 end redis.call('HSET', KEYS[2], ARGV[i] .. '#index', ARGV[i + 1], ARGV[i], " +
          'ARGV[i + 3])',
      },
    ],
  },
  {
    id: 'save-sealed-without-fence',
    say: 'the store takes a sealed value of any epoch',
    tests: contract,
    only: 'redis keeps sealed values',
    edits: [
      {
        file: scripts,
        find:
          "if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end room(KEYS[2]) " +
          "redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])",
        replace: "redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])",
      },
    ],
  },
  {
    id: 'embedded-save-without-fence',
    say: 'the embedded store takes a checkpoint of any epoch',
    tests: contract,
    only: 'embedded keeps a checkpoint and refuses',
    edits: [
      {
        file: 'src/coordination/embedded/embedded-store.ts',
        find: "if (this.#epoch(client) !== epoch) return 'fenced'; const further",
        replace: 'const further',
      },
    ],
  },
  {
    id: 'embedded-sealed-without-fence',
    say: 'the embedded store takes a sealed value of any epoch',
    tests: contract,
    only: 'embedded keeps sealed values',
    edits: [
      {
        file: 'src/coordination/embedded/embedded-store.ts',
        find:
          "this.#through(() => { if (this.#epoch(client) !== epoch) return 'fenced'; this.#sql( 'INSERT INTO " +
          'sealed',
        replace: "this.#through(() => { this.#sql( 'INSERT INTO sealed",
      },
    ],
  },
  {
    id: 'seed-without-index',
    say: 'a record that is put back does not keep an earlier one out',
    tests: contract,
    only: 'redis puts back a record that was lost',
    edits: [
      {
        file: scripts,
        find: "redis.call('HSET', KEYS[1], ARGV[1] .. '#index', ARGV[2], ARGV[1] .. '#ahead', ARGV[3])",
        replace: '',
      },
    ],
  },
];

const SEAL: readonly Mutant[] = [
  {
    id: 'seal-constant-salt',
    say: 'every seal has the same salt',
    tests: sealed,
    edits: [
      {
        file: 'src/coordination/sealed-value.ts',
        find: 'const salt = randomBytes(16);',
        replace: 'const salt = Buffer.alloc(16, 7);',
      },
    ],
  },
  {
    id: 'seal-constant-nonce',
    say: 'every seal has the same nonce',
    tests: sealed,
    edits: [
      {
        file: 'src/coordination/sealed-value.ts',
        find: 'const nonce = randomBytes(12);',
        replace: 'const nonce = Buffer.alloc(12, 7);',
      },
    ],
  },
  {
    id: 'seal-any-context',
    say: 'a seal of one lease opens in another',
    tests: sealed,
    edits: [{ file: 'src/coordination/sealed-value.ts', find: '`holdfast:${context}`', replace: "'holdfast'" }],
  },
];

const LEASES: readonly Mutant[] = [
  {
    id: 'renew-after-release',
    say: 'a lease that was given back is renewed by who gave it back',
    tests: leases,
    only: 'plain adapter renews many',
    edits: [{ file: leaseScripts, find: "code = last[2] == 'released' and 0 or 1", replace: 'code = 1' }],
  },
  {
    id: 'blind-release',
    say: 'a lock is given back without a look at whose it is',
    tests: leases,
    only: 'plain adapter releases only its own lock',
    edits: [
      {
        file: leaseScripts,
        find:
          "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('DEL', KEYS[1]) local f = " +
          "redis.call('HMGET', KEYS[2], 'token', 'conn', 'beat', 'holder')",
        replace: "redis.call('DEL', KEYS[1]) local f = redis.call('HMGET', KEYS[2], 'token', 'conn', 'beat', 'holder')",
      },
    ],
  },
  {
    id: 'break-without-beat',
    say: 'the lock of a holder that renewed meanwhile is broken',
    tests: leases,
    only: 'plain adapter breaks exactly',
    edits: [
      { file: leaseScripts, find: "if redis.call('HGET', KEYS[2], 'beat') ~= ARGV[4] then return 0 end", replace: '' },
    ],
  },
  {
    id: 'claim-without-beat',
    say: 'a lease is taken although its holder renewed after the last look',
    tests: leases,
    only: 'plain adapter refuses who watched',
    edits: [{ file: leaseScripts, find: 'or was[3] ~= ARGV[9])', replace: ')' }],
  },
  {
    id: 'transfer-to-a-lower-epoch',
    say: 'a lease is handed over under an epoch that is not above',
    tests: leases,
    only: 'plain adapter transfers in one instant',
    edits: [{ file: leaseScripts, find: 'or tonumber(ARGV[7]) <= tonumber(ARGV[2]) then', replace: 'then' }],
  },
  {
    id: 'undone-acquisition-says-released',
    say: 'an acquisition that nobody completed says that the holder has stopped',
    tests: ['test/coordination/redis/undone.test.ts'],
    edits: [
      {
        file: leaseScripts,
        find:
          "if f[2] == '' and f[3] == '0' and redis.call('HGET', KEYS[2], 'claimed') ~= ARGV[1] then " +
          'restore(KEYS[2]) else',
        replace: 'do',
      },
    ],
  },
];

const SHARED: readonly Mutant[] = [
  {
    id: 'reaper-one-look',
    say: 'the reaper believes one look',
    tests: shared,
    only: 'declares the silent dead after two looks',
    edits: [
      {
        file: 'src/coordination/redis/scripts/registry-scripts.ts',
        find:
          "elseif not since then redis.call('ZADD', KEYS[2], whole(now), id) elseif now - tonumber(since) >= " +
          'tonumber(ARGV[2]) then',
        replace: 'else',
      },
    ],
  },
  {
    id: 'permit-fences-its-own-epoch',
    say: 'the leader itself is kept out as if it were an older one',
    tests: shared,
    only: 'never grants more than the bucket',
    edits: [
      {
        file: 'src/coordination/redis/scripts/limit-scripts.ts',
        find: "'epoch') or '0') or 0) > tonumber(ARGV[1]) then return {-1} end",
        replace: "'epoch') or '0') or 0) >= tonumber(ARGV[1]) then return {-1} end",
      },
    ],
  },
  {
    id: 'permit-one-too-many',
    say: 'the shared gate lets one attempt more through at once',
    tests: shared,
    only: 'a full bucket gives its capacity at once',
    edits: [
      {
        file: 'src/coordination/redis/scripts/limit-scripts.ts',
        find: 'local first = tat - (tonumber(ARGV[3]) - 1) * refill',
        replace: 'local first = tat - tonumber(ARGV[3]) * refill',
      },
    ],
  },
  {
    id: 'mark-shorter-hold-wins',
    say: 'a shorter hold ends a longer one for all replicas',
    tests: shared,
    only: 'a hold and an open breaker stand',
    edits: [
      {
        file: 'src/coordination/redis/scripts/limit-scripts.ts',
        find: "if ARGV[4] ~= '1' or till > old",
        replace: 'if true or till > old',
      },
    ],
  },
  {
    id: 'pool-over-its-limit',
    say: 'a tenant holds one stream more than its limit',
    tests: shared,
    only: 'never exceeds its limit',
    edits: [
      {
        file: 'src/coordination/redis/scripts/pool-scripts.ts',
        find: "if limit - redis.call('ZCARD', KEYS[1]) > place then",
        replace: "if limit - redis.call('ZCARD', KEYS[1]) >= place then",
      },
    ],
  },
  {
    id: 'pool-ages-into-the-first-class',
    say: 'who waits long enough is before the first class',
    tests: shared,
    only: 'ageing lifts',
    edits: [
      {
        file: 'src/coordination/redis/scripts/pool-scripts.ts',
        find: 'if c > 0 and aged < 1 then aged = 1 end',
        replace: '',
      },
    ],
  },
  {
    id: 'pool-never-ages',
    say: 'who waits is never more important',
    tests: shared,
    only: 'ageing lifts',
    edits: [
      {
        file: 'src/coordination/redis/scripts/pool-scripts.ts',
        find: 'local aged = c - math.floor((now - since) / ageMs)',
        replace: 'local aged = c',
      },
    ],
  },
  {
    id: 'pool-preempts-equals',
    say: 'a stream takes the place of an equal',
    tests: shared,
    only: 'preempts no equal',
    edits: [
      {
        file: 'src/coordination/redis/scripts/pool-scripts.ts',
        find: 'if c > class and',
        replace: 'if c >= class and',
      },
    ],
  },
  {
    id: 'pool-preempts-at-once',
    say: 'a stream is not left alone for its first time',
    tests: shared,
    only: 'preempts no equal',
    edits: [
      {
        file: 'src/coordination/redis/scripts/pool-scripts.ts',
        find: 'and now - since >= tonumber(ARGV[5]) and',
        replace: 'and',
      },
    ],
  },
  {
    id: 'pool-preempts-two-for-one',
    say: 'one that waits takes a place at each look',
    tests: shared,
    only: 'preempts no equal',
    edits: [
      {
        file: 'src/coordination/redis/scripts/pool-scripts.ts',
        find: "if redis.call('HLEN', KEYS[5]) <= place then",
        replace: 'do',
      },
    ],
  },
];

export const STORE: readonly Mutant[] = [...CHECKPOINTS, ...SEAL, ...LEASES, ...SHARED];
