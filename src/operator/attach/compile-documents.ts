import { createHash } from 'node:crypto';
import { ATTACHED, TOKENS_DIR, type Installation } from '../../config/installation.ts';
import { checkDocuments } from '../../config/load-documents.ts';
import { ANNOTATIONS, type ClientObject, type StreamObject } from '../api/resources.ts';

/** Where the sidecar finds the credentials of its client. */
export const CREDENTIALS_DIR = '/etc/holdfast/credentials';
/** Largest annotation: Kubernetes allows 256 KiB for all of an object together. */
const MAX_CONFIG_BYTES = 200 * 1024;

/** Orders streams by name: documents, mounts and messages count them alike. */
export const byName = (a: StreamObject, b: StreamObject): number => (a.metadata.name < b.metadata.name ? -1 : 1);

/**
 * Returns the documents that a sidecar reads: its StreamClient and every EventStream that refers to it, one JSON
 * document a line; or the fault in one sentence.
 */
export function compileDocuments(
  client: ClientObject,
  streams: readonly StreamObject[],
  installation: Installation = ATTACHED,
): { readonly documents: string; readonly revision: string } | { readonly problem: string } {
  const { secretRef: _, ...credentials } = client.spec.credentials;
  const head = (kind: string, metadata: ClientObject['metadata']): Record<string, unknown> => ({
    apiVersion: client.apiVersion,
    kind,
    metadata: { name: metadata.name },
  });
  const all = [
    {
      ...head('StreamClient', client.metadata),
      spec: { ...client.spec, credentials: { ...credentials, directory: CREDENTIALS_DIR } },
    },
    ...[...streams]
      .sort(byName)
      .map((stream) => ({ ...head('EventStream', stream.metadata), spec: withTokenFile(stream) })),
  ];
  const revision = revisionOf(all);
  const [first, ...rest] = all;
  const documents = [
    { ...first, metadata: { name: client.metadata.name, annotations: { [ANNOTATIONS.revision]: revision } } },
    ...rest,
  ]
    .map((one) => JSON.stringify(one))
    .join('\n---\n');
  const { problems } = checkDocuments([{ name: '', text: documents }], installation);
  if (problems.length > 0)
    return {
      problem: problems
        .map(({ field, rule, remedy }) => `${objectOf(field, [client, ...streams])} ${rule}: ${remedy}`)
        .join('; '),
    };
  if (Buffer.byteLength(documents) > MAX_CONFIG_BYTES)
    return {
      problem:
        `the documents of StreamClient ${client.metadata.name} are larger than ${String(MAX_CONFIG_BYTES)} ` +
        'bytes: spread its EventStreams over several StreamClients',
    };
  return { documents, revision };
}

/** Turns a Secret into the file where the sidecar finds it; a spec that names both stays as it is, and is refused. */
function withTokenFile({ metadata, spec }: StreamObject): unknown {
  const push = spec.delivery?.push;
  if (push?.tokenSecretRef === undefined || push.tokenFile !== undefined) return spec;
  const { tokenSecretRef: _, ...rest } = push;
  return {
    ...spec,
    delivery: { ...spec.delivery, push: { ...rest, tokenFile: `${TOKENS_DIR}/${metadata.name}/token` } },
  };
}

/** Returns a short name of some documents: sidecars report the one that they run. */
function revisionOf(documents: unknown): string {
  return createHash('sha256').update(JSON.stringify(documents)).digest('hex').slice(0, 16);
}

/** Returns `#2.spec.path` of the compiled text in a person's words: the object's name and the field. */
function objectOf(field: string, objects: readonly (ClientObject | StreamObject)[]): string {
  const [client, ...streams] = objects;
  const ordered = [client, ...(streams as StreamObject[]).sort(byName)];
  const match = /^#(\d+)\.?(.*)$/.exec(field);
  const object = ordered[Number(match?.[1] ?? 1) - 1];
  return object === undefined ? field : `${object.kind} ${object.metadata.name}: ${match?.[2] ?? field}`;
}
