import { attributesOf, type Parcel } from './envelope.ts';

/**
 * Returns the headers of binary content mode (CloudEvents HTTP binding 3.1): attributes as `ce-` headers. Values are
 * percent-encoded as the binding asks (3.1.3.2): everything outside printable ASCII, and space, double quote and
 * percent.
 */
export function binaryHeaders(parcel: Parcel): Record<string, string> {
  const attributes = JSON.parse(attributesOf(parcel)) as Record<string, unknown>;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'datacontenttype') headers['content-type'] = String(value);
    else headers[`ce-${name}`] = encodeHeader(String(value));
  }
  return headers;
}

function encodeHeader(value: string): string {
  return value.replace(/[^\x21-\x7e]|["%]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
