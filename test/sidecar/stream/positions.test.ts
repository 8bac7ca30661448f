import { expect } from 'chai';
import { WebSocket } from 'ws';
import { SampleConsumer } from '../../../src/simulator/sample-consumer.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { writeDocuments, type DocumentOptions } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';
import { Verdict } from '../../support/verdict.ts';

interface Frame {
  readonly type: string;
  readonly id: string;
  readonly event: { readonly type: string; readonly data: { readonly sequence?: number } };
}

describe('what a checkpoint may say', () => {
  let sim: Simulator;
  let sidecar: TestSidecar;
  let ws: WebSocket | undefined;
  const frames: Frame[] = [];
  const start = async (more: Partial<DocumentOptions> = {}): Promise<void> => {
    frames.length = 0;
    sim = new Simulator({ port: 0, rate: 0, size: 250, keys: 3, serverPingEveryMs: 100 });
    sidecar = await new TestSidecar(
      writeDocuments({ simPort: await sim.listen(), dialect: 'genesys-streams', ...more }),
    ).start();
    await until('the stream is open', () => sidecar.stream.state === 'OPEN');
  };
  const pull = async (): Promise<(message: unknown) => void> => {
    const socket = new WebSocket(
      `ws://127.0.0.1:${String(sidecar.deliveryPort)}/v1/streams/main/ws?credit=1000`,
      'holdfast.v1',
    );
    ws = socket;
    socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
    await until('the consumer is connected', () => socket.readyState === WebSocket.OPEN);
    return (message) => {
      socket.send(JSON.stringify(message));
    };
  };
  const stored = async (): Promise<string | undefined> =>
    (await sidecar.store.load('GenesysCloud:local:acme', 'main'))?.position;
  afterEach(async () => {
    ws?.terminate();
    await sidecar.stop();
    await sim.close();
  });

  it(
    'a control event that is acknowledged before the data behind ' + 'it never moves the position past that data',
    async () => {
      await start();
      const send = await pull();
      sim.generate(10);
      await until('ten arrive', () => frames.filter((frame) => frame.type === 'event').length === 10);
      send({ type: 'ack', upTo: frames.at(-1)?.id });
      await until('they are stored', async () => (await stored()) === 'sequence:10');
      sim.do({ do: 'drop' });
      await until('the stream is open again', () => sim.history.of('conn.open').length === 2);
      sim.generate(1);
      await until('the eleventh arrives', () =>
        frames.some((frame) => frame.type === 'event' && frame.event.data.sequence === 11),
      );
      const controls = frames.filter((frame) => frame.type === 'control');
      expect(controls.map((frame) => frame.event.type)).to.deep.equal([
        'dev.holdfast.stream.interrupted',
        'dev.holdfast.stream.resumed',
      ]);
      send({ type: 'ack', ids: controls.map((frame) => frame.id) });
      await until(
        'the notices are settled',
        () => sidecar.stream.delivery.backlog === 1 && sidecar.stream.delivery.uncheckpointed === 0,
      );
      expect(await stored(), 'eleven is not acknowledged').to.equal('sequence:10');
    },
  );

  it('the beginning of a stream is stored before anything is acknowledged', async () => {
    await start();
    await until('the subscription is stored', async () => (await stored()) === '');
    sim.do({ do: 'jump', count: 41 });
    sim.generate(5);
    await until('where the first event stands is stored', async () => (await stored()) === 'sequence:41');
  });

  it('a platform that counts anew is followed: one gap, every event of the new numbering, in order', async () => {
    await start();
    const send = await pull();
    sim.generate(5000);
    await until('the old numbering arrives', () => {
      const last = frames.filter((frame) => frame.type !== 'ackok').at(-1);
      if (last !== undefined) send({ type: 'ack', upTo: last.id });
      return frames.filter((frame) => frame.type === 'event').length === 5000;
    });
    sim.do({ do: 'restart-sequence' });
    const before = frames.length;
    sim.generate(30);
    await until(
      'the new numbering arrives',
      () => frames.slice(before).filter((frame) => frame.type === 'event').length === 30,
    );
    const after = frames.slice(before).filter((frame) => frame.type !== 'ackok');
    expect(after[0]?.event.type).to.equal('dev.holdfast.gap.detected');
    expect(after.filter((frame) => frame.type === 'event').map((frame) => frame.event.data.sequence)).to.deep.equal(
      Array.from({ length: 30 }, (_, n) => n + 1),
    );
    expect(sidecar.audits('sequence.restarted').length).to.equal(1);
  });

  it('one event that fails for long while hundreds of others are taken does not stop the stream', async () => {
    const consumer = new SampleConsumer();
    const consumerPort = await consumer.listen();
    let victim = '';
    let refusals = 0;
    consumer.behaviour.decide = (event) => {
      if (victim === '' && event.type.startsWith('com.')) victim = event.id;
      if (event.id !== victim || consumer.distinct >= 250) return undefined;
      refusals += 1;
      return 500;
    };
    await start({ consumerPort, push: { contentMode: 'structured' }, delivery: { maxAttempts: 1000 } });
    const verdict = new Verdict(sim, consumer, 'genesys-streams');
    sim.generate(900);
    await until('everything is taken', () => consumer.distinct === 900, 10_000);
    expect(refusals).to.be.greaterThan(0);
    expect(verdict.missing()).to.deep.equal([]);
    await consumer.close();
  });

  it('a checkpoint refused for another epoch ends the lease: nothing new is handed over', async () => {
    await start();
    const send = await pull();
    sim.generate(5);
    await until('five arrive', () => frames.filter((frame) => frame.type === 'event').length === 5);
    await sidecar.store.claim('GenesysCloud:local:acme', 'somebody else', 0);
    send({ type: 'ack', upTo: frames.at(-1)?.id });
    await until('the refusal is noticed', () => sidecar.audits('checkpoint.refused').length === 1);
    sim.generate(20);
    await until(
      'the lease is given up',
      () => sidecar.audits('lease.lost').length === 1 && sim.connections.length === 0,
    );
    expect(frames.filter((frame) => frame.type === 'event').length).to.equal(5);
  });
});
