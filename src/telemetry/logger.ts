/**
 * The outputs of a process: log, audit log, metrics, and the sink through which all lines go. This folder never decides
 * what is worth a line or a count: each part reports itself, a stream's words are src/sidecar/stream's. Secrets are
 * scrubbed by value in the sink, with core's registry, whatever was logged.
 */

import { pino, type Logger } from 'pino';
import type { LineSink } from './line-sink.ts';

export type { Logger } from 'pino';
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
/** Characters of an error's message that are logged. */
const MESSAGE_CHARS = 1000;
/** Characters of a thrown value that is no error which are logged. */
const THROWN_CHARS = 500;
/** Characters of an error's stack that are logged. */
const STACK_CHARS = 4000;
/** Causes of an error that are logged with it, each the cause of the one before. */
const CAUSES = 3;

/**
 * Creates the process's logger. Errors are written by an allow-list of fields: library errors carry requests, options
 * and URLs.
 */
export function createLogger(level: string, sink: LineSink, base: Readonly<Record<string, string>>): Logger {
  const known = (LOG_LEVELS as readonly string[]).includes(level);
  const logger = pino(
    {
      level: known ? level : 'info',
      base,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write: (line: string) => {
        sink.write(line);
      },
    },
  );
  if (!known) logger.warn({ level, allowed: LOG_LEVELS }, 'unknown log level; using info');
  return logger;
}

/** Returns name, code, message and stack of an error and of its causes (CAUSES deep); no other field. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: String(error).slice(0, THROWN_CHARS) };
  const code = (error as { code?: unknown }).code;
  return {
    name: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    message: error.message.slice(0, MESSAGE_CHARS),
    ...(depth === 0 ? { stack: error.stack?.slice(0, STACK_CHARS) } : {}),
    ...(error.cause !== undefined && depth < CAUSES ? { cause: describeError(error.cause, depth + 1) } : {}),
  };
}
