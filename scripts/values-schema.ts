import { isMap, isScalar, parseDocument } from 'yaml';

/** Fields whose values are more than a type. */
const RULES: Readonly<Record<string, Record<string, unknown>>> = {
  'attach.mode': { enum: ['webhook', 'policy', 'none'] },
  'attach.backstop': { enum: ['Deny', 'Warn', 'Off'] },
  'image.pullPolicy': { enum: ['Always', 'IfNotPresent', 'Never'] },
  'image.digest': { pattern: '^(sha256:[0-9a-f]{64})?$' },
  'injector.failurePolicy': { enum: ['Ignore', 'Fail'] },
  'injector.tls.source': { enum: ['self', 'certManager', 'existing'] },
  'injector.timeoutSeconds': { minimum: 1, maximum: 30 },
  'injector.tls.days': { minimum: 1, maximum: 825 },
  'injector.replicas': { minimum: 1, maximum: 10 },
  'controller.replicas': { minimum: 1, maximum: 10 },
  'redis.url': { pattern: '^((redis|rediss|redis\\+sentinel)://.*)?$' },
  'redis.keyPrefix': { pattern: '^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$' },
  'sidecar.drainSeconds': { minimum: 1, maximum: 3600 },
  'sidecar.logLevel': { enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'] },
  'injector.logLevel': { enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'] },
  'controller.logLevel': { enum: ['trace', 'debug', 'info', 'warn', 'error', 'silent'] },
  'scope.namespaces': { items: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' }, uniqueItems: true },
  'network.allowPrivate': { items: { type: 'string', pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$' }, uniqueItems: true },
  'network.allowedHosts': {
    items: { type: 'string', pattern: '^(\\*\\.)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$' },
    uniqueItems: true,
  },
  'streams.clients': {
    items: {
      type: 'object',
      required: ['name', 'spec'],
      additionalProperties: false,
      properties: { name: { type: 'string' }, namespace: { type: 'string' }, spec: { type: 'object' } },
    },
  },
  'streams.eventStreams': {
    items: {
      type: 'object',
      required: ['name', 'spec'],
      additionalProperties: false,
      properties: { name: { type: 'string' }, namespace: { type: 'string' }, spec: { type: 'object' } },
    },
  },
};
/** Objects that are Kubernetes' own, or anybody's. */
const OPEN = /(^|\.)(resources|nodeSelector|affinity|annotations|labels|commonLabels|issuerRef)$/;
const PORT = /[pP]ort$|^sidecar\.ports\./;

export interface ValuesField {
  readonly path: string;
  readonly type: string;
  readonly default: string;
  readonly description: string;
}

/**
 * The strict schema of a chart's values, and its fields for a README: types and defaults from values.yaml,
 * descriptions from its "# --" comments.
 */
export function valuesSchema(text: string): {
  readonly schema: Record<string, unknown>;
  readonly fields: readonly ValuesField[];
} {
  const fields: ValuesField[] = [];
  const schema = objectSchema(parseDocument(text).contents, '', fields);
  return {
    schema: {
      $schema: 'http://json-schema.org/draft-07/schema#',
      title: 'Values of the holdfast chart',
      ...schema,
      properties: { ...(schema['properties'] as object), global: { type: 'object' } },
    },
    fields,
  };
}

function objectSchema(node: unknown, path: string, fields: ValuesField[]): Record<string, unknown> {
  if (!isMap(node)) return { type: 'object' };
  const properties: Record<string, unknown> = {};
  for (const [index, pair] of node.items.entries()) {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const at = path === '' ? name : `${path}.${name}`;
    // The parser gives the comment above the first field to the object.
    const description = descriptionIn(commentOf(pair.key) || (index === 0 ? node.commentBefore : undefined));
    properties[name] = {
      ...(description === '' ? {} : { description }),
      ...fieldSchema(pair.value, { at, description }, fields),
    };
  }
  return { type: 'object', additionalProperties: false, properties };
}

function commentOf(key: unknown): string {
  return isScalar(key) ? (key.commentBefore ?? '') : '';
}

/** What stands behind "--" in a comment, on one line. */
function descriptionIn(comment: string | null | undefined): string {
  const text = /--\s*([\s\S]*)$/.exec(comment ?? '')?.[1] ?? '';
  return text.replaceAll(/\s+/g, ' ').trim();
}

function fieldSchema(
  value: unknown,
  { at, description }: { readonly at: string; readonly description: string },
  fields: ValuesField[],
): Record<string, unknown> {
  if (isMap(value) && !OPEN.test(at)) return objectSchema(value, at, fields);
  const plain = (value as { toJSON(): unknown }).toJSON();
  const type = Array.isArray(plain) ? 'array' : typeof plain === 'number' ? 'integer' : typeof plain;
  fields.push({ path: at, type, default: JSON.stringify(plain), description });
  return { type, ...(PORT.test(at) && type === 'integer' ? { minimum: 1, maximum: 65_535 } : {}), ...RULES[at] };
}
