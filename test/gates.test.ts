import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

function range(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${letter}${String(n + 1)}`);
}
