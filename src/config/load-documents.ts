import { readFileSync, statSync } from 'node:fs';
import { LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { BY_HAND, type Installation } from './installation.ts';
import { MAX_YAML_ALIASES } from './limits.ts';
import { checkRelations } from './relations.ts';
import { ConfigError, type ConfigProblem } from './config-problem.ts';
import { API_VERSION, eventStream, streamClient, type EventStream, type StreamClient } from './schema.ts';
import { withoutUnknownFields } from './unknown-fields.ts';

/** Largest configuration file read. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

export interface Documents {
  readonly clients: readonly StreamClient[];
  readonly streams: readonly EventStream[];
  readonly warnings: readonly string[];
  /** The rules by which they were checked. */
  readonly installation: Installation;
}

/**
 * Reads and checks every document of the given files.
 * @throws ConfigError with all problems at once.
 */
export function loadDocuments(files: readonly string[], installation: Installation = BY_HAND): Documents {
  const problems: ConfigProblem[] = [];
  if (files.length === 0)
    problems.push({
      code: 'HF_CONFIG_OPTION',
      field: '-f',
      rule: 'is missing',
      remedy: 'name at least one configuration file: -f FILE',
    });
  const texts = files.flatMap((file) => {
    const text = readText(file, problems);
    return text === undefined ? [] : [{ name: file, text }];
  });
  const { documents, problems: found } = checkDocuments(texts, installation);
  // A file that cannot be read is the reason why documents are missing elsewhere.
  problems.push(...(problems.length > 0 ? found.filter((one) => one.code !== 'HF_CONFIG_UNREADABLE') : found));
  if (problems.length > 0) throw new ConfigError(problems);
  return documents;
}

/** Checks the documents of some texts, each by itself and all together. `name` is the text's name in problems. */
export function checkDocuments(
  texts: readonly { readonly name: string; readonly text: string }[],
  installation: Installation = BY_HAND,
): {
  readonly documents: Documents;
  readonly problems: readonly ConfigProblem[];
} {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const parsed = <T>(schema: z.ZodType<T>, where: string, value: unknown): z.ZodSafeParseResult<T> => {
    if (!installation.tolerant) return schema.safeParse(value);
    const { value: known, unknown } = withoutUnknownFields(schema, value);
    warnings.push(...unknown.map((path) => `${where}.${path} is not a known field of this version; it is left out`));
    return schema.safeParse(known);
  };
  const clients: { where: string; value: StreamClient }[] = [];
  const streams: { where: string; value: EventStream }[] = [];
  for (const { name, text } of texts) {
    for (const { where, value } of documentsOf(name, text, problems)) {
      const kind = isRecord(value) ? value['kind'] : undefined;
      if (kind === 'StreamClient') collect(where, parsed(streamClient, where, value), clients, problems);
      else if (kind === 'EventStream') collect(where, parsed(eventStream, where, value), streams, problems);
      else
        problems.push({
          code: 'HF_CONFIG_SCHEMA',
          field: `${where}.kind`,
          rule: 'is neither StreamClient nor EventStream',
          remedy: `write apiVersion: ${API_VERSION} and kind: StreamClient or EventStream`,
        });
    }
  }
  if (problems.length === 0 && clients.length === 0)
    problems.push({
      code: 'HF_CONFIG_UNREADABLE',
      field: texts.map((one) => one.name).join(', '),
      rule: 'holds no StreamClient',
      remedy: 'write one StreamClient and at least one EventStream',
    });
  const relations = checkRelations(clients, streams, installation);
  problems.push(...relations.problems);
  return {
    documents: {
      clients: clients.map((one) => one.value),
      streams: streams.map((one) => one.value),
      warnings: [...warnings, ...relations.warnings],
      installation,
    },
    problems,
  };
}

/** Returns the names of the StreamClients in some files, whatever else is wrong with them. */
export function clientNames(files: readonly string[]): readonly string[] {
  return files.flatMap((file) => {
    const text = readText(file, []);
    const values = text === undefined ? [] : documentsOf(file, text, []).map((one) => one.value);
    return values.flatMap((value) =>
      isRecord(value) &&
      value['kind'] === 'StreamClient' &&
      isRecord(value['metadata']) &&
      typeof value['metadata']['name'] === 'string' &&
      /^[a-z0-9-]{1,63}$/.test(value['metadata']['name'])
        ? [value['metadata']['name']]
        : [],
    );
  });
}

function readText(file: string, problems: ConfigProblem[]): string | undefined {
  const refuse = (rule: string, remedy: string): undefined =>
    void problems.push({ code: 'HF_CONFIG_UNREADABLE', field: file, rule, remedy });
  try {
    const info = statSync(file);
    if (info.isDirectory()) return refuse('is a directory', 'name a file');
    if (info.size > MAX_FILE_BYTES)
      return refuse(`is larger than ${String(MAX_FILE_BYTES)} bytes`, 'split the configuration');
    const text = readFileSync(file, 'utf8');
    return text.trim() === '' ? refuse('is empty', 'write one StreamClient and at least one EventStream') : text;
  } catch (error) {
    const code = isRecord(error) ? String(error['code']) : 'unknown';
    return refuse(`cannot be read (${code})`, 'check the path and the permissions');
  }
}

function documentsOf(file: string, text: string, problems: ConfigProblem[]): { where: string; value: unknown }[] {
  const lines = new LineCounter();
  const out: { where: string; value: unknown }[] = [];
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true });
  const documents = Array.isArray(parsed) ? parsed : [];
  documents.forEach((document, index) => {
    const where = documents.length > 1 ? `${file}#${String(index + 1)}` : file;
    for (const error of document.errors) {
      const { line, col } = lines.linePos(error.pos[0]);
      problems.push({
        code: 'HF_CONFIG_SYNTAX',
        field: `${file}:${String(line)}:${String(col)}`,
        rule: error.message.split('\n')[0] ?? 'is not YAML',
        remedy: 'correct the YAML at this place',
      });
    }
    if (document.errors.length > 0 || document.contents === null) return;
    try {
      out.push({ where, value: document.toJS({ maxAliasCount: MAX_YAML_ALIASES }) });
    } catch {
      problems.push({
        code: 'HF_CONFIG_SYNTAX',
        field: where,
        rule: 'expands too many aliases',
        remedy: 'write the values out',
      });
    }
  });
  return out;
}

function collect<T>(
  where: string,
  result: z.ZodSafeParseResult<T>,
  into: { where: string; value: T }[],
  problems: ConfigProblem[],
): void {
  if (result.success) {
    into.push({ where, value: result.data });
    return;
  }
  for (const issue of result.error.issues) problems.push(...ofIssue(where, issue));
}

function ofIssue(where: string, issue: z.core.$ZodIssue): ConfigProblem[] {
  const field = [where, ...issue.path.map(String)].join('.');
  const code = 'HF_CONFIG_SCHEMA';
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const near = nearest(key, KNOWN_FIELDS);
      return {
        code,
        field: `${field}.${key}`,
        rule: 'is not a known field',
        remedy: near === undefined ? 'remove it; docs/configuration.md lists every field' : `did you mean "${near}"?`,
      };
    });
  }
  if (issue.code === 'invalid_union') {
    return [
      { code, field, rule: 'matches none of the allowed forms', remedy: 'see this field in docs/configuration.md' },
    ];
  }
  // zod names expected and received types, never the value: a secret pasted into the wrong place stays out of the
  // message.
  return [{ code, field, rule: issue.message, remedy: 'see this field in docs/configuration.md' }];
}

const KNOWN_FIELDS: readonly string[] = fieldsOf(streamClient).concat(fieldsOf(eventStream));

function fieldsOf(schema: z.ZodType): string[] {
  const out = new Set<string>();
  const walk = (node: unknown, depth: number): void => {
    if (!isRecord(node) || depth > 12) return;
    const def = isRecord(node['def']) ? node['def'] : undefined;
    const shape = def === undefined ? undefined : def['shape'];
    if (isRecord(shape)) {
      for (const [key, child] of Object.entries(shape)) {
        out.add(key);
        walk(child, depth + 1);
      }
    }
    for (const inner of ['innerType', 'element', 'in']) if (def !== undefined) walk(def[inner], depth + 1);
  };
  walk(schema, 0);
  return [...out];
}

/** Returns the closest known name within two edits (three for long names). */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = word.length > 8 ? 4 : 3;
  for (const name of names) {
    const d = edits(word.toLowerCase(), name.toLowerCase());
    if (d < bestDistance) {
      best = name;
      bestDistance = d;
    }
  }
  return best;
}

function edits(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      row.push(
        Math.min(
          (row[j - 1] ?? 0) + 1,
          (previous[j] ?? 0) + 1,
          (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    }
    previous = row;
  }
  return previous[b.length] ?? Infinity;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
