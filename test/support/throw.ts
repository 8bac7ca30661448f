/** Loaded before the program (node --import): SIGUSR2 throws where nobody catches. */
process.on('SIGUSR2', () => {
  setTimeout(() => {
    throw new Error('planted by the test');
  }, 1);
});

export {};
