import { z } from 'zod';
import { eventStream, streamClient } from './schema.ts';

export type Kind = 'StreamClient' | 'EventStream';

/** A node of an OpenAPI v3 schema as Kubernetes takes it ("structural"). */
export interface SchemaNode {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  pattern?: string;
  properties?: Record<string, SchemaNode>;
  required?: readonly string[];
  items?: SchemaNode;
  anyOf?: readonly SchemaNode[];
  allOf?: readonly SchemaNode[];
  additionalProperties?: boolean | SchemaNode;
  'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
  [further: string]: unknown;
}

const SCHEMAS: Readonly<Record<Kind, z.ZodType>> = { StreamClient: streamClient, EventStream: eventStream };

/**
 * Returns the `spec` of a kind as an OpenAPI schema: the same fields, bounds, defaults and descriptions that a file is
 * checked against.
 */
export function specSchema(kind: Kind): SchemaNode {
  const whole = z.toJSONSchema(SCHEMAS[kind], { io: 'input', unrepresentable: 'any' }) as unknown as SchemaNode;
  const spec = whole.properties?.['spec'];
  if (spec === undefined) throw new Error(`${kind} has no spec`);
  return structural(spec);
}

/**
 * Returns the structural schema of a node. Rules that it cannot state are stated otherwise, or left to the conditions.
 */
function structural(node: SchemaNode): SchemaNode {
  if (node.anyOf !== undefined) return alternatives(node);
  const out: SchemaNode = { ...node, ...structuralParts(node) };
  delete out['propertyNames'];
  // The API server prunes unknown fields and names them to the user; `false` beside properties is refused.
  if (out.additionalProperties === false) delete out.additionalProperties;
  if (out['const'] !== undefined) {
    out.enum = [out['const']];
    delete out['const'];
  }
  if (out.pattern !== undefined) out.pattern = re2(out.pattern);
  // The format states it; the pattern beside it is longer than the rest of the schema.
  if (out['format'] === 'date-time') delete out.pattern;
  if (out['minimum'] === Number.MIN_SAFE_INTEGER) delete out['minimum'];
  if (out['maximum'] === Number.MAX_SAFE_INTEGER) delete out['maximum'];
  return out;
}

/** Returns a node with its inner schemas made structural. */
function structuralParts({ additionalProperties, properties, items, allOf }: SchemaNode): Partial<SchemaNode> {
  return {
    ...(typeof additionalProperties === 'object' ? { additionalProperties: structural(additionalProperties) } : {}),
    ...(properties === undefined ? {} : { properties: structuralEach(properties) }),
    ...(items === undefined ? {} : { items: structural(items) }),
    ...(allOf === undefined ? {} : { allOf: allOf.map(structural) }),
  };
}

function structuralEach(nodes: Readonly<Record<string, SchemaNode>>): Record<string, SchemaNode> {
  return Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, structural(node)]));
}

/** Joins objects of several forms: all members in one object, and which of them belong together. */
function alternatives(node: SchemaNode): SchemaNode {
  const { anyOf = [], ...rest } = node;
  const properties: Record<string, SchemaNode> = {};
  for (const form of anyOf)
    for (const [name, child] of Object.entries(form.properties ?? {})) properties[name] = structural(child);
  return { ...rest, type: 'object', properties, oneOf: anyOf.map((form) => ({ required: form.required })) };
}

/** Returns a pattern as RE2 reads it, as Kubernetes does: it writes code points in another way. */
function re2(pattern: string): string {
  return pattern.replace(/\\u([0-9a-f]{4})/gi, '\\x{$1}');
}
