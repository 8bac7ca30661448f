/**
 * Returns whether two statuses have the same content. Figures that move all the time do not count: they are written at
 * most every 30 s.
 */
export function sameNews(a: unknown, b: unknown): boolean {
  return JSON.stringify(news(a)) === JSON.stringify(news(b));
}

function news(status: unknown): unknown {
  if (typeof status !== 'object' || status === null) return undefined;
  const { lastEventTime: _1, checkpoint: _2, delivery: _3, ...rest } = status as Record<string, unknown>;
  const continuity = rest['continuity'] as { readonly gaps?: number } | undefined;
  return sorted({ ...rest, ...(continuity === undefined ? {} : { continuity: { gaps: continuity.gaps } }) });
}

/** Returns a value with sorted keys: the API server gives keys in another order than we write them. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, one]) => [name, sorted(one)]),
  );
}
