import { MARK, type PlantedFault } from './planted-fault.ts';

/** The lease and the store that holds it. */
export const LEASE_PLANTS: readonly PlantedFault[] = [
  {
    id: 'no-epoch-check',
    say: 'the store takes any checkpoint, of whatever epoch',
    row: 'P4e',
    rules: ['C6'],
    edits: [
      {
        file: 'src/coordination/redis/scripts/store-scripts.ts',
        find:
          "if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end\nfor i = 2, #ARGV, 4 do\n  " +
          "local stored = redis.call('HMGET', KEYS[2], ARGV[i] .. '#index', ARGV[i] .. '#ahead')\n  local " +
          "index, ahead = tonumber(stored[1] or '0') or 0, tonumber(stored[2] or '0') or 0\n  if index > " +
          'tonumber(ARGV[i + 1]) or index == tonumber(ARGV[i + 1]) and ahead > tonumber(ARGV[i + 2]) then ' +
          'return -1 end\nend\n',
        replace: '',
      },
      {
        file: 'src/coordination/redis/redis-store.ts',
        find: '    const records = Object.entries(checkpoints)',
        replace: `    ${MARK};\n    const records = Object.entries(checkpoints)`,
      },
    ],
  },
  {
    id: 'wall-clock',
    say: 'the lease is measured by the wall clock',
    row: 'T1',
    rules: ['C18'],
    edits: [
      {
        file: 'src/cli/run.ts',
        find: 'const nowMs = (): number => performance.now();',
        replace: `const nowMs = (): number => { ${MARK}; return Date.now(); };`,
      },
    ],
  },
  {
    id: 'no-guard',
    say: 'no second thread ends a process that is stuck',
    row: 'P6',
    rules: ['C7', 'C9'],
    edits: [
      {
        file: 'src/sidecar/leadership/watchdog.ts',
        find: '    Atomics.store(this.#deadline, 0, ns);',
        replace: `    ${MARK};\n    Atomics.store(this.#deadline, 0, 0n * ns);`,
      },
    ],
  },
  {
    id: 'no-quarantine',
    say: 'nobody waits for a holder whom the store has forgotten',
    row: 'R9c',
    rules: ['C6', 'C7'],
    edits: [
      { file: 'src/core/lease/lease-model.ts', find: 'quarantineUntilMs: untilMs,', replace: '' },
      {
        file: 'src/core/lease/lease-model.ts',
        find: '  const untilMs = draft.nowMs + draft.policy.ttlMs;',
        replace: `  ${MARK};\n  const untilMs = draft.nowMs;`,
      },
    ],
  },
  {
    id: 'new-to-us',
    say: 'a store that lost its data is taken for one that never had any',
    row: 'R9d',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/leadership/client-candidate.ts',
        find: 'if (forgot) for',
        replace: `${MARK};\n    if (forgot && process.pid < 0) for`,
      },
    ],
  },
  {
    id: 'blind-release',
    say: 'a lock is given back without a look at whose it is',
    row: 'P4d',
    rules: ['C4', 'C6', 'C18'],
    edits: [
      {
        file: 'src/coordination/redis/scripts/lease-scripts.ts',
        find:
          "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nredis.call('DEL', KEYS[1])\nlocal f = " +
          "redis.call('HMGET', KEYS[2], 'token', 'conn', 'beat', 'holder')\nif f[1] == ARGV[1] then",
        replace:
          "redis.call('DEL', KEYS[1])\nlocal f = redis.call('HMGET', KEYS[2], 'token', 'conn', 'beat', " +
          "'holder')\nif true then",
      },
      {
        file: 'src/coordination/redis/redis-leases.ts',
        find: '    return this.#lock.release(this.#keys(lease), token);',
        replace: `    ${MARK};\n    return this.#lock.release(this.#keys(lease), token);`,
      },
    ],
  },
  {
    id: 'one-look',
    say: 'the reaper believes one look, and the owner of a connection believes the reaper',
    row: 'R14',
    rules: ['C18'],
    edits: [
      {
        file: 'src/coordination/redis/scripts/registry-scripts.ts',
        find:
          "    elseif not since then\n      redis.call('ZADD', KEYS[2], whole(now), id)\n    elseif now - " +
          'tonumber(since) >= tonumber(ARGV[2]) then',
        replace: '    else',
      },
      {
        file: 'src/coordination/redis/connection-registry.ts',
        find: '    const dead: string[] = [];',
        replace: `    ${MARK};\n    const dead: string[] = [];`,
      },
      { file: 'src/sidecar/replica/dead-hints.ts', find: '    if (silentMs < SILENT_MS) return;', replace: '' },
    ],
  },
];
