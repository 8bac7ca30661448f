import type { Edit } from '../support/edits.ts';

/** A fault planted in the running program: the judge must name the rule it breaks. */
export interface Plant {
  readonly id: string;
  readonly say: string;
  readonly edits: readonly Edit[];
  /** The row that brings it to light, and the rules any of which must be broken. */
  readonly row: string;
  readonly rules: readonly string[];
}

/** Says once that the wrong code ran. */
const MARK = '(globalThis as unknown as { holdfastPlanted: () => void }).holdfastPlanted()';

/** The checkpoint and what it covers. */
const POSITIONS: readonly Plant[] = [
  {
    id: 'checkpoint-before-ack',
    say: 'the checkpoint covers what was received, not what was acknowledged',
    row: 'K2',
    rules: ['C5'],
    edits: [
      {
        file: 'src/core/events/settled-prefix.ts',
        find: 'return { ord: this.#floor, item: this.#item, runs: this.#runs.list() };',
        replace:
          `${MARK};\n    const { last } = this.#ring;\n    ` +
          'return { ord: last, item: this.#ring.at(last)?.item ?? this.#item, runs: [] };',
      },
      {
        file: 'src/core/events/settled-prefix.ts',
        find: 'return this.#floor + this.#runs.count;',
        replace: 'return this.#ring.last;',
      },
    ],
  },
  {
    id: 'highest-seen',
    say: 'the checkpoint is the highest position seen',
    row: 'K2',
    rules: ['C5'],
    edits: [
      {
        file: 'src/sidecar/stream/sequence-record.ts',
        find: 'const record = { ...base, position: `sequence:${String(last)}`, tail };',
        replace: `${MARK}; const record = { ...base, position: \`sequence:\${String(tracker.last)}\`, tail: [] };`,
      },
    ],
  },
  {
    id: 'flush-on-reconnect',
    say: 'what waits for the consumer is thrown away on a reconnection',
    row: 'K2b',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-connection.ts',
        find: '    this.#intake.linkOpened(this.state.positionExpired, this.#dialer.asked);',
        replace:
          `    ${MARK}; for (let ord = this.#outbox.floor + 1; ord <= this.#outbox.lastOrd; ord += 1) ` +
          `this.#outbox.settle(ord);\n    this.#intake.linkOpened(this.state.positionExpired, ` +
          'this.#dialer.asked);',
      },
    ],
  },
  {
    id: 'forgetful',
    say: 'repetitions of the platform reach the consumer',
    row: 'N3',
    rules: ['C4'],
    edits: [
      {
        file: 'src/sidecar/stream/intake.ts',
        find: "      case 'duplicate':\n",
        replace: `      case 'duplicate':\n        ${MARK};\n        return this.#accept(view, 'live');\n`,
      },
    ],
  },
  {
    id: 'unmarked',
    say: 'repetitions after a change of leader are not marked',
    row: 'P1',
    rules: ['C4'],
    edits: [
      {
        file: 'src/sidecar/stream/replay-mark.ts',
        find: "    if (before || this.#left > 0) return 'resume';",
        replace: `    ${MARK};\n    void before;\n    if (this.#left >= 0) return 'live';`,
      },
    ],
  },
  {
    id: 'double',
    say: 'a sequence number is read as a double',
    row: 'S17',
    rules: ['C1', 'C10'],
    edits: [
      {
        file: 'src/core/events/sequence.ts',
        find: '  return text.length <= 15 ? Number(text) : normalise(BigInt(text));',
        replace: `  ${MARK};\n  return Number(text);`,
      },
    ],
  },
  {
    id: 'silent-gap',
    say: 'a gap is counted and not announced',
    row: 'S11',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/continuity-notices.ts',
        find: "    this.#writer.control('gap.detected', body, at);",
        replace: `    ${MARK}; void body; void at;`,
      },
    ],
  },
  {
    id: 'no-baseline',
    say: 'a subscription is not written down before its first event',
    row: 'P16',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-baseline.ts',
        find: "    if (this.#told !== 'nothing') return;",
        replace: `    ${MARK};\n    if (era >= 0) return;`,
      },
    ],
  },
  {
    id: 'unknown-position',
    say: 'a connection lost before the first event is simply opened again',
    row: 'N4b',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-connection.ts',
        find: "if (this.#plan.profile.streamClass === 'C' || this.#intake.resume.current === undefined)",
        replace: `${MARK};\n    if (this.#plan.profile.streamClass === 'C')`,
      },
    ],
  },
  {
    id: 'hole-forgotten',
    say: 'an acknowledged notice moves the beginning of a hole that is not announced yet',
    row: 'P17-C',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/intake.ts',
        find: 'settledAtEpochMs: this.#timeGap.vouchedUntil(receivedEpochMs),',
        replace: `settledAtEpochMs: ${MARK} ?? receivedEpochMs,`,
      },
      {
        file: 'src/sidecar/stream/parcel-writer.ts',
        find: 'heardEpochMs: this.#receipts.heardEpochMs,',
        replace: 'heardEpochMs: this.#deps.nowEpochMs(),',
      },
    ],
  },
  {
    id: 'sealed-away',
    say: 'a leader that was not connected says at its end that nothing was missed',
    row: 'P2-C',
    rules: ['C1'],
    edits: [
      {
        file: 'src/sidecar/stream/stream-driver.ts',
        find: 'const whole = this.#grant.begun && this.connection.open && !this.intake.holed;',
        replace: `${MARK}; const whole = this.connection.state.gen >= 0;`,
      },
    ],
  },
  {
    id: 'no-second-question',
    say: 'a hole is called a gap without asking again',
    row: 'S9',
    rules: ['C2'],
    edits: [
      {
        file: 'src/core/events/sequence-tracker.ts',
        find: '    if (this.#resumeTriedFor !== from) {',
        replace: `    ${MARK};\n    if (this.#resumeTriedFor !== from && from === -1) {`,
      },
    ],
  },
  {
    id: 'poison-dropped',
    say: 'what cannot be read is dropped without a word',
    row: 'S16',
    rules: ['C10'],
    edits: [
      {
        file: 'src/sidecar/stream/intake.ts',
        find: "    this.pushControl('poison',",
        replace: `    ${MARK};\n    void ((_type: string, _data: unknown) => undefined)('poison',`,
      },
    ],
  },
];

/** Leadership. */
const LEASES: readonly Plant[] = [
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

/** Restraint, memory, secrets. */
const CONDUCT: readonly Plant[] = [
  {
    id: 'reset-on-open',
    say: 'a handshake resets the count of attempts',
    row: 'S4',
    rules: ['C8'],
    edits: [
      {
        file: 'src/core/session/session.ts',
        find: '    draft.s = { ...draft.s, interrupted: false, downFor: undefined };\n    adoptToken',
        replace:
          `    ${MARK};\n    resetEpisode(draft);\n    draft.s = { ...draft.s, interrupted: false, downFor: ` +
          `undefined };\n    adoptToken`,
      },
    ],
  },
  {
    id: 'no-bucket',
    say: 'jitter only, no gate',
    row: 'S5',
    rules: ['C8'],
    edits: [
      {
        file: 'src/core/dialing/rate-gate.ts',
        find: '  if (nowMs < earliestMs) return { granted: false, waitUntilMs: earliestMs };',
        replace: `  ${MARK};\n  void earliestMs;`,
      },
      {
        file: 'src/sidecar/client/shared-permits.ts',
        find: '    const { gate } = this.#plan.dialing;',
        replace: '    const { gate } = this.#plan.dialing;\n    if (gate.capacity > 0) return GRANTED;',
      },
    ],
  },
  {
    id: 'retry-after',
    say: 'Retry-After is ignored',
    row: 'S2',
    rules: ['C8'],
    edits: [
      {
        file: 'src/core/session/session-failures.ts',
        find: '      return retry(draft, link, verdict, { unit, extended: true, notBeforeMs: retryAfterMs });',
        replace:
          `      ${MARK};\n      draft.out.splice(0, draft.out.length, ...draft.out.filter((effect) => ` +
          `effect.kind !== 'hold'));\n      return retry(draft, link, verdict, { unit, extended: true });`,
      },
    ],
  },
  {
    id: 'final-1000',
    say: 'a close with 1000 by the platform ends the stream',
    row: 'S3',
    rules: ['C1', 'C9'],
    edits: [
      {
        file: 'src/core/session/classify-failure.ts',
        find: "  const disposition = tables.closeCodes[closeCode] ?? 'retry';",
        replace:
          `  if (closeCode === 1000) ${MARK};\n  const disposition = closeCode === 1000 ? ` +
          `'final' : (tables.closeCodes[closeCode] ?? 'retry');`,
      },
    ],
  },
  {
    id: 'endless-pause',
    say: 'reading is paused for as long as the consumer takes',
    row: 'K2c',
    rules: ['C19'],
    edits: [
      {
        file: 'src/sidecar/stream/backpressure.ts',
        find: "if (!over && bufferedBytes * 2 >= maxBytes) return 'nothing';",
        replace: `${MARK};\n    void over;\n    if (bufferedBytes * 2 >= maxBytes) return 'nothing';`,
      },
    ],
  },
  {
    id: 'unbounded',
    say: 'the queue toward the consumer has no bound',
    row: 'K3',
    rules: ['C11'],
    edits: [
      {
        file: 'src/sidecar/stream/backpressure.ts',
        find: '    const full = bufferedBytes >= maxBytes;',
        replace: `    ${MARK};\n    const full = bufferedBytes < 0;`,
      },
    ],
  },
  {
    id: 'token-told',
    say: 'an error message names the token',
    row: 'A3',
    rules: ['C13'],
    edits: [
      {
        file: 'src/sidecar/client/token-manager.ts',
        find: '  rejected(id: string): void {',
        replace:
          `  rejected(id: string): void {\n    ${MARK};\n    process.stderr.write(\`{"msg":"the platform ` +
          `refused \${this.#texts.get(id) ?? ''}"}\\n\`);`,
      },
    ],
  },
  {
    id: 'old-token',
    say: 'a token that was refused is used again',
    row: 'A3',
    rules: ['C17'],
    edits: [
      {
        file: 'src/sidecar/client/token-manager.ts',
        find: "    this.#dispatch({ kind: 'rejected', id });\n  }\n\n  /** Asks a REST path",
        replace: `    ${MARK};\n    void id;\n  }\n\n  /** Asks a REST path`,
      },
    ],
  },
  {
    id: 'hot-retry',
    say: 'a store that fails is asked again at once',
    row: 'R11b',
    rules: ['C14'],
    edits: [
      {
        file: 'src/core/lease/lease-model.ts',
        find: 'export const LEASE_RETRY_MS: Millis = 250;',
        replace: 'export const LEASE_RETRY_MS: Millis = 1;',
      },
      {
        file: 'src/core/events/checkpoint-schedule.ts',
        find: 'notBeforeMs: at.nowMs + backoffDelay(policy.backoff, state.failures, at.unit),',
        replace: `notBeforeMs: at.nowMs + 0 * backoffDelay(policy.backoff, state.failures, at.unit) + (${MARK} ?? 0),`,
      },
    ],
  },
];

export const PLANTS: readonly Plant[] = [...POSITIONS, ...LEASES, ...CONDUCT];
