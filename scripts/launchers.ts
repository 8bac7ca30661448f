import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NODE_FLAG } from '../src/cli/node-flag.ts';

/**
 * Writes bin/holdfast and bin/kubectl-holdfast for the image: they run without a shell, so their first line names the
 * image's own Node. Usage: launchers.ts DIR [NODE], NODE default /nodejs/bin/node (distroless).
 */
const [directory = '/out', node = '/nodejs/bin/node'] = process.argv.slice(2);
mkdirSync(join(directory, 'bin'), { recursive: true });
const built = new Set(readdirSync('dist/cli'));
for (const [name, entry] of [
  ['holdfast', 'main.js'],
  ['kubectl-holdfast', 'kubectl-holdfast.js'],
] as const) {
  if (!built.has(entry)) throw new Error(`dist/cli/${entry} is missing: run scripts/build.ts first`);
  const file = join(directory, 'bin', name);
  writeFileSync(file, `#!${node} ${NODE_FLAG}\nimport('/app/cli/${entry}');\n`);
  chmodSync(file, 0o755);
}
process.stdout.write(
  `launchers: ${directory}/bin, version ` +
    `${(JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }).version}\n`,
);
