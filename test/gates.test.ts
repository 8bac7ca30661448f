import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect } from 'chai';
import { ERROR_CODES } from '../src/core/errors.ts';

/** The gates prove themselves: each must fail on a planted violation. */
describe('the gates', function () {
  this.timeout(120_000);
  const run = (script: string, args: readonly string[]): { readonly status: number | null; readonly text: string } => {
    const result = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    return { status: result.status, text: result.stdout + result.stderr };
  };

  it('the layer check passes the house, and fails on a planted import and on an empty folder', () => {
    const planted = 'src/core/planted.ts';
    writeFileSync(
      planted,
      "import { createServer } from 'node:http';\nimport { PROFILES } from '../platforms/index.ts';\nexport " +
        'const both = [createServer, PROFILES];\n',
    );
    try {
      const bad = run('scripts/check-layers.ts', ['src']);
      expect(bad.status).to.equal(1);
      expect(bad.text).to.include('layer-core').and.include('core-is-pure');
    } finally {
      rmSync(planted);
    }
    mkdirSync('test/planted/empty', { recursive: true });
    expect(run('scripts/check-layers.ts', ['test/planted/empty']).status, 'no modules').to.equal(1);
    rmSync('test/planted', { recursive: true });
    expect(run('scripts/check-layers.ts', ['src']).status).to.equal(0);
  });

  it('the floors of the sidecar: an import that points up is refused', () => {
    const planted = 'src/sidecar/runtime/planted.ts';
    writeFileSync(planted, "export { Supervisor } from '../replica/supervisor.ts';\n");
    try {
      const bad = run('scripts/check-layers.ts', ['src']);
      expect(bad.status).to.equal(1);
      expect(bad.text).to.include('floor-runtime');
    } finally {
      rmSync(planted);
    }
  });

  it('a file has the name of its main export, and no file or exported type has the name of another', () => {
    const files = globSync('src/**/*.ts').sort();
    const names = files.map((file) => basename(file)).filter((name) => name !== 'index.ts');
    expect(twice(names), 'file names').to.deep.equal([]);
    const types = files.flatMap((file) => exportsOf(file, 'class|interface|type|enum'));
    expect(twice(types), 'exported types').to.deep.equal([]);
    const nameless = files.filter((file) => !carriesItsName(file)).map((file) => basename(file, '.ts'));
    expect(nameless.sort(), 'files without one main export').to.deep.equal(WITHOUT_MAIN_EXPORT.toSorted());
  });

  it(
    'lint catches a line of more than 120 columns, a file of more than 400 lines, and what is too much for one ' +
      'function',
    () => {
      const planted = 'src/core/planted.ts';
      writeFileSync(
        planted,
        `/** ${'x'.repeat(130)} */\nexport function many(a: number, b: number, c: number, d: number, e: ` +
          'number): number {\n' +
          Array.from({ length: 10 }, (_, n) => `  if (a > ${String(n)}) a -= 1;\n`).join('') +
          `  if (a > b) {\n    if (b > c) {\n      if (c > d) {\n        if (d > e) return 1;\n   ` +
          `   }\n    }\n  }\n` +
          `${'  a += 1;\n'.repeat(60)}  return a;\n}\n${'export {};\n'.repeat(400)}`,
      );
      try {
        const result = run('node_modules/eslint/bin/eslint.js', [planted]);
        expect(result.status).to.equal(1);
        const rules = ['max-len', 'max-lines', 'max-lines-per-function', 'max-params', 'max-depth', 'complexity'];
        for (const rule of rules) expect(result.text, rule).to.include(rule);
      } finally {
        rmSync(planted);
      }
    },
  );

  it('lint catches a bag of closures handed to a constructor', () => {
    const planted = 'src/core/planted.ts';
    writeFileSync(
      planted,
      'class A {\n  constructor(readonly host: object) {}\n}\n' +
        'export const a = new A({ one: () => 1, two: () => 2, three: () => 3 });\n',
    );
    try {
      const result = run('node_modules/eslint/bin/eslint.js', [planted]);
      expect(result.status).to.equal(1);
      expect(result.text).to.include('not a bag of closures');
    } finally {
      rmSync(planted);
    }
  });

  it('lint catches a floating promise, a switch that forgets a case, the clock and chance in core', () => {
    const planted = 'src/core/planted.ts';
    writeFileSync(
      planted,
      'export async function a(): Promise<number> {\n  return Promise.resolve(Date.now() + ' +
        "Math.random());\n}\nexport function b(kind: 'x' | 'y'): number {\n  a();\n  switch (kind) {\n    case " +
        "'x':\n      return 1;\n  }\n  return 2;\n}\n",
    );
    try {
      const result = run('node_modules/eslint/bin/eslint.js', [planted]);
      expect(result.status).to.equal(1);
      for (const rule of [
        'no-floating-promises',
        'switch-exhaustiveness-check',
        'no-restricted-globals',
        'no-restricted-properties',
      ])
        expect(result.text, rule).to.include(rule);
    } finally {
      rmSync(planted);
    }
  });

  it('a constant without a docstring of its own fails, and so does a docs/limits.md that lacks one', () => {
    const planted = 'src/core/planted.ts';
    const bare =
      'const PLANTED_SHARED_MS = 2 * 60_000;\nexport const PLANTED_BARE = { baseMs: 1, storm: { events: 5 } };';
    writeFileSync(planted, `/** Bounds nothing. */\n${bare}\nexport const all = [PLANTED_SHARED_MS];\n`);
    try {
      const bad = run('scripts/generate-limits.ts', ['--check']);
      expect(bad.status).to.equal(1);
      expect(bad.text).to.include('src/core/planted.ts: PLANTED_BARE has no docstring');
      expect(bad.text).to.not.include('PLANTED_SHARED_MS');
      expect(bad.text).to.include('docs/limits.md is not what src says');
      writeFileSync(planted, '/** Bounds nothing. */\nexport const PLANTED_SHARED_MS = 2 * 60_000;\n');
      const stale = run('scripts/generate-limits.ts', ['--check']);
      expect(stale.status).to.equal(1);
      expect(stale.text).to.include('docs/limits.md is not what src says').and.include('1 problems');
    } finally {
      rmSync(planted);
    }
    expect(run('scripts/generate-limits.ts', ['--check'])).to.deep.include({ status: 0 });
  });

  it('comments and papers name only files that exist', () => {
    const known = globSync('{src,test,scripts}/**/*.ts');
    const stale = [...globSync('{src,docs}/**/*.{ts,md}'), 'README.md', 'CONTRIBUTING.md'].flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/(?<![\w./-])(?:[\w-]+\/)+[\w.-]+\.ts\b/g)]
        .map(([name]) => name)
        .filter((name) => !known.some((one) => one === name || one.endsWith(`/${name}`)))
        .map((name) => `${file}: ${name}`),
    );
    expect(stale).to.deep.equal([]);
  });

  it('docs/errors.md lists every code and nothing else', () => {
    const text = readFileSync('docs/errors.md', 'utf8');
    const listed = [...text.matchAll(/^\| `(HF_[A-Z_]+)` \|/gm)].map((match) => match[1]);
    expect([...listed].sort()).to.deep.equal(Object.keys(ERROR_CODES).sort());
  });

  it('docs/requirements.md covers every row, and every test it names exists', () => {
    const text = readFileSync('docs/requirements.md', 'utf8');
    const rows = [...text.matchAll(/^\| ([A-Z]\d{1,2}|P:[a-z-]+|K:[\w-]+|trap \d+|sim:[\w-]+) \|/gm)].map(
      (match) => match[1],
    );
    const wanted = [
      ...range('A', 18),
      ...range('T', 11),
      ...range('F', 7),
      ...range('R', 14),
      ...range('H', 11),
      ...range('B', 11),
      ...range('D', 11),
      ...range('M', 10),
      ...range('C', 28),
      ...Array.from({ length: 24 }, (_, n) => `trap ${String(n + 1)}`),
    ];
    for (const row of wanted) expect(rows, row).to.include(row);
    for (const [, file = ''] of text.matchAll(/`(test\/[\w./-]+\.ts)`/g))
      expect(() => readFileSync(file), file).to.not.throw();
  });
});

/**
 *  Files that hold several things of one kind, by what they are: vocabularies, models, scripts, helpers of one subject.
 */
const WITHOUT_MAIN_EXPORT = [
  ...['kubectl-holdfast', 'main', 'watchdog-thread'], // programs
  ...['options', 'schema', 'plan', 'limits', 'quantities', 'private-addresses', 'version'], // configuration
  ...['lease-scripts', 'limit-scripts', 'pool-scripts', 'registry-scripts', 'report-scripts', 'store-scripts'],
  ...['script-prelude', 'sealed-value'],
  ...['errors', 'units', 'vocabulary', 'backoff', 'continuity', 'candidate-ranking'],
  ...['lease-model', 'lease-leader', 'lease-standby', 'lease-hand-over'],
  ...['session-model', 'session-changes', 'session-failures'],
  ...['envelope', 'problem-json', 'http-client', 'oauth', 'client-frames', 'profile-defaults', 'positions'],
  ...['resources', 'kubernetes-events', 'plugin-tables', 'workload-yaml', 'actions'],
];

function exportsOf(file: string, kinds: string): string[] {
  const declared = new RegExp(`^export (?:abstract |async )?(?:${kinds})\\*? (\\w+)`, 'gm');
  return [...readFileSync(file, 'utf8').matchAll(declared)].map((match) => match[1] ?? '');
}

function twice(names: readonly string[]): string[] {
  return names.filter((name, at) => names.indexOf(name) !== at);
}

/** Whether an export is called as its file, with or without its verb and its unit. */
function carriesItsName(file: string): boolean {
  const name = basename(file, '.ts');
  const exported = exportsOf(file, 'class|interface|type|function|const');
  const kebabs = exported.map((one) =>
    /^[A-Z0-9_]+$/.test(one)
      ? one.toLowerCase().replaceAll('_', '-')
      : one.replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase(),
  );
  const command = file.startsWith('src/cli/') && exported.includes('main');
  const verbs = /^(create|open|check|step|load|parse|send|without)-/;
  return (
    name === 'index' ||
    command ||
    kebabs.some((kebab) => kebab === name || kebab.replace(verbs, '').replace(/-ms$/, '') === name)
  );
}

function range(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${letter}${String(n + 1)}`);
}
