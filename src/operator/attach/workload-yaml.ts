import { parseAllDocuments, stringify } from 'yaml';
import {
  applyTo,
  attach,
  attached,
  attachedClient,
  installationOf,
  refusalOf,
  type AttachSettings,
  type PodLike,
} from './attach.ts';
import { compileDocuments } from './compile-documents.ts';
import { LABELS, type ClientObject, type StreamObject } from '../api/resources.ts';

export interface InjectedWorkloads {
  readonly text: string;
  readonly attached: readonly string[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

interface Workload {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string };
  readonly spec?: {
    readonly template?: PodLike;
    readonly jobTemplate?: { readonly spec: { readonly template: PodLike } };
  };
}

/**
 * Attaches the sidecar to every workload of some YAML whose pods carry the label. The StreamClient and its EventStreams
 * are taken from the same text or from `more`; without them the sidecar waits for its documents.
 */
export function injectWorkloads(
  text: string,
  settings: AttachSettings,
  more: readonly unknown[] = [],
): InjectedWorkloads {
  const documents = parseAllDocuments(text);
  const broken = documents.flatMap((document) =>
    document.errors.map((error) => error.message.split('\n')[0] ?? 'not YAML'),
  );
  if (broken.length > 0) return { text: '', attached: [], problems: broken, warnings: [] };
  const values = documents
    .map((document) => document.toJS({ maxAliasCount: 100 }) as Workload | null)
    .filter((value): value is Workload => value !== null);
  const all = [...values, ...more].flatMap((value) => (isList(value) ? value.items : [value]));
  const found = { attached: [] as string[], problems: [] as string[], warnings: [] as string[] };
  const out = values.map((value) =>
    isList(value)
      ? { ...value, items: value.items.map((one) => injectOne(one as Workload, all, settings, found)) }
      : injectOne(value, all, settings, found),
  );
  return {
    text: out.map((value) => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n'),
    ...found,
  };
}

function injectOne(
  value: Workload,
  all: readonly unknown[],
  settings: AttachSettings,
  found: { attached: string[]; problems: string[]; warnings: string[] },
): unknown {
  const job = value.spec?.jobTemplate;
  const pod = value.kind === 'Pod' ? (value as unknown as PodLike) : (job?.spec.template ?? value.spec?.template);
  const name = pod?.metadata?.labels?.[LABELS.client];
  if (pod === undefined || name === undefined) return value;
  const where = `${value.kind ?? 'object'} ${value.metadata?.name ?? ''}`.trim();
  const refusal = attached(pod) ? undefined : refusalOf(pod);
  if (refusal !== undefined) {
    found.problems.push(`${where}: ${refusal}`);
    return value;
  }
  const ours = all as readonly {
    readonly kind?: string;
    readonly metadata?: { readonly name?: string };
    readonly spec?: { readonly clientRef?: { readonly name?: string } };
  }[];
  const client = ours.find((one) => one.kind === 'StreamClient' && one.metadata?.name === name) as unknown as
    ClientObject | undefined;
  const streams = ours.filter(
    (one) => one.kind === 'EventStream' && one.spec?.clientRef?.name === name,
  ) as unknown as StreamObject[];
  // A text is written by hand: an unknown field is a slip of the pen, not a newer version.
  const rules = { ...installationOf(settings), tolerant: false };
  const compiled = client === undefined ? undefined : compileDocuments(client, streams, rules);
  if (compiled !== undefined && 'problem' in compiled) found.problems.push(`${where}: ${compiled.problem}`);
  if (client === undefined)
    found.warnings.push(
      `${where}: StreamClient ${name} is not among the documents: the sidecar waits until the annotation ` +
        'holdfast.dev/config is there (the controller writes it)',
    );
  const asked = client === undefined ? { name, secret: name } : attachedClient(client, streams, settings);
  if ('problem' in asked) {
    found.problems.push(`${where}: ${asked.problem}`);
    return value;
  }
  const attachment = attach(
    pod,
    asked,
    settings,
    compiled !== undefined && 'documents' in compiled ? compiled.documents : undefined,
  );
  found.warnings.push(...attachment.warnings.map((one) => `${where}: ${one}`));
  found.attached.push(where);
  const after = applyTo(pod, attachment);
  if (value.kind === 'Pod') return after;
  if (job !== undefined)
    return { ...value, spec: { ...value.spec, jobTemplate: { ...job, spec: { ...job.spec, template: after } } } };
  return { ...value, spec: { ...value.spec, template: after } };
}

function isList(value: unknown): value is { readonly items: readonly unknown[] } {
  return typeof value === 'object' && value !== null && 'items' in value && Array.isArray(value.items);
}
