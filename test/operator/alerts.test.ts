import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { parse } from 'yaml';
import { REASONS } from '../../src/core/session/classify-failure.ts';
import { DEAD_LETTER_REASONS, GAP_CAUSES, HELD_REASONS } from '../../src/core/vocabulary.ts';
import { writeDocuments } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';

const UNIT_FILES = readdirSync(new URL('alerts/', import.meta.url)).map(
  (name) => new URL(`alerts/${name}`, import.meta.url).pathname,
);
const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const RULE_FILES = ['manifests/alerts/holdfast.yaml', 'manifests/alerts/holdfast-kubernetes.yaml'];

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}
const rules = (path: string): readonly Rule[] =>
  (parse(read(path)) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] }).groups.flatMap(
    (group) => group.rules,
  );
/** Names of ours in a text, as a scrape or an expression has them. */
const namesIn = (text: string): readonly string[] => [...new Set(text.match(/holdfast_[a-z_]+/g) ?? [])];
/** What a replica that has done nothing yet shows: neither started nor a leader. */
const firstScrape = async (): Promise<string> => {
  const sidecar = new TestSidecar(writeDocuments({ simPort: 1, dialect: 'genesys-gateway' }));
  const text = await sidecar.deps.metrics.registry.metrics();
  await sidecar.store.close();
  return text;
};
const CONTROL_PLANE = ['holdfast_controller_leading', 'holdfast_injector_certificate_expiry_seconds'];

function promtool(test: Mocha.Context): string {
  const found = spawnSync('promtool', ['--version'], { encoding: 'utf8' });
  if (found.status === 0) return 'promtool';
  process.stderr.write(
    '\nSKIPPED: there is no promtool, so THE ALERT RULES ARE NOT TESTED: bash scripts/ensure-promtool.sh\n',
  );
  return test.skip();
}

// Found and mended: B2, B5, B6
describe('alert rules, judged by promtool', () => {
  for (const file of UNIT_FILES)
    it(`rules do what ${file.slice(file.lastIndexOf('/') + 1)} says`, function () {
      const result = spawnSync(promtool(this), ['test', 'rules', file], { encoding: 'utf8' });
      expect(result.stdout + result.stderr).to.include('SUCCESS');
      expect(result.status, result.stdout + result.stderr).to.equal(0);
    });

  for (const path of RULE_FILES)
    it(`${path} is accepted`, function () {
      const output = execFileSync(promtool(this), [
        'check',
        'rules',
        new URL(`../../${path}`, import.meta.url).pathname,
      ]);
      expect(output.toString()).to.include('SUCCESS');
    });

  it('the first scrape breaks no rule of promtool about names', async function () {
    const result = spawnSync(promtool(this), ['check', 'metrics'], { input: await firstScrape(), encoding: 'utf8' });
    expect(result.stdout + result.stderr).to.equal('');
    expect(result.status).to.equal(0);
  });

  it('each alert has a summary, a description and a place in the runbook', () => {
    const runbook = read('docs/runbook.md');
    const all = RULE_FILES.flatMap(rules);
    for (const { alert, annotations } of all) {
      expect(annotations, alert).to.include.keys('summary', 'description', 'runbook_url');
      expect(annotations['runbook_url']).to.equal(`https://holdfast.dev/runbook#${alert.toLowerCase()}`);
      expect(runbook, alert).to.include(`<a id="${alert.toLowerCase()}"></a>${alert} |`);
    }
    expect(new Set(all.map((one) => one.alert)).size).to.equal(all.length);
  });

  it('what needs a controller is in a file of its own', () => {
    for (const { alert, expr } of rules('manifests/alerts/holdfast.yaml'))
      expect(
        namesIn(expr).filter((name) => CONTROL_PLANE.includes(name)),
        alert,
      ).to.deep.equal([]);
  });
});

describe('every series is there before anything happens', () => {
  // Found and mended: B2
  it('each value of a closed label of each stream stands at 0 in the first scrape', async () => {
    const text = await firstScrape();
    const stands = (name: string, label: string, value: string): void => {
      expect(text).to.match(
        new RegExp(`^holdfast_${name}\\{client="acme",stream="main",${label}="${value}"\\} 0$`, 'm'),
        `${name} ${value}`,
      );
    };
    for (const cause of GAP_CAUSES) stands('gaps_total', 'cause', cause);
    for (const reason of DEAD_LETTER_REASONS) stands('events_dead_lettered_total', 'reason', reason);
    for (const reason of HELD_REASONS) stands('delivery_held', 'reason', reason);
    for (const reason of REASONS) stands('connection_failures_total', 'reason', reason);
    for (const result of ['stored', 'fenced', 'regressed', 'failed']) stands('checkpoints_total', 'result', result);
  });

  // Found and mended: B2
  it('no counter is born later', async () => {
    const text = await firstScrape();
    const counters = [...text.matchAll(/^# TYPE (holdfast_\S+) counter$/gm)].map((match) => match[1] ?? '');
    expect(counters.length).to.be.greaterThan(15);
    for (const name of counters) expect(text, name).to.match(new RegExp(`^${name}(\\{[^}]*\\})? 0$`, 'm'));
  });

  it('alerts and dashboard speak of metrics that exist', async () => {
    const known = new Set([...namesIn(await firstScrape()), ...CONTROL_PLANE]);
    const used = [...RULE_FILES, 'manifests/dashboard/holdfast.json'].flatMap((path) => {
      const text = path.endsWith('.json')
        ? read(path)
        : rules(path)
            .map((one) => one.expr)
            .join('\n');
      return namesIn(text).map((name) => [path, name] as const);
    });
    for (const [path, name] of used) expect(known.has(name), `${path}: ${name}`).to.equal(true);
  });

  it('docs/metrics.md has a row for each metric, and none for another', async () => {
    const named = [...(await firstScrape()).matchAll(/^# TYPE holdfast_(\S+) /gm)].map((match) => match[1] ?? '');
    const rows = [...read('docs/metrics.md').matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1] ?? '');
    expect(rows.toSorted()).to.deep.equal(named.toSorted());
  });
});
