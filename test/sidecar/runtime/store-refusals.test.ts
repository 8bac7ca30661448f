import { expect } from 'chai';
import { pino } from 'pino';
import { ConnectionRegistry } from '../../../src/coordination/redis/connection-registry.ts';
import { HoldfastError } from '../../../src/core/errors.ts';
import { StoreRefusals } from '../../../src/sidecar/runtime/store-refusals.ts';
import { SuiteRedis } from '../../support/suite-redis.ts';

const POLICY = { lifeMs: 10_000, deadAfterMs: 1000, sweepEveryMs: 100 };
const BEAT = {
  connectionId: 'c',
  silentMs: 0,
  platform: 'GenesysCloud',
  tenantId: 't',
  state: 'ACTIVE',
  retryCount: 0,
  client: 'x',
  stream: 's',
  pod: 'p',
  epoch: 1,
} as const;

describe('what the store refuses and the streams can do without', () => {
  const suite = new SuiteRedis();

  it(
    'is said once as a warning, again when it is another refusal or one after a success, and only at debug ' +
      'when the store is away',
    async () => {
      const lines: Record<string, unknown>[] = [];
      const refusals = new StoreRefusals(
        pino(
          { level: 'debug', formatters: { level: (level) => ({ level }) } },
          {
            write: (line: string) => {
              lines.push(JSON.parse(line) as Record<string, unknown>);
            },
          },
        ),
      );
      const link = await suite.link('refused');
      const registry = new ConnectionRegistry(link, POLICY);
      const beat = (): Promise<void> =>
        registry.heartbeat([BEAT]).then(
          () => {
            throw new Error('it was written');
          },
          (error: unknown) => {
            refusals.note('no heartbeat', error);
          },
        );
      await suite.raw.set('refused:ws:index', 'not ours');
      await beat();
      await beat();
      await suite.raw.del('refused:ws:index');
      await suite.raw.config('SET', 'maxmemory', '1');
      await beat().finally(() => suite.raw.config('SET', 'maxmemory', '0'));
      await registry.heartbeat([BEAT]);
      refusals.over('no heartbeat');
      await suite.raw.config('SET', 'maxmemory', '1');
      await beat().finally(() => suite.raw.config('SET', 'maxmemory', '0'));
      refusals.note(
        'no heartbeat',
        new HoldfastError('HF_STORE_UNAVAILABLE', 'no answer', { details: { answer: 'TimeoutError' } }),
      );
      expect(lines.map((line) => `${String(line['level'])} ${String(line['answer'])}`)).to.deep.equal([
        'warn HF_STORE_CORRUPT',
        'debug undefined',
        'warn OOM',
        'warn OOM',
        'debug undefined',
      ]);
    },
  );
});
