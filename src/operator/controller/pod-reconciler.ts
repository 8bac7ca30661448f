import type { Installation } from '../../config/installation.ts';
import type { Leases } from '../../coordination/leases.ts';
import { RecentIds } from '../../core/events/recent-ids.ts';
import { attached } from '../attach/attach.ts';
import { compileDocuments } from '../attach/compile-documents.ts';
import { ANNOTATIONS, LABELS } from '../api/resources.ts';
import type { Facts } from './first-reason.ts';
import type { EventWriter } from './event-writer.ts';
import { idOf } from './kubernetes-events.ts';
import type { KubeWriter } from './kube-writer.ts';
import { hasEnded, isGoing, type Pod } from './pod.ts';
import { roleShown } from './role-shown.ts';
import { leaderOf, type SidecarReport } from './sidecar-report.ts';

interface PodReconcilerDeps {
  readonly writer: KubeWriter;
  readonly events: EventWriter;
  readonly leases: Pick<Leases, 'publish'>;
  readonly nowEpochMs: () => number;
}

/** Pods whose end was told lately. */
const MAX_REMEMBERED = 10_000;

/** Looks at one pod in one round: its role label, its documents, and changes worth an Event or a notice to standbys. */
export class PodReconciler {
  readonly #settings: { readonly version: string; readonly installation: Installation };
  readonly #deps: PodReconcilerDeps;
  readonly #ended = new RecentIds(MAX_REMEMBERED);

  constructor(settings: { readonly version: string; readonly installation: Installation }, deps: PodReconcilerDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  async reconcile(pod: Pod, facts: Facts): Promise<void> {
    if (isGoing(pod)) return this.#tellEnd(pod, facts.sidecars);
    if (!attached(pod))
      return this.#warn(
        pod,
        'SidecarMissing',
        'the pod asks for a sidecar and has none; restart it (kubectl rollout restart)',
      );
    const { name, namespace = '', labels = {} } = pod.metadata;
    const metadata = this.#changesTo(pod, facts);
    if (Object.keys(metadata).length > 0)
      await this.#deps.writer.patch(`pods/${name}`, `/api/v1/namespaces/${namespace}/pods/${name}`, { metadata });
    const version = labels[LABELS.injectedVersion];
    if (version !== undefined && version !== this.#settings.version)
      await this.#warn(
        pod,
        'SidecarOutdated',
        `the sidecar is of version ${version}, the control plane of ${this.#settings.version}: kubectl ` +
          'holdfast outdated prints the commands',
      );
  }

  /** Returns the changes to the pod's metadata; empty: none. */
  #changesTo(pod: Pod, { client, streams, sidecars }: Facts): Record<string, Record<string, string>> {
    const { uid = '', labels = {}, annotations = {} } = pod.metadata;
    const compiled = compileDocuments(client, streams, this.#settings.installation);
    const role = roleShown(uid, labels[LABELS.role], sidecars);
    const changes: Record<string, Record<string, string>> = {};
    if (role !== undefined && labels[LABELS.role] !== role) changes['labels'] = { [LABELS.role]: role };
    if ('documents' in compiled && annotations[ANNOTATIONS.config] !== compiled.documents)
      changes['annotations'] = { [ANNOTATIONS.config]: compiled.documents };
    return changes;
  }

  /** Has the standbys of a leader whose container has ended look now instead of at their next time. */
  async #tellEnd(pod: Pod, sidecars: readonly SidecarReport[]): Promise<void> {
    const dead = hasEnded(pod) ? sidecars.find((one) => one.uid === pod.metadata.uid) : undefined;
    if (dead?.client === undefined || dead !== leaderOf(sidecars)) return;
    if (this.#ended.add(dead.uid)) await this.#deps.leases.publish({ kind: 'changed', lease: dead.client.lease });
  }

  #warn(pod: Pod, reason: string, note: string): Promise<void> {
    const { name, namespace = '', uid = '' } = pod.metadata;
    return this.#deps.events.write(namespace, uid, {
      id: idOf(uid, reason, this.#settings.version),
      kind: 'Pod',
      object: name,
      type: 'Warning',
      reason,
      action: reason,
      note,
      atEpochMs: this.#deps.nowEpochMs(),
    });
  }
}
