import {
  attach,
  attached,
  attachedClient,
  installationOf,
  patchOf,
  refusalOf,
  type Attachment,
  type AttachSettings,
  type PodLike,
} from '../attach/attach.ts';
import { compileDocuments } from '../attach/compile-documents.ts';
import { LABELS, type ClientObject, type StreamObject } from '../api/resources.ts';

/** AdmissionReview (admission.k8s.io/v1), the part that is read. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly namespace: string;
  readonly operation: string;
  readonly object: PodLike;
}

export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  readonly patchType?: 'JSONPatch';
  readonly patch?: string;
  readonly warnings?: readonly string[];
}

/** The injector's knowledge of the cluster. */
export interface Known {
  client(namespace: string, name: string): ClientObject | undefined;
  streamsOf(namespace: string, client: string): readonly StreamObject[];
}

/**
 * Answers one pod: with the sidecar as a JSON patch, or with a sentence that names the remedy. Pure: a dry run gets the
 * same answer as a real one. Every user who may create a pod may put the label on it; there are no lists of names.
 */
export function admissionReview(request: AdmissionRequest, known: Known, settings: AttachSettings): AdmissionResponse {
  const { uid, object: pod } = request;
  const name = pod.metadata?.labels?.[LABELS.client];
  // Selectors are reported to be ignored in places: the label is looked at here too.
  if (request.operation !== 'CREATE' || name === undefined || attached(pod)) return { uid, allowed: true };
  const attachment = attachmentFor(name, request, known, settings);
  if ('problem' in attachment)
    return {
      uid,
      allowed: false,
      status: { code: 403, reason: 'Forbidden', message: `holdfast: ${attachment.problem}` },
    };
  const patch = Buffer.from(JSON.stringify(patchOf(pod, attachment))).toString('base64');
  return {
    uid,
    allowed: true,
    patchType: 'JSONPatch',
    patch,
    ...(attachment.warnings.length === 0 ? {} : { warnings: attachment.warnings.map((one) => `holdfast: ${one}`) }),
  };
}

/** Returns the attachment of StreamClient `name` for the pod, or in a sentence why it must not be created. */
function attachmentFor(
  name: string,
  { namespace, object: pod }: AdmissionRequest,
  known: Known,
  settings: AttachSettings,
): Attachment | { readonly problem: string } {
  const refusal = refusalOf(pod);
  if (refusal !== undefined) return { problem: refusal };
  const client = known.client(namespace, name);
  if (client === undefined)
    return {
      problem:
        `the label ${LABELS.client} names StreamClient "${name}", which does not exist in namespace ` +
        `"${namespace}": create it (kubectl get streamclients -n ${namespace} lists those that do), or remove ` +
        'the label',
    };
  const streams = known.streamsOf(namespace, name);
  const compiled = compileDocuments(client, streams, installationOf(settings));
  if ('problem' in compiled) return compiled;
  const asked = attachedClient(client, streams, settings);
  return 'problem' in asked ? asked : attach(pod, asked, settings, compiled.documents);
}
