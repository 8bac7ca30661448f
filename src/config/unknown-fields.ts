import type { z } from 'zod';

/** Rounds of removing fields: what was hidden behind one unknown field shows in the next. */
const MAX_ROUNDS = 8;

/** A document without its unknown fields, and the paths of those. */
export interface Tolerated {
  readonly value: unknown;
  readonly unknown: readonly string[];
}

/**
 * Removes from a document the fields that a strict schema does not know. A sidecar that runs for weeks reads documents
 * of a newer version; it can leave unknown fields, known ones must still be right.
 */
export function withoutUnknownFields(schema: z.ZodType, document: unknown): Tolerated {
  const value = structuredClone(document);
  const unknown: string[] = [];
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const { error } = schema.safeParse(value);
    const found = (error?.issues ?? []).flatMap((issue) => unknownIn(issue, []));
    if (found.length === 0) break;
    for (const path of found) if (remove(value, path)) unknown.push(path.join('.'));
  }
  return { value, unknown };
}

type Path = readonly PropertyKey[];

function unknownIn(issue: z.core.$ZodIssue, above: Path): readonly Path[] {
  const at = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => [...at, key]);
  if (issue.code !== 'invalid_union') return [];
  // The form that fits but for unknown fields is the intended one.
  const meant = issue.errors.find((issues) => issues.every((one) => one.code === 'unrecognized_keys'));
  return (meant ?? []).flatMap((one) => unknownIn(one, at));
}

function remove(value: unknown, path: Path): boolean {
  const holder = path.slice(0, -1).reduce<unknown>((at, step) => (isObject(at) ? at[step] : undefined), value);
  return isObject(holder) && Reflect.deleteProperty(holder, path.at(-1) ?? '');
}

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null;
}
