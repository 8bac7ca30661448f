import { parseAllDocuments, stringify } from 'yaml';
import { MAX_YAML_ALIASES } from '../../config/limits.ts';
import {
  applyTo,
  attach,
  attached,
  attachedClient,
  installationOf,
  refusalOf,
  type AttachedClient,
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
    .map((document) => document.toJS({ maxAliasCount: MAX_YAML_ALIASES }) as Workload | null)
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
  const pod = podOf(value);
  const name = pod?.metadata?.labels?.[LABELS.client];
  if (pod === undefined || name === undefined) return value;
  const where = titleOf(value);
  const placed = (text: string): string => `${where}: ${text}`;
  const refusal = attached(pod) ? undefined : refusalOf(pod);
  if (refusal !== undefined) {
    found.problems.push(placed(refusal));
    return value;
  }
  const { asked, documents, problems, warnings } = clientAmong(all, name, settings);
  found.problems.push(...problems.map(placed));
  found.warnings.push(...warnings.map(placed));
  if (asked === undefined) return value;
  const attachment = attach(pod, asked, settings, documents);
  found.warnings.push(...attachment.warnings.map(placed));
  found.attached.push(where);
  return withPod(value, applyTo(pod, attachment));
}

/** Names a workload as a person would: by its kind and its name. */
function titleOf({ kind, metadata }: Workload): string {
  return `${kind ?? 'object'} ${metadata?.name ?? ''}`.trim();
}

/** Returns the pod, or the template of the pods, of a workload; undefined: the object makes no pods. */
function podOf(value: Workload): PodLike | undefined {
  if (value.kind === 'Pod') return value as unknown as PodLike;
  return value.spec?.jobTemplate?.spec.template ?? value.spec?.template;
}

/** Puts a pod back where `podOf` took it from. */
function withPod(value: Workload, pod: PodLike): unknown {
  if (value.kind === 'Pod') return pod;
  const job = value.spec?.jobTemplate;
  if (job === undefined) return { ...value, spec: { ...value.spec, template: pod } };
  return { ...value, spec: { ...value.spec, jobTemplate: { ...job, spec: { ...job.spec, template: pod } } } };
}

interface FoundClient {
  /** Data for the sidecar of this client; undefined: it must not be mounted. */
  readonly asked: AttachedClient | undefined;
  readonly documents: string | undefined;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** Looks for a StreamClient and its EventStreams among some objects. */
function clientAmong(all: readonly unknown[], name: string, settings: AttachSettings): FoundClient {
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
  if (client === undefined)
    return {
      asked: { name, secret: name },
      documents: undefined,
      problems: [],
      warnings: [
        `StreamClient ${name} is not among the documents: the sidecar waits until the annotation ` +
          'holdfast.dev/config is there (the controller writes it)',
      ],
    };
  const compiled = compileDocuments(client, streams, rules);
  const asked = attachedClient(client, streams, settings);
  return {
    asked: 'problem' in asked ? undefined : asked,
    documents: 'documents' in compiled ? compiled.documents : undefined,
    problems: [compiled, asked].flatMap((one) => ('problem' in one ? [one.problem] : [])),
    warnings: [],
  };
}

function isList(value: unknown): value is { readonly items: readonly unknown[] } {
  return typeof value === 'object' && value !== null && 'items' in value && Array.isArray(value.items);
}
