import { z } from 'zod';

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const FACTORS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const SIZE = /^(\d+)(Ki|Mi|Gi)?$/;
const SIZES: Readonly<Record<string, number>> = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/** Reads "250ms", "12s", "5m", "1.5h". @returns milliseconds, or undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  return match === null ? undefined : Math.round(Number(match[1]) * (FACTORS[match[2] ?? ''] ?? Number.NaN));
}

/** Returns the schema of a duration as it is written in documents; the parsed value is milliseconds. */
export function duration(bounds: { readonly min?: string; readonly max?: string } = {}): z.ZodType<number, string> {
  const min = parseDuration(bounds.min ?? '0ms') ?? 0;
  const max = parseDuration(bounds.max ?? '8760h') ?? Infinity;
  return z
    .string()
    .max(20, 'is too long for a duration')
    .regex(DURATION, 'must be a number and a unit without a space, such as "250ms", "12s", "5m" or "1h"')
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .refine((ms) => ms >= min && ms <= max, `must lie between ${bounds.min ?? '0ms'} and ${bounds.max ?? '8760h'}`);
}

/**
 * Returns the schema of a number of bytes as it is written in documents ("65536", "64Ki", "8Mi"); the parsed value is
 * bytes.
 */
export function byteSize(bounds: { readonly min: number; readonly max: number }): z.ZodType<number, string> {
  return z
    .string()
    .regex(SIZE, 'must be a whole number of bytes with an optional unit Ki, Mi or Gi')
    .transform((text) => {
      const match = SIZE.exec(text);
      return match === null ? Number.NaN : Number(match[1]) * (SIZES[match[2] ?? ''] ?? 1);
    })
    .refine(
      (bytes) => bytes >= bounds.min && bytes <= bounds.max,
      `must lie between ${String(bounds.min)} and ${String(bounds.max)} bytes`,
    );
}
