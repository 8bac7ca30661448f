import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

/** Bundles the program into dist/cli: one entry, one chunk per command, nothing of it loaded before it is needed. */
rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: [
    { in: 'src/cli/main.ts', out: 'main' },
    { in: 'src/cli/kubectl-holdfast.ts', out: 'kubectl-holdfast' },
    { in: 'src/sidecar/leadership/watchdog-thread.ts', out: 'watchdog-thread' },
  ],
  outdir: 'dist/cli',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  // CommonJS packages inside an ES module bundle still ask for require.
  banner: {
    js:
      "import { createRequire as holdfastRequire } from 'node:module'; const require = " +
      'holdfastRequire(import.meta.url);',
  },
  sourcemap: true,
  legalComments: 'none',
  logLevel: 'warning',
});
for (const entry of ['main.js', 'kubectl-holdfast.js']) chmodSync(`dist/cli/${entry}`, 0o755);
process.stdout.write(
  `build: ${String(readdirSync('dist/cli').filter((file) => file.endsWith('.js')).length)} files in dist/cli\n`,
);
