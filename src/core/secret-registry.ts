/** Characters that the hash of a place takes in. */
const WINDOW = 4;
/** Values of that hash, one byte of a table each. Power of two: the hash is masked with it. */
const HASHES = 65_536;

/**
 * Removes secrets by value. Paths of fields are not enough: URLs inside strings, error texts and library objects leak
 * around them (measured). A secret is found raw, URL-encoded, base64 and JSON-escaped, whole or cut off after at least
 * 12 characters.
 */
export class SecretRegistry {
  /** When each secret may be forgotten; Infinity: never. Oldest first. */
  readonly #secrets = new Map<string, { readonly spellings: readonly string[]; readonly forgetAtMs: number }>();
  /** Spellings by their first MIN_LENGTH characters. */
  #byHead: ReadonlyMap<string, readonly string[]> = new Map();
  /**
   * Hashes of four characters that some spelling begins with: they show for most places of a text at once that no
   * secret begins there.
   */
  #begins = new Uint8Array(HASHES);
  readonly #encode: (value: string) => readonly string[];

  /** @param encode returns further spellings of a value; core knows no base64. */
  constructor(encode: (value: string) => readonly string[]) {
    this.#encode = encode;
  }

  /** Values shorter than this cannot be told from ordinary text and are refused as secrets elsewhere. */
  static readonly MIN_LENGTH = 6;
  /** The shortest prefix that is removed when a secret was cut off. */
  static readonly PREFIX = 12;
  /** Secrets known at one time; the oldest is forgotten first. */
  static readonly LIMIT = 512;
  /** How long a token stays a secret after its end: a line written late must not show it. */
  static readonly KEPT_AFTER_END_MS = 3_600_000;

  /**
   * @param token the end of a secret that has one, and the time now, by one clock: tokens that ended long before now
   * are forgotten.
   */
  add(value: string, token?: { readonly endsAtMs: number; readonly nowMs: number }): void {
    if (value.length < SecretRegistry.MIN_LENGTH) return;
    const forgetAtMs = token === undefined ? Infinity : token.endsAtMs + SecretRegistry.KEPT_AFTER_END_MS;
    const known = this.#secrets.get(value);
    if (known !== undefined) {
      if (forgetAtMs > known.forgetAtMs) this.#secrets.set(value, { ...known, forgetAtMs });
      return;
    }
    if (token !== undefined)
      for (const [old, { forgetAtMs: atMs }] of this.#secrets) if (atMs <= token.nowMs) this.#secrets.delete(old);
    const oldest = this.#secrets.size >= SecretRegistry.LIMIT ? this.#secrets.keys().next().value : undefined;
    if (oldest !== undefined) this.#secrets.delete(oldest);
    const all = new Set([value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), ...this.#encode(value)]);
    const spellings = [...all].filter((one) => one.length >= SecretRegistry.MIN_LENGTH);
    this.#secrets.set(value, { spellings, forgetAtMs });
    this.#index();
  }

  /**
   * Returns the text with every known secret replaced, and the rest of one that was cut off. Secrets that overlap are
   * replaced together. Linear in the text's length, however many secrets are known.
   */
  scrub(text: string): string {
    let out = '';
    /** Up to here the text is in `out`, or is part of the secret that began last. */
    let done = 0;
    let hash = 0;
    for (let at = 0; at < text.length; at += 1) {
      hash = hashWith(hash, text.charCodeAt(at));
      const from = at - WINDOW + 1;
      if (from < 0 || this.#begins[hash] === 0) continue;
      const end = from + this.#lengthAt(text, from);
      if (end <= done || end === from) continue;
      // A secret that begins within the last one only makes it longer.
      if (from >= done) out += text.slice(done, from) + MARK;
      done = end;
    }
    return done === 0 ? text : out + text.slice(done);
  }

  #index(): void {
    const spellings = [...this.#secrets.values()].flatMap((one) => one.spellings);
    this.#byHead = Map.groupBy(spellings, (one) => one.slice(0, SecretRegistry.MIN_LENGTH));
    this.#begins = new Uint8Array(HASHES);
    for (const head of this.#byHead.keys()) {
      let hash = 0;
      for (let at = 0; at < WINDOW; at += 1) hash = hashWith(hash, head.charCodeAt(at));
      this.#begins[hash] = 1;
    }
  }

  /** Returns the length of the longest secret, whole or cut off, at this place; 0: none. */
  #lengthAt(text: string, from: number): number {
    let longest = 0;
    for (const spelling of this.#byHead.get(text.slice(from, from + SecretRegistry.MIN_LENGTH)) ?? []) {
      const length = matching(text, from, spelling);
      if ((length === spelling.length || length >= SecretRegistry.PREFIX) && length > longest) longest = length;
    }
    return longest;
  }
}

const MARK = '[redacted]';

/** Returns the hash of the last WINDOW characters: older ones are shifted out. */
function hashWith(hash: number, char: number): number {
  return ((hash << 4) ^ char) & (HASHES - 1);
}

function matching(text: string, at: number, spelling: string): number {
  let length = 0;
  while (length < spelling.length && text[at + length] === spelling[length]) length += 1;
  return length;
}
