import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EmbeddedStore } from '../../../src/coordination/embedded/embedded-store.ts';
import { HoldfastError } from '../../../src/core/errors.ts';
import { StoreTrouble, wordsOf } from '../../../src/sidecar/runtime/store-trouble.ts';
import { SampleConsumer } from '../../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';

const directory = (): string => mkdtempSync(join(tmpdir(), 'hf-trouble-'));
const isRoot = process.getuid?.() === 0;
/** Somebody who may do nothing here. */
const NOBODY = 65_534;

function refusal(path: string): HoldfastError {
  try {
    void new EmbeddedStore(path).close();
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
  throw new Error('the store could be opened');
}

/** What another user gets: root may write everywhere. */
function refusalOfNobody(path: string): string {
  const store = new URL('../../../src/coordination/embedded/embedded-store.ts', import.meta.url).href;
  const trouble = new URL('../../../src/sidecar/runtime/store-trouble.ts', import.meta.url).href;
  const script = `import { EmbeddedStore } from ${JSON.stringify(store)};
    import { wordsOf } from ${JSON.stringify(trouble)};
    ${isRoot ? `process.setgid(${String(NOBODY)}); process.setuid(${String(NOBODY)});` : ''}
    try { new EmbeddedStore(${JSON.stringify(path)}); console.log('opened'); }
    catch (error) { console.log(error.code, wordsOf(error)); }`;
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  return result.stdout + (result.stdout === '' ? result.stderr : '');
}

/** A volume of its own. @returns its directory, or undefined where none can be mounted. */
function volume(options: string): string | undefined {
  const path = directory();
  const mounted = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status === 0;
  return mounted ? path : undefined;
}

// Found and mended: D3
describe('an embedded store that cannot be used says why', () => {
  it('a file that is no database: the words of SQLite, the file and the remedy', () => {
    const path = directory();
    writeFileSync(join(path, 'holdfast.db'), 'this is a shopping list, no database. '.repeat(100));
    const error = refusal(path);
    expect(error.code).to.equal('HF_STORE_UNAVAILABLE');
    expect(wordsOf(error))
      .to.include('file is not a database')
      .and.include(join(path, 'holdfast.db'))
      .and.include('move the file away');
  });

  it('a lock file that is no database is not taken for another process', () => {
    const path = directory();
    writeFileSync(join(path, 'holdfast.lock'), 'junk '.repeat(1000));
    expect(refusal(path).code).to.equal('HF_STORE_UNAVAILABLE');
    expect(wordsOf(refusal(path)))
      .to.include('file is not a database')
      .and.include('holdfast.lock');
  });

  it('a path that is a file', () => {
    const path = join(directory(), 'file');
    writeFileSync(path, '');
    expect(wordsOf(refusal(path)))
      .to.include(path)
      .and.include('name a directory with --store embedded:DIR');
  });

  it('a directory that another user may not write to', () => {
    const path = directory();
    chmodSync(path, 0o555);
    const said = refusalOfNobody(path);
    expect(said)
      .to.match(/^HF_STORE_UNAVAILABLE /)
      .and.include('unable to open database file')
      .and.include(path)
      .and.include('this user must be allowed to read and write it');
  });

  it('a directory that another user may not make', () => {
    const path = directory();
    chmodSync(path, 0o555);
    const said = refusalOfNobody(join(path, 'store'));
    expect(said)
      .to.match(/^HF_STORE_UNAVAILABLE /)
      .and.include('EACCES')
      .and.include(path)
      .and.include('let this user write there');
  });

  it('files of another user in a directory that can be entered: read-only is not "another process"', () => {
    const path = directory();
    void new EmbeddedStore(path).close();
    chmodSync(path, 0o755);
    for (const name of ['holdfast.db', 'holdfast.lock']) chmodSync(join(path, name), 0o444);
    const said = refusalOfNobody(path);
    expect(said)
      .to.match(/^HF_STORE_UNAVAILABLE /)
      .and.match(/readonly database|unable to open database file/)
      .and.include(path);
  });

  it('a volume that is mounted read-only', function () {
    const path = volume('size=1m,ro');
    if (path === undefined) return this.skip();
    const said = wordsOf(refusal(path));
    execFileSync('umount', [path]);
    expect(said).to.include('unable to open database file').and.include(path);
  });
});

// Found and mended: D3
describe('a store that refuses while the stream runs', () => {
  it('full disk: /status, /readyz and the log say it in words, and it goes on when there is space', async function () {
    const path = volume('size=400k');
    if (path === undefined) return this.skip();
    const sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 5 });
    const consumer = new SampleConsumer();
    const file = writeDocuments({
      simPort: await sim.listen(),
      consumerPort: await consumer.listen(),
      dialect: 'genesys-streams',
    });
    const sidecar = await new TestSidecar(file, new EmbeddedStore(path)).start();
    const store = (): { readonly trouble?: string } => sidecar.supervisor.status()['store'] as { trouble?: string };
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${String(sidecar.adminPort)}/readyz`)).status;
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
    expect(store().trouble).to.equal(undefined);
    const filler = join(path, 'filler');
    spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1k']); // until the volume is full
    sim.rate = 300;
    await until('the store says so', () => store().trouble !== undefined);
    expect(store().trouble)
      .to.include('database or disk is full')
      .and.include(join(path, 'holdfast.db'))
      .and.include('free space on this volume')
      .and.include('checkpoint main');
    expect(await ready()).to.equal(503);
    expect(sidecar.output).to.match(/"trouble":"[^"]*database or disk is full[^"]*free space/);
    rmSync(filler);
    await until('it is over', () => store().trouble === undefined);
    expect(await ready()).to.equal(200);
    const target = consumer.distinct + 300;
    await until('events flow', () => consumer.distinct > target);
    sim.rate = 0;
    await sidecar.stop();
    await consumer.close();
    await sim.close();
    execFileSync('umount', [path]);
  });
});

describe('the store trouble of a replica', () => {
  const full = new HoldfastError('HF_STORE_UNAVAILABLE', 'no space', { details: { remedy: 'free some' } });

  it('each use ends its own: a renewed lease does not hide a checkpoint that is refused', () => {
    const trouble = new StoreTrouble();
    trouble.note('checkpoint a', full);
    trouble.note('lease', full);
    trouble.over('lease');
    expect(trouble.text).to.equal('no space; free some (checkpoint a)');
    trouble.over('checkpoint a');
    expect(trouble.text).to.equal(undefined);
  });

  it('names a few uses, not two hundred', () => {
    const trouble = new StoreTrouble();
    for (let n = 0; n < 200; n += 1) trouble.note(`checkpoint s${String(n)}`, full);
    expect(trouble.text).to.equal('no space; free some (checkpoint s0, checkpoint s1, checkpoint s2, 197 more)');
  });

  it("has the cause's own words once", () => {
    const cause = new Error("OOM command not allowed when used memory > 'maxmemory'");
    expect(wordsOf(new HoldfastError('HF_STORE_UNAVAILABLE', 'Redis refuses (OOM)', { cause }))).to.equal(
      `Redis refuses (OOM): ${cause.message}`,
    );
  });
});
