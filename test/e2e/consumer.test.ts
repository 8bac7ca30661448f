import { expect } from 'chai';
import type { Received } from '../../src/simulator/sample-consumer.ts';
import { SampleConsumer } from '../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { writeDocuments, type DocumentOptions } from '../support/documents.ts';
import { TestSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import { Verdict } from '../support/verdict.ts';

/** A consumer that misbehaves: the reaction of the table in docs/consumer-protocol.md. */
describe('push: the consumer answers', () => {
  let sim: Simulator;
  let consumer: SampleConsumer;
  let verdict: Verdict;
  let sidecar: TestSidecar;

  const start = async (more: Partial<DocumentOptions> = {}, rate = 300): Promise<void> => {
    sim = new Simulator({ port: 0, rate: 0, size: 300, keys: 5, serverPingEveryMs: 100 });
    consumer = new SampleConsumer();
    verdict = new Verdict(sim, consumer, 'genesys-streams');
    const simPort = await sim.listen();
    const consumerPort = await consumer.listen();
    sidecar = await new TestSidecar(
      writeDocuments({
        simPort,
        consumerPort,
        dialect: 'genesys-streams',
        push: { contentMode: 'structured' },
        ...more,
      }),
    ).start();
    await until('the stream is open', () => sim.connections.length > 0);
    sim.rate = rate;
    await until('events flow', () => consumer.distinct > 20);
  };
  const flows = async (count = 50): Promise<void> => {
    const target = consumer.distinct + count;
    await until(`${String(count)} further events are delivered`, () => consumer.distinct >= target);
  };
  const finish = async (): Promise<void> => {
    sim.rate = 0;
    await until('everything is settled', () => verdict.complete() && sidecar.stream.delivery.backlog === 0);
  };
  afterEach(async () => {
    await sidecar.stop();
    await consumer.close();
    await sim.close();
  });
  const n = (event: Received): number => (event.data as { data?: { n: number } }).data?.n ?? 0;

  for (const status of [401, 403, 405, 404, 410]) {
    it(`${String(status)}: the stream is held, nothing is dead-lettered, and it goes on`, async () => {
      await start();
      consumer.behaviour.status = status;
      await until('the stream is held', () => sidecar.stream.delivery.hold !== undefined);
      const requests = consumer.requests;
      await until('it is asked again now and then', () => consumer.requests > requests + 2);
      expect(consumer.requests - requests, 'one probe at a time').to.be.at.most(10);
      consumer.behaviour.status = 204;
      await flows();
      await finish();
      expect(sidecar.stream.events.deadLettered).to.equal(0);
      verdict.check({ maxDuplicates: 0, gaps: 0 });
    });
  }

  for (const status of [400, 413, 415, 422]) {
    it(
      `${String(status)}: that event becomes a dead letter at once, the rest goes on, a redrive brings it back ` +
        'with the same id',
      async () => {
        await start();
        let bad = '';
        consumer.behaviour.decide = (event) => {
          if (bad === '' && n(event) > 0 && event.type.startsWith('com.')) bad = event.id;
          return event.id === bad && event.replay !== 'redrive' ? status : undefined;
        };
        await until('the event is a dead letter', () => sidecar.stream.events.deadLettered === 1);
        await flows();
        expect(consumer.has(bad)).to.equal(false);
        const base = `http://127.0.0.1:${String(sidecar.deliveryPort)}/v1/streams/main/dead-letters`;
        const { letters } = (await (await fetch(base)).json()) as {
          letters: { id: string; eventId: string; reason: string }[];
        };
        expect(letters[0]).to.deep.include({ eventId: bad, reason: `http_${String(status)}` });
        const shown = (await (await fetch(`${base}/${letters[0]?.id ?? ''}`)).json()) as { data: string };
        expect(JSON.parse(shown.data)).to.have.property('id', bad);
        expect((await fetch(`${base}/${letters[0]?.id ?? ''}/redrive`, { method: 'POST' })).status).to.equal(200);
        await until('the redriven event is taken', () => consumer.has(bad));
        await until(
          'its letter is gone',
          async () => ((await (await fetch(base)).json()) as { letters: unknown[] }).letters.length === 0,
        );
        await finish();
      },
    );
  }

  it('409: retried, never counted', async () => {
    await start({ delivery: { maxAttempts: 3 } });
    let victim = '';
    let tries = 0;
    consumer.behaviour.decide = (event) => {
      if (victim === '' && n(event) > 0) victim = event.id;
      if (event.id !== victim || tries >= 8) return undefined;
      tries += 1;
      return 409;
    };
    await until(
      'it is taken in the end',
      () => victim !== '' && consumer.has(victim),
      15_000,
      () =>
        JSON.stringify({
          tries,
          victim,
          received: consumer.received.length,
          controls: consumer.controls,
          stream: sidecar.stream,
        }),
    );
    await finish();
    expect([tries, sidecar.stream.events.deadLettered]).to.deep.equal([8, 0]);
    verdict.check({ maxDuplicates: 0 });
  });

  it('429: waits for Retry-After', async () => {
    await start({ delivery: { order: 'stream' } });
    consumer.behaviour.status = 429;
    consumer.behaviour.retryAfter = 1;
    const before = consumer.requests;
    await until('it is refused', () => consumer.requests > before);
    const at = performance.now();
    consumer.behaviour.status = 204;
    consumer.behaviour.retryAfter = undefined;
    const again = consumer.requests;
    await until('it comes again', () => consumer.requests > again);
    expect(performance.now() - at).to.be.at.least(900);
    await finish();
    verdict.check({ maxDuplicates: 0 });
  });

  it('500 for ever: a dead letter after maxAttempts; the other keys never wait', async () => {
    await start({ delivery: { maxAttempts: 3 } });
    let victim = '';
    consumer.behaviour.decide = (event) => {
      if (victim === '' && n(event) > 0) victim = event.id;
      return event.id === victim ? 500 : undefined;
    };
    await until('it is a dead letter', () => sidecar.stream.events.deadLettered === 1);
    await flows();
    consumer.behaviour.decide = undefined;
    sim.rate = 0;
    await until('the rest is settled', () => verdict.missing().length === 1 && sidecar.stream.delivery.backlog === 0);
    expect(verdict.missing().map((event) => event.id)).to.deep.equal([victim]);
  });

  it(
    'a bad deploy that answers 400 to everything is held by the ' + 'storm guard, not drained into the dead letters',
    async () => {
      await start();
      consumer.behaviour.status = 400;
      await until('the guard holds', () => sidecar.stream.delivery.hold === 'storm_guard');
      const dead = sidecar.stream.events.deadLettered;
      expect(dead).to.be.at.most(8);
      consumer.behaviour.status = 204;
      await flows();
      sim.rate = 0;
      await until(
        'the rest is settled',
        () => verdict.missing().length === sidecar.stream.events.deadLettered && sidecar.stream.delivery.backlog === 0,
      );
      expect(sidecar.stream.events.deadLettered).to.be.at.most(8);
    },
  );

  it('one poisoned event in a batch does not condemn its neighbours', async () => {
    await start({ push: { contentMode: 'batch' }, delivery: { maxAttempts: 3 } });
    let victim = '';
    consumer.behaviour.decide = (event) => {
      if (victim === '' && n(event) > 0) victim = event.id;
      return event.id === victim ? 400 : undefined;
    };
    await until('it is a dead letter', () => sidecar.stream.events.deadLettered > 0, 20_000);
    await flows();
    sim.rate = 0;
    await until('the rest is settled', () => verdict.missing().length === 1 && sidecar.stream.delivery.backlog === 0);
    expect(sidecar.audits('dead_letter.added').map((record) => record['reason'])).to.deep.equal(['http_400']);
    expect(verdict.missing().map((event) => event.id)).to.deep.equal([victim]);
  });

  it('down: held without counting, pings answered, everything delivered afterwards', async () => {
    await start();
    const { port } = consumer;
    await consumer.close();
    await until('the stream is held', () => sidecar.stream.delivery.hold === 'consumer_down');
    const pongs = sim.history.counts.get('pong.rx') ?? 0;
    await until('server pings are still answered', () => (sim.history.counts.get('pong.rx') ?? 0) > pongs + 5);
    expect(sim.connections.length, 'the stream stays open').to.equal(1);
    await consumer.listen(port);
    await flows();
    await finish();
    expect(sidecar.stream.events.deadLettered).to.equal(0);
    verdict.check({ maxDuplicates: 0, gaps: 0 });
  });

  it(
    'frozen: the acknowledgement deadline sends again, nothing ' + 'is lost, and everything repeated is marked',
    async () => {
      await start({ delivery: { ackTimeout: '300ms' } });
      consumer.behaviour.hang = true;
      await until('deadlines pass', () => sidecar.stream.events.redelivered > 5);
      consumer.behaviour.hang = false;
      await flows();
      await finish();
      verdict.check({ maxDuplicates: 0 });
      expect(consumer.received.some((event) => event.attempt > 1)).to.equal(true);
    },
  );

  it('slow beyond the buffer: parked politely, bounded, and resumed without loss', async () => {
    await start({ delivery: { maxBufferedBytes: '65536', order: 'stream' }, push: { contentMode: 'structured' } }, 600);
    consumer.behaviour.delayMs = 60;
    await until('the stream is parked', () => sidecar.stream.state === 'PARKED');
    expect(sidecar.stream.delivery.bufferedBytes, 'bounded').to.be.at.most(65_536 + 256 * 1024);
    sim.rate = 0;
    consumer.behaviour.delayMs = 0;
    await until('it resumes', () => sidecar.stream.delivery.parks > 0 && sidecar.stream.state !== 'PARKED');
    await finish();
    verdict.check({ maxDuplicates: 0, gaps: 0 });
    expect(sim.history.of('conn.end').some((end) => end['code'] === 1000)).to.equal(true);
  });
});
