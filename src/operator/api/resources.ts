import type { EventStream, StreamClient } from '../../config/schema.ts';

export const GROUP = 'holdfast.dev';
export const VERSION = 'v1alpha1';
export const PART_OF = 'holdfast';

/** Labels and annotations of ours on other people's objects. */
export const LABELS = {
  /** On a pod (template): the StreamClient whose sidecar it asks for. */
  client: `${GROUP}/client`,
  /** On a pod, by the controller: leader or standby. */
  role: `${GROUP}/role`,
  /** On a pod, by the way that attached the sidecar. */
  injectedVersion: `${GROUP}/injected-version`,
} as const;
export const ANNOTATIONS = {
  /** On a pod: the documents that its sidecar reads. */
  config: `${GROUP}/config`,
  /** Inside those documents, on the StreamClient: their revision. */
  revision: `${GROUP}/revision`,
  /** On cluster-scoped objects of an installation: NAMESPACE/NAME of the ConfigMap with its settings. */
  settings: `${GROUP}/settings`,
  /** On a StreamClient: changes when an operator asks for a hand-over. */
  handOver: `${GROUP}/handover-requested-at`,
} as const;

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration: number;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly generation: number;
  readonly resourceVersion: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deletionTimestamp?: string;
}

/** Status of a StreamClient that the controller writes. Times are RFC 3339. */
export interface ClientStatus {
  readonly observedGeneration: number;
  readonly state: ClientState;
  readonly podsSummary: string;
  readonly leader?: { readonly podName: string; readonly epoch: number; readonly since: string };
  readonly token?: { readonly state: string; readonly expiresAt?: string };
  readonly handledHandOver?: string;
  readonly conditions: readonly Condition[];
}
export type ClientState = 'Active' | 'Electing' | 'Degraded' | 'Suspended' | 'NoPods' | 'Invalid';

export interface StreamStatus {
  readonly observedGeneration: number;
  readonly state: string;
  readonly streamClass?: string;
  readonly reason?: string;
  readonly lastEventTime?: string;
  readonly reconnects?: number;
  readonly checkpoint?: { readonly position: string };
  readonly continuity?: { readonly ratio: string; readonly gaps: number };
  readonly delivery?: { readonly backlog: number; readonly pendingAcks: number; readonly deadLetters: number };
  readonly conditions: readonly Condition[];
}

type Delivery = Omit<EventStream['spec']['delivery'], 'push'> & {
  readonly push?: Partial<Omit<Push, 'tokenSecretRef'>> & { readonly tokenSecretRef?: { name: string; key?: string } };
};
type Push = NonNullable<EventStream['spec']['delivery']['push']>;

/** Objects as the API server gives them. */
export interface ClientObject {
  readonly apiVersion: string;
  readonly kind: 'StreamClient';
  readonly metadata: ObjectMeta;
  readonly spec: StreamClient['spec'] & Readonly<Record<string, unknown>>;
  readonly status?: ClientStatus;
}
export interface StreamObject {
  readonly apiVersion: string;
  readonly kind: 'EventStream';
  readonly metadata: ObjectMeta;
  /**
   * As the API server keeps it; an object that no definition's defaults went through may lack fields with a default.
   */
  readonly spec: Omit<EventStream['spec'], 'delivery'> &
    Readonly<Record<string, unknown>> & { readonly delivery?: Partial<Delivery> };
  readonly status?: StreamStatus;
}
