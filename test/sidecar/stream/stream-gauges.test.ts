import { expect } from 'chai';
import { loadDocuments } from '../../../src/config/load-documents.ts';
import { resolve, type StreamPlan } from '../../../src/config/plan.ts';
import type { HoldReason } from '../../../src/core/events/consumer-health.ts';
import { OTHER, Outbox } from '../../../src/core/events/outbox.ts';
import { NO_PROGRESS_MS } from '../../../src/core/events/no-progress.ts';
import type { Parcel } from '../../../src/delivery/envelope.ts';
import type { Delivery } from '../../../src/delivery/delivery-ports.ts';
import type { Deps } from '../../../src/sidecar/runtime/environment.ts';
import { StreamGauges, type Standing } from '../../../src/sidecar/stream/stream-gauges.ts';
import type { Dialect } from '../../../src/platforms/profile.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { writeDocuments } from '../../support/documents.ts';

function thrown(what: string): never {
  throw new Error(what);
}

/** One stream's gauges with a clock of our own: both clocks are the same, from 0 on. */
class Rig {
  nowMs = 0;
  hold: HoldReason | undefined;
  ready = true;
  open = true;
  readonly metrics = createMetrics();
  readonly outbox: Outbox<Parcel>;
  readonly gauges: StreamGauges;
  readonly #kind: Delivery['kind'];

  constructor(dialect: Dialect, kind: Delivery['kind'] = 'push') {
    this.#kind = kind;
    const plan: StreamPlan =
      resolve(loadDocuments([writeDocuments({ simPort: 1, dialect })]))[0]?.streams[0] ?? thrown('no plan');
    const deps = { metrics: this.metrics, nowMs: () => this.nowMs, nowEpochMs: () => this.nowMs } as Deps;
    this.outbox = new Outbox<Parcel>(plan.outbox, 'stream');
    this.gauges = new StreamGauges(plan, deps);
  }

  push(): void {
    this.outbox.push({ receivedAtMs: this.nowMs } as Parcel, '', 100, OTHER);
  }

  settleAll(): void {
    for (const entry of this.outbox.take(1000, this.nowMs)) this.outbox.settle(entry.ord);
  }

  look(): Standing {
    const delivery = { kind: this.#kind, ready: this.ready, hold: this.hold } as Delivery;
    return this.gauges.look({ outbox: this.outbox, delivery, checkpointedOrd: 0, counted: 1, open: this.open });
  }

  /** The value of a gauge, undefined where the series is not there. */
  async value(name: string, labels = ''): Promise<number | undefined> {
    const text = await this.metrics.registry.metrics();
    const found = new RegExp(`^holdfast_${name}\\{client="acme",stream="main"${labels}\\} (\\S+)$`, 'm').exec(text);
    return found === null ? undefined : Number(found[1]);
  }
}

describe('gauges of a stream', () => {
  it('a stream that settles nothing for minutes is found, and only then', () => {
    const rig = new Rig('genesys-streams');
    rig.nowMs = 3_600_000;
    rig.push();
    expect(rig.look().noProgressMs, 'idle before').to.equal(undefined);
    rig.nowMs += NO_PROGRESS_MS;
    expect(rig.look().noProgressMs).to.equal(NO_PROGRESS_MS);
    rig.hold = 'consumer_down';
    expect(rig.look().noProgressMs, 'something says why').to.equal(undefined);
    rig.hold = undefined;
    rig.open = false;
    expect(rig.look().noProgressMs, 'the lease is in doubt').to.equal(undefined);
    rig.open = true;
    rig.push();
    const [, second] = rig.outbox.take(2, rig.nowMs);
    rig.outbox.settle(second?.ord ?? thrown('one entry'));
    expect(rig.look().noProgressMs, 'another one was settled, ahead of the first').to.equal(undefined);
  });

  it('progress and age are figures to alert on', async () => {
    const rig = new Rig('genesys-streams');
    rig.nowMs = 10_000;
    rig.push();
    rig.settleAll();
    rig.look();
    rig.push();
    rig.nowMs = 70_000;
    rig.look();
    expect(await rig.value('last_progress_timestamp_seconds')).to.equal(10);
    expect(await rig.value('oldest_unsettled_age_seconds')).to.equal(60);
    expect(await rig.value('backlog_events')).to.equal(1);
    expect(await rig.value('backlog_bytes')).to.equal(100);
    expect(await rig.value('checkpoint_lag_events'), 'settled, not stored').to.equal(1);
  });

  // Found and mended: B6
  it('what holds the consumer is one of the series, and the others are 0', async () => {
    const rig = new Rig('genesys-streams');
    rig.push();
    rig.hold = 'consumer_rejected';
    expect(rig.look().hold).to.equal('consumer_rejected');
    expect(await rig.value('delivery_held', ',reason="consumer_rejected"')).to.equal(1);
    expect(await rig.value('delivery_held', ',reason="consumer_down"')).to.equal(0);
    rig.hold = undefined;
    rig.look();
    expect(await rig.value('delivery_held', ',reason="consumer_rejected"')).to.equal(0);
  });

  // Found and mended: B6
  it('events wait and nobody pulls: the consumer is absent', () => {
    const rig = new Rig('genesys-streams', 'pull');
    rig.ready = false;
    expect(rig.look().hold, 'nothing waits').to.equal(undefined);
    rig.push();
    expect(rig.look().hold).to.equal('consumer_absent');
    rig.ready = true;
    expect(rig.look().hold).to.equal(undefined);
  });

  // Found and mended: B12
  it('class C: a gap of times and a break that lasts count as unknown time', async () => {
    const rig = new Rig('genesys-gateway');
    rig.gauges.connected(true);
    rig.nowMs = 60_000;
    rig.gauges.connected(false);
    expect(rig.look().continuity, 'it has just broken').to.equal(1);
    rig.nowMs = 80_000;
    expect(rig.look().continuity, 'nothing is known of the last 20 of 80 s').to.equal(0.75);
    rig.gauges.connected(true);
    const times = { fromTime: new Date(60_000).toISOString(), toTime: new Date(80_000).toISOString() };
    rig.gauges.gap({ from: times.fromTime, to: times.toTime, cause: 'no_replay', count: undefined, ...times });
    expect(rig.look().continuity).to.equal(0.75);
    expect(await rig.value('continuity_ratio')).to.equal(0.75);
    rig.nowMs = 1e12;
    expect(rig.look().continuity, 'never whole beside a gap').to.equal(0.99999);
  });

  // Found and mended: B12
  it('class B by cursor: a gap without times counts from the break on', () => {
    const rig = new Rig('cxone-events');
    rig.gauges.connected(true);
    rig.nowMs = 60_000;
    rig.gauges.connected(false);
    rig.nowMs = 120_000;
    expect(rig.look().continuity, 'it resumes: nothing says that anything is missing').to.equal(1);
    rig.gauges.connected(true);
    rig.gauges.gap({ from: 'x', to: 'y', cause: 'retention_exceeded', count: undefined });
    expect(rig.look().continuity).to.equal(0.5);
  });

  it('the gap that a dead leader left counts from its beginning, before this leader began', () => {
    const rig = new Rig('genesys-gateway');
    rig.nowMs = 1000;
    const times = { fromTime: new Date(-9000).toISOString(), toTime: new Date(0).toISOString() };
    rig.gauges.gap({ from: times.fromTime, to: times.toTime, cause: 'no_replay', count: undefined, ...times });
    expect(rig.look().continuity).to.be.closeTo(0.1, 1e-9);
  });

  it('an old leader says nothing of the stream any more', async () => {
    const rig = new Rig('genesys-streams');
    rig.gauges.connected(true);
    rig.push();
    rig.hold = 'consumer_down';
    rig.nowMs = 600_000;
    rig.look();
    rig.gauges.over();
    for (const name of ['connected', 'backlog_events', 'backlog_bytes', 'in_flight', 'oldest_unsettled_age_seconds'])
      expect(await rig.value(name), name).to.equal(0);
    expect(await rig.value('delivery_held', ',reason="consumer_down"')).to.equal(0);
    for (const name of ['continuity_ratio', 'last_progress_timestamp_seconds'])
      expect(await rig.value(name), name).to.equal(undefined);
  });
});
