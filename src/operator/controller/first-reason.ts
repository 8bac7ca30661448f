import { PRIVATE_ADDRESS_REMEDY } from '../../config/private-addresses.ts';
import type { Installation } from '../../config/installation.ts';
import type { ClientObject, Condition, StreamObject } from '../api/resources.ts';
import type { SidecarReport } from './sidecar-report.ts';

/** A pod that asks for this client's sidecar. */
export interface PodFacts {
  readonly name: string;
  readonly uid: string;
  readonly attached: boolean;
  readonly ended: boolean;
}

export interface Facts {
  readonly client: ClientObject;
  readonly streams: readonly StreamObject[];
  readonly pods: readonly PodFacts[];
  readonly sidecars: readonly SidecarReport[];
  /** True when the reports cannot be read for some time. */
  readonly unread: boolean;
  /** Rules by which the sidecars check their documents. */
  readonly installation: Installation;
  /** Wall clock, for the times that are written. */
  readonly nowEpochMs: number;
}

/** Content of a condition, without when it began. */
export type Finding = Pick<Condition, 'status' | 'reason' | 'message'>;
export const yes = (reason: string, message: string): Finding => ({ status: 'True', reason, message });
export const no = (reason: string, message: string): Finding => ({ status: 'False', reason, message });
export const unknown = (reason: string, message: string): Finding => ({ status: 'Unknown', reason, message });

/** While the store cannot be read, nothing is known. */
export const UNREAD = unknown('StoreUnavailable', 'the controller cannot read from Redis what the sidecars report');

/** A predicate and the finding it gives: `(view) => predicate && finding`. */
export type Rule<View> = (view: View) => Finding | false;

/** Returns the finding of the first rule whose predicate holds: the first reason wins. */
export function firstReason<View>(rules: readonly Rule<View>[], view: View, otherwise: Finding): Finding {
  for (const rule of rules) {
    const finding = rule(view);
    if (finding) return finding;
  }
  return otherwise;
}

/** Returns the change that an operator must make; empty: none, or another finding names it. */
export function remedyOf(why: string): string {
  return why === 'private_address' || why === 'consumer_address_refused'
    ? `; the host resolves to a private address: ${PRIVATE_ADDRESS_REMEDY}`
    : '';
}

/** Turns closed_vocabulary into ClosedVocabulary, as reasons of conditions are written. */
export function camel(word: string): string {
  return (
    word
      .split(/[^A-Za-z0-9]+/)
      .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
      .join('') || 'Unknown'
  );
}

/** Dates the findings: lastTransitionTime moves only when a condition's status does. */
export function conditionsOf(
  findings: Readonly<Record<string, Finding>>,
  before: readonly Condition[],
  generation: number,
  nowEpochMs: number,
): readonly Condition[] {
  return Object.entries(findings).map(([type, finding]) => {
    const old = before.find((one) => one.type === type);
    return {
      type,
      ...finding,
      observedGeneration: generation,
      lastTransitionTime:
        old?.status === finding.status
          ? old.lastTransitionTime
          : new Date(nowEpochMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    };
  });
}
