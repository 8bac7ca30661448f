/**
 * What Node is started with wherever this project starts the sidecar itself: the image's launchers, the demo, tests and
 * benchmarks.
 *
 * The young generation may grow to two semi-spaces of 16 MiB. Left alone, V8 takes up to 64 MiB each on a machine with
 * much memory, resident from the first burst on and for good. Less than 16 costs CPU for small events, more saves none
 * (docs/performance.md). V8 reads it before any of our code runs, so that it cannot be set from within; one flag,
 * because the first line of an executable file takes one argument only.
 */
export const NODE_FLAG = '--max-semi-space-size=16';
