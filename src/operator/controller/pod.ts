import { CONTAINER } from '../attach/attach.ts';
import type { KubeObject } from '../api/kube.ts';

/** A pod as the API server gives it, the part that is read. */
export interface Pod extends KubeObject {
  readonly spec: {
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string; readonly restartPolicy?: string }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}
interface ContainerStatus {
  readonly name: string;
  readonly state?: { readonly terminated?: unknown };
}

/** Returns whether the pod has ended, or its sidecar has for good. */
export function hasEnded(pod: Pod): boolean {
  const { phase, initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  if (phase === 'Succeeded' || phase === 'Failed') return true;
  return [...initContainerStatuses, ...containerStatuses].some(
    (one) => one.name === CONTAINER && one.state?.terminated !== undefined,
  );
}

/** Returns whether the pod has ended or is being deleted. */
export function isGoing(pod: Pod): boolean {
  return hasEnded(pod) || pod.metadata['deletionTimestamp'] !== undefined;
}
