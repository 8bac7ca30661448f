/** Reads JSON text; undefined: it is not JSON, or neither an object nor an array. Its members are still unchecked. */
export function recordIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // the caller knows where it stood
  }
}
