import type { RedisConnection } from './redis-connection.ts';
import { READ_REPORTS, REPORT } from './scripts/report-scripts.ts';

/** A report older than this says nothing any more. */
const REPORT_LIFE_MS = 30_000;
/** Reports of one client above which a writer throws out old ones. */
const MANY = 64;
/** Larger ones are not written: a report is a summary. */
const MAX_REPORT_BYTES = 256 * 1024;

export interface Report {
  readonly replica: string;
  /** Age by the store's clock. */
  readonly ageMs: number;
  /** JSON as the sidecar wrote it; undefined: it is none. */
  readonly content: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Keeps the reports of sidecars for their readers (the controller, the kubectl plugin). Nothing in the data plane reads
 * them. Throws HoldfastError HF_STORE_UNAVAILABLE.
 */
export class ReportStore {
  readonly #link: RedisConnection;

  constructor(link: RedisConnection) {
    this.#link = link;
  }

  /** Writes a report. @returns false when it is too large. */
  async write(
    client: { readonly namespace: string; readonly name: string },
    replica: string,
    text: string,
  ): Promise<boolean> {
    if (Buffer.byteLength(text) > MAX_REPORT_BYTES) return false;
    await this.#link.script(REPORT, [this.#key(client)], [replica, text, String(REPORT_LIFE_MS), String(MANY)]);
    return true;
  }

  /** Returns the reports younger than REPORT_LIFE_MS. */
  async read(client: { readonly namespace: string; readonly name: string }): Promise<readonly Report[]> {
    const [now, ...parts] = (await this.#link.script(READ_REPORTS, [this.#key(client)], [])) as readonly string[];
    const out: Report[] = [];
    for (let index = 0; index + 1 < parts.length; index += 2) {
      const value = parts[index + 1] ?? '';
      const space = value.indexOf(' ');
      const ageMs = Number(now) - Number(value.slice(0, space));
      if (ageMs <= REPORT_LIFE_MS)
        out.push({ replica: parts[index] ?? '', ageMs, content: objectOf(value.slice(space + 1)) });
    }
    return out;
  }

  #key({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
    return `${this.#link.prefix}:reports:${namespace}/${name}`;
  }
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
