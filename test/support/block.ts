/**
 * Loaded before the program (node --import): SIGUSR2 blocks its main thread for as long as HOLDFAST_TEST_BLOCK_MS
 * says.
 */
process.on('SIGUSR2', () => {
  const endsAt = performance.now() + Number(process.env['HOLDFAST_TEST_BLOCK_MS'] ?? 0);
  while (performance.now() < endsAt);
});
