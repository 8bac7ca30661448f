import { readFileSync } from 'node:fs';

/** One statement or expression of a source file that is replaced: a planted fault, a crash point, a mutant. */
export interface Edit {
  readonly file: string;
  /** The code to replace. White space between its words does not count; it must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/**
 * Finds a piece of code whatever its line breaks: runs of white space match any, and a trailing comma may stand before
 * a bracket.
 */
function pattern(find: string): RegExp {
  const escaped = find
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join(String.raw`\s+`);
  const loose = escaped
    .replace(/\\([)\]}])/g, String.raw`\s*,?\s*\$1`)
    .replace(/\\([([])/g, String.raw`\$1\s*`)
    .replace(/\\\./g, String.raw`\s*\.`);
  return new RegExp(loose, 'g');
}

/**
 * Returns the source with the edit made. Throws when the code to replace stands there not at all, or more than once.
 */
export function edited(source: string, edit: Edit): string {
  const found = source.match(pattern(edit.find))?.length ?? 0;
  if (found !== 1)
    throw new Error(`"${edit.find.trim().slice(0, 60)}" stands ${String(found)} times in ${edit.file}, not once`);
  return source.replace(pattern(edit.find), () => edit.replace);
}

/** Returns what is wrong with the edits of one plant: each that does not fit its file. */
export function misfits(edits: readonly Edit[]): readonly string[] {
  return edits.flatMap((edit) => {
    try {
      edited(readFileSync(edit.file, 'utf8'), edit);
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
}
