import { MARK, type PlantedFault } from './planted-fault.ts';

/** Restraint, memory and secrets. */
export const CONDUCT_PLANTS: readonly PlantedFault[] = [
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
