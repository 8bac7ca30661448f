import { globSync, readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';

/**
 * Writes docs/limits.md from the constants of src/. With --check: fails when the file differs. In both cases fails when
 * a constant has no docstring of its own.
 */
const PAGE = 'docs/limits.md';

/** Constants that are numbers but neither limits nor delays, by the reason why the page leaves them out. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  'a code': [
    ...['EXIT_OK', 'EXIT_INTERNAL', 'EXIT_CONFIG', 'SQLITE_BUSY', 'SQLITE_LOCKED', 'STDERR', 'TOO_DEEP'],
    ...['CLOSE_TAKEOVER', 'CLOSE_MALFORMED', 'CLOSE_SHUTDOWN', 'CLOSE_NORMAL', 'NO_CLOSE_FRAME'],
  ],
  'a byte that a parser looks for': [
    ...['LF', 'CR', 'QUOTE', 'BACKSLASH', 'COMMA', 'COLON'],
    ...['OPEN_BRACE', 'CLOSE_BRACE', 'OPEN_BRACKET', 'CLOSE_BRACKET'],
  ],
  'a place in a layout, or its version': [
    ...['WATCHDOG_BYTES', 'CHANGED', 'ANSWERED', 'DEADLINE_AT', 'ATTEMPT_WIDTH', 'MINUTE_CHARS', 'SCHEMA'],
  ],
  'a unit': ['DAY_MS', 'NS_PER_MS', 'FACTORS', 'SIZES'],
  'an instant': ['YEAR_0_MS', 'YEAR_10000_MS', 'MAX_DATE_MS'],
  'a name that happens to be a number': ['PRIORITIES', 'REDIS_PORT', 'SENTINEL_PORT', 'OTEL_PROMETHEUS_PORT', 'UID'],
  'a value in place of chance': ['NO_UNIT'],
};

type Quantity = number | { readonly [member: string]: Quantity };

interface Constant {
  readonly name: string;
  readonly file: string;
  readonly value: Quantity;
  /** On one line; empty where there is none. */
  readonly meaning: string;
}

/** The constants of a file: at its top, and static ones of its classes. */
function constantsOf(file: string): readonly Constant[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const known = new Map<string, number>();
  return source.statements.flatMap(declarationsIn).flatMap(({ node, prefix, name, initializer }) => {
    const value = quantityOf(initializer, known);
    if (value === undefined || !/^[A-Z][A-Z0-9_]*$/.test(name)) return [];
    if (typeof value === 'number') known.set(name, value);
    return [{ name: prefix + name, file, value, meaning: docstringOf(node, source) }];
  });
}

interface Declaration {
  /** What the docstring stands before. */
  readonly node: ts.Node;
  readonly prefix: string;
  readonly name: string;
  readonly initializer: ts.Expression;
}

function declarationsIn(statement: ts.Statement): readonly Declaration[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap((one) => declaration(statement, one, ''));
  if (!ts.isClassDeclaration(statement)) return [];
  const prefix = `${statement.name?.text ?? ''}.`;
  return statement.members
    .filter(ts.isPropertyDeclaration)
    .filter(({ modifiers }) => modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword))
    .flatMap((member) => declaration(member, member, prefix));
}

function declaration(
  node: ts.Node,
  { name, initializer }: ts.VariableDeclaration | ts.PropertyDeclaration,
  prefix: string,
): readonly Declaration[] {
  return initializer === undefined ? [] : [{ node, prefix, name: name.getText(), initializer }];
}

/** The text of the docstring right before a statement, on one line. */
function docstringOf(statement: ts.Node, source: ts.SourceFile): string {
  const comment = ts.getLeadingCommentRanges(source.text, statement.getFullStart())?.at(-1);
  const text = comment === undefined ? '' : source.text.slice(comment.pos, comment.end);
  if (!text.startsWith('/**')) return '';
  return text
    .slice(3, -2)
    .replaceAll(/^\s*\* ?/gm, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** The value of arithmetic over numbers and earlier constants of the file, or of an object that holds only such. */
function quantityOf(node: ts.Expression, known: ReadonlyMap<string, number>): Quantity | undefined {
  const bare = ts.isSatisfiesExpression(node) || ts.isAsExpression(node) ? node.expression : node;
  return ts.isObjectLiteralExpression(bare) ? membersOf(bare, known) : numberOf(bare, known);
}

function membersOf(node: ts.ObjectLiteralExpression, known: ReadonlyMap<string, number>): Quantity | undefined {
  const members: Record<string, Quantity> = {};
  for (const property of node.properties) {
    const value = ts.isPropertyAssignment(property) ? quantityOf(property.initializer, known) : undefined;
    if (value === undefined || property.name === undefined) return undefined;
    members[property.name.getText()] = value;
  }
  return node.properties.length === 0 ? undefined : members;
}

const OPERATIONS: Partial<Record<ts.SyntaxKind, (left: number, right: number) => number>> = {
  [ts.SyntaxKind.PlusToken]: (left, right) => left + right,
  [ts.SyntaxKind.MinusToken]: (left, right) => left - right,
  [ts.SyntaxKind.AsteriskToken]: (left, right) => left * right,
  [ts.SyntaxKind.SlashToken]: (left, right) => left / right,
  [ts.SyntaxKind.AsteriskAsteriskToken]: (left, right) => left ** right,
};

function numberOf(node: ts.Expression, known: ReadonlyMap<string, number>): number | undefined {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isParenthesizedExpression(node)) return numberOf(node.expression, known);
  if (ts.isIdentifier(node)) return known.get(node.text);
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.MinusToken)
    return negated(numberOf(node.operand, known));
  if (!ts.isBinaryExpression(node)) return undefined;
  const left = numberOf(node.left, known);
  const right = numberOf(node.right, known);
  if (left === undefined || right === undefined) return undefined;
  return OPERATIONS[node.operatorToken.kind]?.(left, right);
}

function negated(value: number | undefined): number | undefined {
  return value === undefined ? undefined : -value;
}

/** Units by the last word of a name. */
const UNITS: Readonly<Record<string, string>> = {
  ms: 'ms',
  seconds: 's',
  bytes: 'bytes',
  chars: 'characters',
  percent: '%',
  share: 'share',
  ttls: 'ttl',
};

function unitOf(name: string): string {
  const lastWord = /(?:^|[._])([A-Z]+|[a-z]+)$|([A-Z][a-z]+)$/.exec(name);
  return UNITS[(lastWord?.[1] ?? lastWord?.[2] ?? '').toLowerCase()] ?? '';
}

const DURATIONS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;
const SIZES = [
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
] as const;

/** A number as it is, and from a second and from a KiB on also in the largest unit that fits. */
function shown(value: number, unit: string): string {
  const larger = { ms: DURATIONS, bytes: SIZES }[unit]?.find(([, factor]) => value >= factor);
  const plain = grouped(value, 6);
  return larger === undefined ? plain : `${plain} (${grouped(value / larger[1], 1)} ${larger[0]})`;
}

function grouped(value: number, digits: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** One row for a number; for an object one row for each of its numbers, the first with the meaning of all. */
function rowsOf({ name, file, value, meaning }: Constant): readonly string[] {
  return leavesOf(name, value).map(([leaf, number], n) => {
    const unit = unitOf(leaf);
    const text = n === 0 ? meaning.replaceAll('|', '\\|') : '″';
    return `| \`${leaf}\` | ${shown(number, unit)} | ${unit} | \`${file}\` | ${text} |`;
  });
}

function leavesOf(path: string, value: Quantity): readonly (readonly [string, number])[] {
  if (typeof value === 'number') return [[path, value]];
  return Object.entries(value).flatMap(([member, inner]) => leavesOf(`${path}.${member}`, inner));
}

function page(constants: readonly Constant[]): string {
  const folders = Map.groupBy(constants, ({ file }) => file.split('/')[1] ?? '');
  const tables = [...folders].map(
    ([folder, inside]) =>
      `## ${folder}\n\n| name | value | unit | file | meaning |\n|---|---|---|---|---|\n` +
      `${inside.flatMap(rowsOf).join('\n')}\n`,
  );
  return `# Limits and delays

<!-- generated by scripts/generate-limits.ts from src: npm run docs writes it, npm run docs:check tests it -->

For operators and developers who met a number (a delay in a log, a size in an error) and ask where it comes from: every
fixed limit, delay and policy of the program, with the file that enforces it and the reason. Numbers that a user sets
are in docs/configuration.md. Fixed policies that a plan carries or that several modules share stand in
\`src/config/limits.ts\`, all others at the top of the file that enforces them. A row without a unit is a count or a
factor; a share is a part of 1; ″ repeats the meaning above it.

${tables.join('\n')}`;
}

const all = globSync('src/**/*.ts').sort().flatMap(constantsOf);
const leftOut = Object.values(LEFT_OUT).flat();
const listed = all.filter(({ name }) => !leftOut.includes(name));
const problems = [
  ...listed.filter(({ meaning }) => meaning === '').map(({ name, file }) => `${file}: ${name} has no docstring`),
  ...leftOut.filter((name) => !all.some((one) => one.name === name)).map((name) => `${name} is left out, but nowhere`),
];
const text = page(listed);
if (!process.argv.includes('--check')) writeFileSync(PAGE, text);
else if (readFileSync(PAGE, 'utf8') !== text) problems.push(`${PAGE} is not what src says: run npm run docs`);
for (const problem of problems) process.stderr.write(`limits: ${problem}\n`);
process.stdout.write(`limits: ${String(listed.length)} constants, ${String(problems.length)} problems\n`);
process.exit(problems.length === 0 ? 0 : 1);
