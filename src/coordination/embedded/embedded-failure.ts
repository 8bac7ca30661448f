import { HoldfastError } from '../../core/errors.ts';

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const REMEDIES: Readonly<Record<number, string>> = {
  8: 'let this user write to the directory and its files, and mount the volume writable',
  10: 'look at the disk: reading or writing it failed',
  11:
    'stop, move holdfast.db and its -wal and -shm files away, start: streams begin anew, with a gap where the ' +
    'time is not known',
  13: 'free space on this volume, or give it more; what is not stored is tried again',
  14: 'the directory must exist, and this user must be allowed to read and write it and its files',
  26: 'this is no database: move the file away, or name another directory with --store embedded:DIR',
};
const FILE_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'let this user write there, or name another directory with --store embedded:DIR',
  EPERM: 'let this user write there, or name another directory with --store embedded:DIR',
  EROFS: 'mount the volume writable, or name another directory with --store embedded:DIR',
  ENOSPC: 'free space on this volume, or give it more',
  ENOTDIR: 'a part of the path is a file: name another directory with --store embedded:DIR',
  EEXIST: 'the path is a file: name a directory with --store embedded:DIR',
};

/** Returns whether another process holds the file. */
export function isHeld(error: unknown): boolean {
  const code = resultOf(error);
  return code === SQLITE_BUSY || code === SQLITE_LOCKED;
}

/**
 * Returns an error with the path, SQLite's or the system's own words, and the remedy. @param path of the file or
 * directory
 */
export function embeddedFailure(path: string, cause: unknown): HoldfastError {
  const result = resultOf(cause);
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const own =
    result === undefined
      ? cause instanceof Error
        ? cause.message
        : 'unknown'
      : `${cause instanceof Error ? cause.message : ''} (SQLite ${String(result)})`;
  const remedy = (result === undefined ? FILE_REMEDIES[code] : REMEDIES[result]) ?? 'see docs/runbook.md, the store';
  return new HoldfastError('HF_STORE_UNAVAILABLE', `the embedded store ${path} cannot be used: ${own}`, {
    details: { path, remedy },
    cause,
  });
}

/** Returns the primary code: extended ones carry more in the upper bits. */
function resultOf(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}
