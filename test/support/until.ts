/** Waits until a condition holds; looks again every few milliseconds. @throws Error naming what was awaited when `limitMs` is over. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 15_000): Promise<void> {
  const endsAt = performance.now() + limitMs;
  for (;;) {
    if (await holds()) return;
    if (performance.now() > endsAt) throw new Error(`waited ${String(limitMs)} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
}
