/** Reads the whole body of a request or an answer; undefined: it is longer than `limitBytes`. */
export async function readBody(stream: AsyncIterable<Buffer>, limitBytes: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > limitBytes) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
