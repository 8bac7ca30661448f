import type { OutboxEntry } from '../core/events/outbox.ts';
import type { Parcel } from './envelope.ts';
import type { Push } from './push-transport.ts';

export const CONTENT_TYPES = {
  structured: 'application/cloudevents+json',
  batch: 'application/cloudevents-batch+json',
  binary: 'application/json',
} as const;

const COMMA = Buffer.from(',');
const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

/** Returns the body of one request: a batch holds all events, any other request has one. */
export function pushBody(
  first: OutboxEntry<Parcel>,
  entries: readonly OutboxEntry<Parcel>[],
  contentMode: Push['contentMode'],
): Buffer {
  if (contentMode === 'batch') return batchOf(entries);
  const { ce, dataAt, dataEnd } = first.item;
  return contentMode === 'binary' ? ce.subarray(dataAt, dataEnd) : ce;
}

function batchOf(entries: readonly OutboxEntry<Parcel>[]): Buffer {
  const parts: Buffer[] = [OPEN];
  entries.forEach((entry, index) => {
    if (index > 0) parts.push(COMMA);
    parts.push(entry.item.ce);
  });
  parts.push(CLOSE);
  return Buffer.concat(parts);
}
