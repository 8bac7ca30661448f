/** One replica in the view of a lease's other candidates. Instants are the store's clock. */
export interface Member {
  readonly id: string;
  readonly seenStoreMs: number;
  /** Since when it takes part. */
  readonly sinceStoreMs: number;
  /** Template revision of its pod; empty when unknown. */
  readonly revision: string;
  /** Number of leases that it has. */
  readonly load: number;
  /** True when it could lead: its consumer takes events and it is not stopping. */
  readonly ready: boolean;
  /** True when the token endpoint refused its credentials for this lease the last time that it asked. */
  readonly refused: boolean;
}

/**
 * A member whose record was not renewed for so many times the ttl is gone: every replica renews its own at least once
 * per ttl.
 */
const PRESENCE_TTLS = 1.5;

/** Returns the members that have renewed their record lately (within PRESENCE_TTLS). */
export function alive(members: readonly Member[], storeMs: number, ttlMs: number): readonly Member[] {
  return members.filter((member) => storeMs - member.seenStoreMs <= ttlMs * PRESENCE_TTLS);
}

/**
 * Returns a member's place in the order in which candidates try for a lease: 0 goes first. A replica that is not in the
 * list goes last.
 */
export function rankOf(id: string, lease: string, members: readonly Member[]): number {
  const at = ordered(lease, members).findIndex((member) => member.id === id);
  return at === -1 ? members.length : at;
}

/**
 * Returns the replicas that a lease may be given to, best first: those whose credentials were not refused; of them the
 * newest revision, so that a lease moves once in a rollout; then as everywhere.
 */
export function heirsOf(own: string, lease: string, members: readonly Member[]): readonly string[] {
  const others = members.filter((member) => member.id !== own && member.ready);
  const newest = newestRevision(members);
  return [...ordered(lease, others)]
    .sort(
      (a, b) => Number(a.refused) - Number(b.refused) || Number(b.revision === newest) - Number(a.revision === newest),
    )
    .map((member) => member.id);
}

/** Returns the revision that appeared last; an old pod that restarts does not make its revision new. */
function newestRevision(members: readonly Member[]): string | undefined {
  const first = new Map<string, number>();
  for (const { revision, sinceStoreMs } of members)
    first.set(revision, Math.min(first.get(revision) ?? Infinity, sinceStoreMs));
  return [...first].sort((a, b) => b[1] - a[1])[0]?.[0];
}

/**
 * Orders candidates: ready ones first; then those whose credentials were not refused; then those below their fair
 * share; then by rendezvous hash, which needs no coordinator and moves little when members change.
 */
function ordered(lease: string, members: readonly Member[]): readonly Member[] {
  const total = members.reduce((sum, member) => sum + member.load, 0) + 1;
  const share = Math.ceil(total / Math.max(1, members.length));
  const excess = (member: Member): number => Math.max(0, member.load + 1 - share);
  return [...members].sort(
    (a, b) =>
      Number(b.ready) - Number(a.ready) ||
      Number(a.refused) - Number(b.refused) ||
      excess(a) - excess(b) ||
      score(b.id, lease) - score(a.id, lease) ||
      (a.id < b.id ? -1 : 1),
  );
}

/** Returns a FNV-1a hash with a final mix: good enough to distribute leases, the same in every replica. */
function score(member: string, lease: string): number {
  let hash = 0x811c9dc5;
  const text = `${lease}\n${member}`;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export interface RebalancePolicy {
  /** No lease moves while a member joined less than this ago. */
  readonly settleMs: number;
}

/**
 * Returns the lease that a member gives away when it has at least two more than the least loaded ready one: the lease
 * whose hash prefers the other. undefined: all stay.
 */
export function toGiveAway(
  own: string,
  leases: readonly string[],
  members: readonly Member[],
  at: RebalancePolicy & { readonly storeMs: number },
): { readonly lease: string; readonly heir: string } | undefined {
  if (members.some((member) => at.storeMs - member.sinceStoreMs < at.settleMs || !member.ready)) return undefined;
  const least = [...members].sort((a, b) => a.load - b.load)[0];
  const load = members.find((member) => member.id === own)?.load ?? leases.length;
  if (least === undefined || least.id === own || load < least.load + 2) return undefined;
  const lease = [...leases].sort(
    (a, b) => score(least.id, b) - score(own, b) - (score(least.id, a) - score(own, a)),
  )[0];
  return lease === undefined ? undefined : { lease, heir: least.id };
}
