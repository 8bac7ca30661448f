import type { Pod, PodWorld } from './pod.ts';
import type { StoreModel } from './store.ts';

/** What links, commands and faults share of the world. */
export interface LeaseWorld extends PodWorld {
  readonly store: StoreModel;
  readonly pods: Pod[];
  /** Things may go wrong. */
  readonly faulty: boolean;
  readonly seen: Set<string>;
  readonly trace: ((line: string) => void) | undefined;
  /** The next number for the name of a connection, a pod or a run of the store. */
  nextSerial(): number;
}
