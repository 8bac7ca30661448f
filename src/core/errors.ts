/** Reaction that a shell's error demands of the caller. */
export type ErrorDisposition = 'retry' | 'retry-after' | 're-authenticate' | 'give-up' | 'refuse-to-start';

/** The catalogue of error codes. docs/errors.md lists every one; a test compares the two in both directions. */
export const ERROR_CODES = {
  HF_CONFIG_INVALID: 'refuse-to-start',
  HF_CONFIG_UNREADABLE: 'refuse-to-start',
  HF_CONFIG_SYNTAX: 'refuse-to-start',
  HF_CONFIG_SCHEMA: 'refuse-to-start',
  HF_CONFIG_RELATION: 'refuse-to-start',
  HF_CONFIG_HOST: 'refuse-to-start',
  HF_CONFIG_SECRET: 'refuse-to-start',
  HF_CONFIG_ENVIRONMENT: 'refuse-to-start',
  HF_CONFIG_OPTION: 'refuse-to-start',
  HF_CONFIG_PORT: 'refuse-to-start',
  HF_STORE_UNAVAILABLE: 'retry',
  HF_STORE_CORRUPT: 'give-up',
  HF_STORE_SCHEMA: 'refuse-to-start',
  HF_STORE_BUSY: 'refuse-to-start',
  HF_TOKEN_CREDENTIALS: 're-authenticate',
  HF_TOKEN_GRANT: 're-authenticate',
  HF_TOKEN_FORBIDDEN: 'give-up',
  HF_TOKEN_THROTTLED: 'retry-after',
  HF_TOKEN_UNREACHABLE: 'retry',
  HF_TOKEN_ANSWER: 'retry',
  HF_REST_FAILED: 'retry',
  HF_PRIVATE_ADDRESS: 'retry',
  HF_API_NOT_FOUND: 'give-up',
  HF_API_METHOD: 'give-up',
  HF_API_BODY: 'give-up',
  HF_API_ACK_UNKNOWN: 'give-up',
  HF_API_CONSUMER_CONFLICT: 'retry-after',
  HF_API_ORIGIN: 'give-up',
  HF_API_STANDBY: 'retry-after',
  HF_API_LIMIT: 'retry-after',
  HF_API_MODE: 'give-up',
  HF_RUNTIME_NODE: 'refuse-to-start',
} as const satisfies Readonly<Record<string, ErrorDisposition>>;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * Carries an error of the shells, the one class for all. `message` is for people; programs read `code` and
 * `disposition`.
 */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly details?: Readonly<Record<string, string | number | boolean>>; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get disposition(): ErrorDisposition {
    return ERROR_CODES[this.code];
  }
}
