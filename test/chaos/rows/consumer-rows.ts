import { until } from '../../support/until.ts';
import { during, pause, platform, type Scenario } from '../row.ts';

/** The consumer beside us: away, slow, frozen, refusing. */
export const CONSUMER_ROWS: readonly Scenario[] = [
  {
    id: 'K1',
    say: 'the consumer is away for three seconds',
    async run(rig) {
      const { consumer } = rig.fleet;
      const { port } = consumer;
      await during(
        rig,
        { kind: 'consumer', target: 'all', forMs: 3000 },
        () => consumer.close(),
        async () => {
          await consumer.again(port);
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'K2',
    say: 'the consumer is slow',
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      await during(
        rig,
        { kind: 'slow', target: 'all', forMs: 4000 },
        () => {
          behaviour.delayMs = 200;
        },
        () => {
          behaviour.delayMs = 0;
        },
      );
      await rig.flows(300);
    },
  },
  {
    id: 'K2b',
    say: 'the consumer is slow, and the platform drops the connection meanwhile',
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      const end = rig.fault('slow', 'all');
      behaviour.delayMs = 400;
      for (let n = 0; n < 3; n += 1) {
        await pause(700);
        platform(rig, { do: 'drop' });
      }
      behaviour.delayMs = 0;
      end();
      await rig.flows(500);
    },
  },
  {
    id: 'K2c',
    say: 'the consumer is slow and the buffer small: a short pause, then the stream is parked',
    facts: { pongMs: 1500 },
    options: { documents: { stream: { heartbeat: { silence: '4s' } }, delivery: { maxBufferedBytes: '256Ki' } } },
    async run(rig) {
      const { behaviour } = rig.fleet.consumer;
      rig.fleet.sim.size = 4000;
      await during(
        rig,
        { kind: 'slow', target: 'all', forMs: 6000 },
        () => {
          behaviour.delayMs = 2000;
        },
        () => {
          behaviour.delayMs = 0;
        },
      );
      rig.fleet.sim.size = 400;
      await rig.flows(300);
    },
  },
  {
    id: 'K3',
    say: 'the consumer is frozen while the platform sends much: memory stays bounded',
    facts: { convergeMs: 70_000 },
    options: { documents: { delivery: { ackTimeout: '2s', maxAttempts: 1000 } } },
    async run(rig) {
      const { fleet } = rig;
      fleet.sim.size = 16_000;
      await during(
        rig,
        { kind: 'consumer', target: 'all', forMs: 8000 },
        () => {
          fleet.sim.rate = 1500;
          fleet.consumer.behaviour.hang = true;
        },
        () => {
          fleet.sim.rate = 0;
          fleet.consumer.behaviour.hang = false;
        },
      );
      // Some 200 MB: how long they take is the machine's.
      await until('the backlog is delivered', () => fleet.verdict.complete(), 60_000);
      fleet.sim.size = 400;
      fleet.sim.rate = 500;
      await rig.flows(300);
    },
  },
  {
    id: 'K5',
    say: 'one event is refused for three seconds: nothing of its key passes it',
    options: { documents: { delivery: { maxAttempts: 1000 } } },
    async run(rig) {
      const { consumer } = rig.fleet;
      let victim: string | undefined;
      await during(
        rig,
        { kind: 'consumer', target: 'one event', forMs: 3000 },
        () => {
          consumer.behaviour.decide = (event) => {
            if (event.type.startsWith('dev.holdfast.')) return undefined;
            victim ??= event.id;
            return event.id === victim ? 503 : undefined;
          };
        },
        () => {
          consumer.behaviour.decide = undefined;
        },
      );
      await rig.flows(300);
    },
  },
];
