import { REPORT_FRESH_MS } from '../../config/limits.ts';
import { leaderOf, type SidecarReport } from './sidecar-report.ts';

/**
 * Returns the value for the label `holdfast.dev/role` of the pod `uid`; undefined: leave it as it is. While no replica
 * leads, silence proves nothing: the store may be away.
 */
export function roleShown(
  uid: string,
  before: string | undefined,
  sidecars: readonly SidecarReport[],
): 'leader' | 'standby' | 'gone' | undefined {
  const own = sidecars.find((one) => one.uid === uid && one.ageMs <= REPORT_FRESH_MS);
  const said = own?.client?.role;
  if (said === 'leader' || said === 'standby') return said;
  if (leaderOf(sidecars) === undefined || said !== undefined) return undefined;
  // It waits for its configuration, or it stopped reporting; a replica that has not begun yet was never shown as
  // anything.
  if (own !== undefined) return 'standby';
  return before === undefined ? undefined : 'gone';
}
