import { Writable } from 'node:stream';
import { expect } from 'chai';
import { createLogger } from '../../src/telemetry/log.ts';
import { AuditLog } from '../../src/telemetry/audit.ts';
import { createSecrets } from '../../src/telemetry/secrets.ts';
import { LineSink, SINK_LIMIT_BYTES } from '../../src/telemetry/sink.ts';
import { expectNoSecret } from '../support/canary.ts';

const SECRET = 'S3cr/et+Value=with?odd&chars-0123456789';
function captured(): { readonly sink: LineSink; readonly text: () => string } {
  const parts: string[] = [];
  const secrets = createSecrets();
  secrets.add(SECRET);
  const out = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      parts.push(chunk.toString());
      done();
    },
  });
  return { sink: new LineSink(out, secrets), text: () => parts.join('') };
}

describe('no secret in any output', () => {
  it('removes every spelling, whole or cut off, from log and audit lines', () => {
    const { sink, text } = captured();
    const log = createLogger('trace', sink, {});
    const audit = new AuditLog(sink, () => 0);
    log.info({ url: `wss://h/?access_token=${encodeURIComponent(SECRET)}` }, `message with ${SECRET}`);
    log.error({ err: new Error(`failed with ${SECRET}`, { cause: new Error(SECRET) }) });
    log.info({ nested: { deep: [SECRET], basic: `Basic ${Buffer.from(SECRET).toString('base64')}` } });
    log.info(`cut off: ${SECRET.slice(0, 20)}`);
    audit.write('connection.dropped', 'c', { text: `token=${SECRET}` });
    try {
      new URL(`not a url ${SECRET}`);
    } catch (error) {
      log.warn({ err: error });
    }
    expect(text()).to.include('[redacted]');
    expectNoSecret(text(), 'log', [SECRET]);
  });

  it('tells apart secrets that begin alike: the tail of neither stays', () => {
    const secrets = createSecrets();
    const head = 'eyJhbGciOiJSUzI1NiJ9.';
    secrets.add(`${head}AAAA.signature-of-the-first-token`);
    secrets.add(`${head}BBBB.signature-of-the-second-token`);
    const out = secrets.scrub(
      `${head}BBBB.signature-of-the-second-token and ${head}AAAA.signature-of-the-first-token and ${head}AAAA.signature`,
    );
    expect(out).to.equal('[redacted] and [redacted] and [redacted]');
  });
});

describe('LineSink', () => {
  it('drops and counts when its reader stops, and never grows beyond its limit', () => {
    const stuck = new Writable({ highWaterMark: 1, write: () => undefined });
    const sink = new LineSink(stuck, createSecrets());
    const line = 'x'.repeat(1000);
    for (let n = 0; n < 3000; n += 1) sink.write(line);
    expect(stuck.writableLength).to.be.at.most(SINK_LIMIT_BYTES + 2000);
    expect(sink.takeDropped()).to.be.greaterThan(1000);
  });
});
