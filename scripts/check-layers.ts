import { spawnSync } from 'node:child_process';

/**
 * Runs dependency-cruiser over the given folders (default src) and fails on any violation, and also when it saw no
 * modules: some versions print "0 modules" and exit 0.
 */
const targets = process.argv.slice(2).length > 0 ? process.argv.slice(2) : ['src'];
const run = spawnSync(
  process.execPath,
  [
    'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
    '--config',
    '.dependency-cruiser.cjs',
    '--output-type',
    'json',
    ...targets,
  ],
  { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
);
interface Summary {
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly {
      readonly rule: { readonly name: string };
      readonly from: string;
      readonly to: string;
    }[];
  };
}
let summary: Summary['summary'];
try {
  summary = (JSON.parse(run.stdout) as Summary).summary;
} catch {
  process.stderr.write(`layers: dependency-cruiser gave no answer\n${run.stderr}\n`);
  process.exit(1);
}
for (const { rule, from, to } of summary.violations) process.stderr.write(`layers: ${rule.name}: ${from} -> ${to}\n`);
if (summary.totalCruised === 0) process.stderr.write('layers: no modules were seen\n');
process.stdout.write(
  `layers: ${String(summary.totalCruised)} modules, ${String(summary.violations.length)} violations\n`,
);
process.exit(summary.violations.length === 0 && summary.totalCruised > 0 ? 0 : 1);
