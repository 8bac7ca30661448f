/** One fault of the user's input: the field, the rule that it breaks, the remedy. Never the value of a secret. */
export interface ConfigProblem {
  readonly code: string;
  /** Place of the fault: file (and document), then the path of the field. */
  readonly field: string;
  readonly rule: string;
  readonly remedy: string;
}

/** Carries all problems of a configuration at once. The program refuses to start with exit code 78 (EX_CONFIG). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'HF_CONFIG_INVALID';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(
      `${String(problems.length)} problem(s) in the configuration; first: ${problems[0]?.field ?? '?'}: ` +
        (problems[0]?.rule ?? '?'),
    );
    this.problems = problems;
  }
}
