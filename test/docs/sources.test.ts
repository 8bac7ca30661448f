import { globSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

/** Codes by which comments, tests and papers cite a source. */
const CODE = new RegExp(
  [
    /\bS\d{1,2}\b/,
    /\b(?:reliability|platforms) (?:\d+\.\d+|[A-Z]\d{1,2})\b/,
    /(?<=\()contracts: [a-z ]+/,
    /\bRFC \d+|\bKEP-\d+/,
    /\bCloudEvents (?:HTTP binding )?\d+(?:\.\d+)+/,
    /\bplatform SDK region table|\bRedlock page|\bclient-go\b/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);
/** Rows of docs/requirements.md, as comments in src cite them. */
const REQUIREMENT = /(?<!\b(?:reliability|platforms) )\b[ATFRHBDMC]\d{1,2}\b/g;
/** Numbers of bad inputs stand at the head of a title: '17-21 close …', 'A2, 88: …', '23 data …; 24 half a frame …'. */
const BAD_INPUT =
  /(?:it\(\s*|^\s*\[?)['"`](?:[A-Z]\d+, )?(\d+(?:-\d+)?(?:, \d+(?:-\d+)?)*)[: ](?:[^'"`\n]*; (\d+) )?/gm;

/** In these S1, S2, … are rows of the fault matrix and invariants of the simulation; docs/sources.md says so. */
const OTHER_MEANING = /^test\/(?:chaos|simulation)\/|^docs\/chaos\.md$/;
const ITSELF = /^docs\/sources\.md$|^test\/docs\/sources\.test\.ts$/;

describe('docs/sources.md', () => {
  const paper = readFileSync('docs/sources.md', 'utf8');
  const requirements = readFileSync('docs/requirements.md', 'utf8');
  const files = [...globSync('{src,test}/**/*.ts'), ...globSync('docs/**/*.md'), 'README.md'].filter(
    (file) => !ITSELF.test(file),
  );

  it('has a row for each code that source, tests and papers cite, and no row that nothing cites', () => {
    const cited = files
      .filter((file) => !OTHER_MEANING.test(file))
      .flatMap((file) => codesOf(readFileSync(file, 'utf8')));
    expect(compare(cited, codeRows(paper))).to.deep.equal({ withoutRow: [], notCited: [] });
  });

  it('has a row for each number of a bad input at the head of a title, and no row without a test', () => {
    const texts = files.filter((file) => file.endsWith('.test.ts')).map((file) => readFileSync(file, 'utf8'));
    const cited = texts.filter((text) => /reliability 5\.\d/.test(text)).flatMap(badInputsOf);
    expect(compare(cited, badInputRows(paper))).to.deep.equal({ withoutRow: [], notCited: [] });
  });

  it('points to docs/requirements.md, which has a row for what comments in src and "Found and mended" cite', () => {
    const comments = globSync('src/**/*.ts').flatMap((file) => commentsOf(readFileSync(file, 'utf8')));
    const cited = [
      ...comments.flatMap((line) => line.match(REQUIREMENT) ?? []),
      ...files.flatMap((file) => foundIn(readFileSync(file, 'utf8'))),
    ];
    const rows = [...requirements.matchAll(/^\| ((?:found )?[A-Z]\d{1,2}) \|/gm)].map((match) => match[1] ?? '');
    expect(compare(cited, rows).withoutRow).to.deep.equal([]);
  });

  it('fails on a planted code without a row, and on a planted row that nothing cites', () => {
    const planted = codesOf('// A limit (S9; see reliability\n// 7.7 and S2).');
    expect(compare(planted, ['S2', 'RFC 1149'])).to.deep.equal({
      withoutRow: ['S9', 'reliability 7.7'],
      notCited: ['RFC 1149'],
    });
    const numbers = badInputsOf(
      "it('A2, 88: x', f);\n    '7 fragmented ping': [1],\n  it('23 a; 24 b', f);\n  size: '15 sec'",
    );
    expect(compare(numbers, badInputRows('| 7 | x |\n| 23-25 | x |\n'))).to.deep.equal({
      withoutRow: ['88'],
      notCited: ['25'],
    });
  });
});

function compare(
  cited: readonly string[],
  rows: readonly string[],
): { readonly withoutRow: readonly string[]; readonly notCited: readonly string[] } {
  const missing = cited.filter((code) => !rows.includes(code));
  return { withoutRow: [...new Set(missing)], notCited: rows.filter((code) => !cited.includes(code)) };
}

/** Returns the codes of a text, also those that a line break of a comment cuts in two. */
function codesOf(text: string): readonly string[] {
  return text.replaceAll(/\n\s*(?:\*|\/\/)?\s*/g, ' ').match(CODE) ?? [];
}

function codeRows(paper: string): readonly string[] {
  return [...paper.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '');
}

function badInputsOf(text: string): readonly string[] {
  return [...text.matchAll(BAD_INPUT)].flatMap(([, head = '', second]) => [
    ...head.split(', ').flatMap(numbersOf),
    ...(second === undefined ? [] : [second]),
  ]);
}

function badInputRows(paper: string): readonly string[] {
  return [...paper.matchAll(/^\| (\d+(?:-\d+)?) \|/gm)].flatMap((match) => numbersOf(match[1] ?? ''));
}

function numbersOf(range: string): readonly string[] {
  const [first = Number.NaN, last = first] = range.split('-').map(Number);
  return Array.from({ length: last - first + 1 }, (_, n) => String(first + n));
}

function commentsOf(text: string): readonly string[] {
  return text.match(/\/\/.*|\/\*[^]*?\*\//g) ?? [];
}

function foundIn(text: string): readonly string[] {
  return [...text.matchAll(/Found and mended: ((?:[A-Z]\d+(?:, )?)+)/g)].flatMap((match) =>
    (match[1] ?? '').split(', ').map((row) => `found ${row}`),
  );
}
