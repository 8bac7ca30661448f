/** Files of the charts and manifests that follow from the program. @returns path and text. */
export function generatedFiles(_note: string): ReadonlyMap<string, string> {
  return new Map();
}
