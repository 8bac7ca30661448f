/**
 * Removes secrets by value. Paths of fields are not enough: URLs inside strings, error texts and library objects leak around them (measured).
 * A secret is found raw, URL-encoded, base64 and JSON-escaped, whole or cut off after at least 12 characters.
 */
export class SecretRegistry {
  readonly #secrets = new Map<string, readonly string[]>();
  readonly #encode: (value: string) => readonly string[];

  /** @param encode further spellings of a value; core knows no base64. */
  constructor(encode: (value: string) => readonly string[]) {
    this.#encode = encode;
  }

  /** Values shorter than this cannot be told from ordinary text and are refused as secrets elsewhere. */
  static readonly MIN_LENGTH = 6;
  /** The shortest prefix that is removed when a secret was cut off. */
  static readonly PREFIX = 12;
  /** Secrets known at one time; the oldest is forgotten first. Tokens rotate, so there are many over time. */
  static readonly LIMIT = 512;

  add(value: string): void {
    if (value.length < SecretRegistry.MIN_LENGTH || this.#secrets.has(value)) return;
    const oldest = this.#secrets.size >= SecretRegistry.LIMIT ? this.#secrets.keys().next().value : undefined;
    if (oldest !== undefined) this.#secrets.delete(oldest);
    const spellings = new Set([value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), ...this.#encode(value)]);
    this.#secrets.set(value, [...spellings].filter((one) => one.length >= SecretRegistry.MIN_LENGTH));
  }

  /** The text with every known secret replaced. Linear in text length times secrets known; a text without any is returned as it is. */
  scrub(text: string): string {
    let out = text;
    for (const spellings of this.#secrets.values()) {
      for (const spelling of spellings) out = removeFrom(out, spelling);
    }
    return out;
  }
}

const MARK = '[redacted]';

function removeFrom(text: string, secret: string): string {
  const prefix = secret.slice(0, SecretRegistry.PREFIX);
  let at = text.indexOf(prefix);
  if (at === -1) return text;
  let out = '';
  let from = 0;
  for (; at !== -1; at = text.indexOf(prefix, from)) {
    let end = at + prefix.length;
    while (end < text.length && end - at < secret.length && text[end] === secret[end - at]) end += 1;
    out += text.slice(from, at) + MARK;
    from = end;
  }
  return out + text.slice(from);
}
