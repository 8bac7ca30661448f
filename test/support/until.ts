const LIMIT_MS = 15_000;
const LOOK_EVERY_MS = 5;

/** Waits until something is true; `what` says what was waited for in vain, `detail` what the world looked like then. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = LIMIT_MS,
  detail: () => string = () => '',
): Promise<void> {
  const endsAt = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endsAt) throw new Error(`waited ${String(limitMs)} ms in vain until ${what} ${detail()}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
