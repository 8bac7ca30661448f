/** A fault planted in the running program: the judge must name the rule it breaks. */
export interface Plant {
  readonly id: string;
  readonly say: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** The row that brings it to light, and the rules any of which must be broken. */
  readonly row: string;
  readonly rules: readonly string[];
}

/** Says once that the wrong code ran. */
const MARK = '(globalThis as unknown as { holdfastPlanted: () => void }).holdfastPlanted()';

export const PLANTS: readonly Plant[] = [
  {
    id: 'highest-seen', say: 'the checkpoint is the highest position seen', file: 'src/sidecar/intake.ts', row: 'P1', rules: ['C1', 'C5'],
    find: "return { ...base, position: `sequence:${String(floor.sequence)}`, tail };",
    replace: `${MARK}; return { ...base, position: \`sequence:\${String(this.#tracker.last)}\`, tail: [] };`,
  },
  {
    id: 'forgetful', say: 'repetitions of the platform reach the consumer', file: 'src/sidecar/intake.ts', row: 'N3', rules: ['C4'],
    find: "      case 'duplicate':\n        this.duplicates += 1;\n        this.#sawRepeat = true;\n        return;\n      case 'conflict':",
    replace: `      case 'duplicate':\n        ${MARK};\n        this.#accept(view, 'live');\n        return;\n      case 'conflict':`,
  },
  {
    id: 'unmarked', say: 'repetitions after a change of leader are not marked', file: 'src/sidecar/replay.ts', row: 'P1', rules: ['C4'],
    find: "    if (this.#left > 0) return 'resume';",
    replace: `    ${MARK};\n    if (this.#left >= 0) return 'live';`,
  },
  {
    id: 'retry-after', say: 'Retry-After is ignored', file: 'src/core/session-failures.ts', row: 'S2', rules: ['C8'],
    find: "      return retry(draft, link, verdict, { unit, extended: true, notBeforeMs: retryAfterMs });",
    replace: `      ${MARK};\n      draft.out.splice(0, draft.out.length, ...draft.out.filter((effect) => effect.kind !== 'hold'));\n      return retry(draft, link, verdict, { unit, extended: true });`,
  },
  {
    id: 'final-1000', say: 'a close with 1000 by the platform ends the stream', file: 'src/core/disposition.ts', row: 'S3', rules: ['C1', 'C9'],
    find: "    const disposition = tables.closeCodes[failure.closeCode] ?? 'retry';",
    replace: `    if (failure.closeCode === 1000) ${MARK};\n    const disposition = failure.closeCode === 1000 ? 'final' : (tables.closeCodes[failure.closeCode] ?? 'retry');`,
  },
  {
    id: 'no-guard', say: 'no second thread ends a process that is stuck', file: 'src/sidecar/guard.ts', row: 'P6', rules: ['C7', 'C9'],
    find: '    Atomics.store(this.#deadline, 0, ns);',
    replace: `    ${MARK};\n    Atomics.store(this.#deadline, 0, 0n * ns);`,
  },
];
