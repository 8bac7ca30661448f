import { expect } from 'chai';
import { RedisLeases } from '../../../src/coordination/redis/redis-leases.ts';
import { RedisStore } from '../../../src/coordination/redis/redis-store.ts';
import type { AcquireAnswer } from '../../../src/coordination/leases.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { SuiteRedis } from '../../support/suite-redis.ts';
import { until } from '../../support/until.ts';

const ANSWER_LATE_MS = 200;

/** The answer to an attempt is a while on its way. */
class LateAnswers extends RedisLeases {
  override async acquire(...asked: Parameters<RedisLeases['acquire']>): Promise<AcquireAnswer> {
    const answer = await super.acquire(...asked);
    await new Promise((resolve) => setTimeout(resolve, ANSWER_LATE_MS));
    return answer;
  }
}

describe('an election that ends', () => {
  const suite = new SuiteRedis();

  it('gives back what it wins while it stops', async () => {
    const link = await suite.link('late');
    const sidecar = await new TestSidecar(
      writeDocuments({ simPort: 9, dialect: 'genesys-streams' }),
      new RedisStore(link),
      new LateAnswers(link, 'redlock'),
    ).start();
    const locks = (): Promise<string[]> => suite.raw.keys('late:*:lock');
    await until('the lock is taken', async () => (await locks()).length === 1);
    await sidecar.stop();
    expect(await locks()).to.deep.equal([]);
  });
});
