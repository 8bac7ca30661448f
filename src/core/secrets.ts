/**
 * Removes secrets by value. Paths of fields are not enough: URLs inside strings, error texts and library objects leak around them (measured).
 * A secret is found raw, URL-encoded, base64 and JSON-escaped, whole or cut off after at least 12 characters.
 */
export class SecretRegistry {
  readonly #secrets = new Map<string, readonly string[]>();
  #longestFirst: readonly string[] = [];
  #byPrefix: ReadonlyMap<string, readonly string[]> = new Map();
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
    const spellings = new Set([
      value,
      encodeURIComponent(value),
      JSON.stringify(value).slice(1, -1),
      ...this.#encode(value),
    ]);
    this.#secrets.set(
      value,
      [...spellings].filter((one) => one.length >= SecretRegistry.MIN_LENGTH),
    );
    this.#longestFirst = [...this.#secrets.values()].flat().sort((a, b) => b.length - a.length);
    this.#byPrefix = Map.groupBy(
      this.#longestFirst.filter((one) => one.length > SecretRegistry.PREFIX),
      (one) => one.slice(0, SecretRegistry.PREFIX),
    );
  }

  /** The text with every known secret replaced: whole ones first, the longest first, then what was cut off. Linear in text length times secrets known. */
  scrub(text: string): string {
    let out = text;
    for (const spelling of this.#longestFirst) if (out.includes(spelling)) out = out.replaceAll(spelling, MARK);
    for (const [prefix, spellings] of this.#byPrefix)
      if (out.includes(prefix)) out = removeCutOff(out, prefix, spellings);
    return out;
  }
}

const MARK = '[redacted]';

/** Removes everything that begins like one of the spellings, for as long as any of them goes on matching. */
function removeCutOff(text: string, prefix: string, spellings: readonly string[]): string {
  let out = '';
  let from = 0;
  for (let at = text.indexOf(prefix); at !== -1; at = text.indexOf(prefix, from)) {
    const length = Math.max(...spellings.map((one) => matching(text, at, one)));
    out += text.slice(from, at) + MARK;
    from = at + length;
  }
  return out + text.slice(from);
}

function matching(text: string, at: number, spelling: string): number {
  let length = 0;
  while (length < spelling.length && text[at + length] === spelling[length]) length += 1;
  return length;
}
