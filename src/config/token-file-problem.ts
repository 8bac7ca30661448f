import { realpathSync } from 'node:fs';
import { sep } from 'node:path';

/** Bounds of where a consumer's token may be read from, by real paths. */
export interface TokenBounds {
  /** Only below this directory; undefined: anywhere. */
  readonly below: string | undefined;
  /** Never one of these, nor below them: other credentials of this process. */
  readonly never: readonly string[];
}

/**
 * Returns the rule that a token file breaks once every symbolic link and `..` in its path is followed; undefined: none,
 * or there is no such file, which its reader reports.
 */
export function tokenFileProblem(file: string, bounds: TokenBounds): string | undefined {
  const real = realPath(file);
  if (real === undefined) return undefined;
  const below = bounds.below === undefined ? undefined : (realPath(bounds.below) ?? bounds.below);
  if (below !== undefined && !isBelow(real, below)) return `does not lie below ${bounds.below ?? ''}`;
  const credentials = bounds.never.find((one) => {
    const there = realPath(one);
    return there !== undefined && (real === there || isBelow(real, there));
  });
  return credentials === undefined ? undefined : `lies among other credentials (${credentials})`;
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined; // not there, or not ours to look at: then it cannot be read either
  }
}
