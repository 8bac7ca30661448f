import { expect } from 'chai';
import fc from 'fast-check';
import { eventsOf } from '../../../src/operator/controller/kubernetes-events.ts';
import { sidecarOf } from '../../../src/operator/controller/sidecar-report.ts';
import { clientStatus } from '../../../src/operator/controller/client-status.ts';
import { sameNews } from '../../../src/operator/controller/same-news.ts';
import { eventStreamStatus } from '../../../src/operator/controller/event-stream-status.ts';
import type { Facts } from '../../../src/operator/controller/first-reason.ts';
import { client, stream, report, sidecar, facts, condition } from '../facts.ts';

describe('what a status says', () => {
  it('all is well', () => {
    const status = clientStatus(facts());
    expect(status).to.deep.include({ state: 'Active', podsSummary: '1/1', observedGeneration: 3 });
    expect(status.leader).to.deep.include({ podName: 'p-0', epoch: 7 });
    for (const type of ['Ready', 'Accepted', 'LeaderElected', 'Authenticated', 'CircuitClosed'])
      expect(condition(status, type), type).to.match(/^True/);
    expect(condition(eventStreamStatus(stream, facts(), 0), 'Ready')).to.equal('True Streaming');
  });

  it('a Redis that is nearly full has a condition of its own, which takes nothing from Ready', () => {
    const at = (fill: number | undefined) => clientStatus(facts({ sidecars: [sidecar({ store: { fill } })] }));
    expect(condition(at(0.83), 'StoreHasRoom')).to.equal('False StoreNearlyFull');
    expect(condition(at(0.83), 'Ready')).to.equal('True Leading');
    expect(condition(at(0.79), 'StoreHasRoom')).to.equal('True Enough');
    expect(condition(at(undefined), 'StoreHasRoom'), 'no limit').to.equal(' ');
  });

  // Found and mended: D4
  it('a private address is said with what to do about it', () => {
    const leading = { role: 'leader', open: true, epoch: 1, token: { state: 'absent', failure: 'private_address' } };
    const token = clientStatus(facts({ sidecars: [sidecar({ client: leading })] }));
    expect(condition(token, 'Authenticated')).to.equal('False PrivateAddress');
    const [before] = report()['streams'] as readonly Record<string, unknown>[];
    const held = { ...before, delivery: { inFlight: 0, hold: 'consumer_address_refused' } };
    const push = eventStreamStatus(stream, facts({ sidecars: [sidecar({ streams: [held] })] }), 0);
    expect(condition(push, 'Ready')).to.equal('False ConsumerAddressRefused');
    for (const [status, type] of [
      [token, 'Authenticated'],
      [push, 'Ready'],
    ] as const)
      expect(status.conditions.find((one) => one.type === type)?.message).to.include('network.allowPrivate');
  });

  const cases: readonly (readonly [string, Partial<Facts>, string, string])[] = [
    ['nobody asks', { pods: [], sidecars: [] }, 'LeaderElected', 'False NoPods'],
    [
      'a pod without the sidecar',
      { pods: [{ name: 'p', uid: 'u', attached: false, ended: false }], sidecars: [] },
      'LeaderElected',
      'False SidecarMissing',
    ],
    ['silence', { sidecars: [] }, 'LeaderElected', 'False SidecarSilent'],
    ['an old report counts for nothing', { sidecars: [sidecar({}, 6000)] }, 'LeaderElected', 'False SidecarSilent'],
    ['standbys only', { sidecars: [sidecar({ client: { role: 'standby' } })] }, 'LeaderElected', 'False Electing'],
    [
      'credentials are missing',
      {
        sidecars: [
          sidecar({
            client: undefined,
            problems: [{ code: 'HF_CONFIG_SECRET', field: 'f', rule: 'does not exist', remedy: 'put it there' }],
          }),
        ],
      },
      'Authenticated',
      'False CredentialsMissing',
    ],
    [
      'the token is refused',
      {
        sidecars: [
          sidecar({
            client: {
              role: 'leader',
              open: true,
              epoch: 1,
              token: { state: 'absent', failure: 'invalid_credentials' },
            },
          }),
        ],
      },
      'Authenticated',
      'False InvalidCredentials',
    ],
    [
      'the breaker is open',
      {
        sidecars: [
          sidecar({
            client: {
              role: 'leader',
              open: true,
              epoch: 1,
              token: { state: 'active' },
              breaker: 'open',
              breakerOpenForMs: 60_000,
            },
          }),
        ],
      },
      'CircuitClosed',
      'False Open',
    ],
    [
      'the lease is not open',
      { sidecars: [sidecar({ client: { role: 'leader', open: false, epoch: 1 } })] },
      'LeaderElected',
      'False LeaseNotOpen',
    ],
    [
      'Redis is away',
      { sidecars: [sidecar({ client: { role: 'standby' }, store: { trouble: 'HF_STORE_UNAVAILABLE' } })] },
      'LeaderElected',
      'False StoreUnavailable',
    ],
    [
      'documents do not fit',
      { streams: [{ ...stream, spec: { ...stream.spec, dialect: 'cxone-events' } }] },
      'Accepted',
      'False Invalid',
    ],
    ['Redis cannot be read', { unread: true, sidecars: [] }, 'LeaderElected', 'Unknown StoreUnavailable'],
    [
      'an older configuration runs',
      { sidecars: [sidecar({ configHash: '0123456789abcdef' })] },
      'Ready',
      'False ConfigurationPending',
    ],
    ['still closing', { client: { ...client, spec: { ...client.spec, suspend: true } } }, 'Ready', 'False Suspending'],
    [
      'suspended',
      { sidecars: [sidecar({ streams: [] })], client: { ...client, spec: { ...client.spec, suspend: true } } },
      'Ready',
      'False Suspended',
    ],
  ];
  for (const [what, over, type, expected] of cases)
    it(`${what}: ${expected}`, () => {
      expect(condition(clientStatus(facts(over)), type)).to.equal(expected);
    });

  const streamWith = (over: Record<string, unknown>): Record<string, unknown> => ({
    name: 's',
    class: 'C',
    state: 'LIVE',
    connection: { reconnects: 1 },
    continuity: { rate: 1, gaps: 0 },
    delivery: { inFlight: 2, backlog: 7 },
    events: { deadLettered: 0 },
    ...over,
  });
  const told = (over: Record<string, unknown>) =>
    eventStreamStatus(stream, facts({ sidecars: [sidecar({ streams: [streamWith(over)] })] }), 0);

  // Found and mended: B6, D1
  for (const [what, delivery, delivering, ready] of [
    ['events go on', {}, 'True Delivering', 'True Streaming'],
    ['the application is down', { hold: 'consumer_down' }, 'False ConsumerDown', 'False ConsumerDown'],
    ['a hold of a later version', { hold: 'consumer_throttled' }, 'False ConsumerThrottled', 'False ConsumerThrottled'],
    ['nobody pulls', { hold: 'consumer_absent' }, 'False ConsumerAbsent', 'True Streaming'],
    ['nothing is settled and nothing says why', { noProgressMs: 400_000 }, 'False NoProgress', 'False NoProgress'],
  ] as const)
    it(`${what}: ${delivering}`, () => {
      const status = told({ delivery: { inFlight: 2, backlog: 7, ...delivery } });
      expect(condition(status, 'Delivering')).to.equal(delivering);
      expect(condition(status, 'Ready')).to.equal(ready);
      expect(status.delivery).to.deep.equal({ backlog: 7, pendingAcks: 2, deadLetters: 0 });
    });

  it('how long nothing was settled and how much waits is no news each time', () => {
    const first = told({ delivery: { backlog: 7, noProgressMs: 400_000 } });
    const later = told({ delivery: { backlog: 9000, noProgressMs: 900_000 } });
    expect(sameNews(first, later)).to.equal(true);
  });

  // Found and mended: B12
  it('continuity is not shown as whole beside a gap', () => {
    expect(told({ continuity: { rate: 0.999999, gaps: 3 } }).continuity).to.deep.equal({ ratio: '99.999%', gaps: 3 });
    expect(told({}).continuity).to.deep.equal({ ratio: '100.000%', gaps: 0 });
  });

  // Found and mended: D3
  it("the store's own words stand in a condition, although the lease is held", () => {
    const words = "Redis did not carry out the command (OOM): OOM command not allowed when used memory > 'maxmemory'";
    const refused = clientStatus(facts({ sidecars: [sidecar({ store: { trouble: words, warnings: [] } })] }));
    expect(condition(refused, 'LeaderElected')).to.equal('True Leading');
    expect(condition(refused, 'StoreAvailable')).to.equal('False StoreUnavailable');
    expect(refused.conditions.find((one) => one.type === 'StoreAvailable')?.message).to.include(words);
    expect(condition(refused, 'Ready')).to.equal('False StoreUnavailable');
    const warned = clientStatus(facts({ sidecars: [sidecar({ store: { warnings: ['maxmemory-policy evicts'] } })] }));
    expect(condition(warned, 'StoreAvailable')).to.equal('True StoreUnsafe');
    expect(condition(warned, 'Ready')).to.equal('True Leading');
  });

  it('of two that say they lead the newer epoch counts', () => {
    const older = sidecarOf({
      replica: 'p-1/u1',
      ageMs: 0,
      content: report({ pod: 'p-1', client: { role: 'leader', open: true, epoch: 6 } }),
    });
    expect(clientStatus(facts({ sidecars: [older, sidecar()] })).leader?.podName).to.equal('p-0');
  });

  it('times move only when something does, and figures alone are no news', () => {
    const first = clientStatus(facts());
    const later = clientStatus(facts({ client: { ...client, status: first }, nowEpochMs: 1_800_000_009_000 }));
    expect(later.conditions).to.deep.equal(first.conditions);
    expect(later.leader).to.deep.equal(first.leader);
    const one = eventStreamStatus(stream, facts(), 0);
    const moved = eventStreamStatus(
      { ...stream, status: one },
      facts({
        sidecars: [
          sidecar({
            streams: [
              {
                name: 's',
                class: 'A',
                state: 'LIVE',
                connection: { reconnects: 1 },
                continuity: { rate: 1, gaps: 0 },
                delivery: { inFlight: 99 },
                lastEventAt: '2027-01-01T00:00:00.000Z',
              },
            ],
          }),
        ],
      }),
      0,
    );
    expect(sameNews(one, moved)).to.equal(true);
    const gap = eventStreamStatus(
      stream,
      facts({
        sidecars: [
          sidecar({
            streams: [
              {
                name: 's',
                class: 'A',
                state: 'LIVE',
                connection: { reconnects: 1 },
                continuity: { rate: 0.9, gaps: 1, lastGap: { from: '1', to: '9', cause: 'retention_exceeded' } },
              },
            ],
          }),
        ],
      }),
      0,
    );
    expect(sameNews(one, gap)).to.equal(false);
    expect(condition(gap, 'Continuous')).to.equal('False ResumeGap');
  });

  it('a stream without its client, without a leader, or not yet known says so', () => {
    expect(condition(eventStreamStatus(stream, undefined, 0), 'Ready')).to.equal('False ClientMissing');
    expect(condition(eventStreamStatus(stream, facts({ sidecars: [] }), 0), 'Ready')).to.equal('False NoLeader');
    expect(condition(eventStreamStatus(stream, facts({ sidecars: [sidecar({ streams: [] })] }), 0), 'Ready')).to.equal(
      'False ConfigurationPending',
    );
  });

  it('whatever stands in a report, a status comes out', () => {
    fc.assert(
      fc.property(
        fc.object({
          maxDepth: 4,
          key: fc.constantFrom(
            'client',
            'streams',
            'notices',
            'problems',
            'token',
            'epoch',
            'state',
            'name',
            'event',
            'timestamp',
            'continuity',
            'store',
            'warnings',
            '__proto__',
          ),
        }),
        (content) => {
          const hostile = sidecarOf({ replica: 'x', ageMs: 0, content });
          clientStatus(facts({ sidecars: [hostile] }));
          eventStreamStatus(stream, facts({ sidecars: [hostile] }), 0);
          eventsOf('c', hostile);
        },
      ),
    );
  });
});

describe('Events', () => {
  const notice = (event: string, fields: Record<string, unknown> = {}, timestamp = '2026-11-21T10:00:00.000Z') => ({
    event,
    timestamp,
    clientId: 'c',
    ...fields,
  });

  it('the same happening has the same name whoever tells it, another one another', () => {
    const [one] = eventsOf(
      'c',
      sidecar({ notices: [notice('leader.changed', { to: 'n/p-0/u0', from: '', epoch: '7', how: 'acquired' })] }),
    );
    const [same] = eventsOf(
      'c',
      sidecar({ notices: [notice('leader.changed', { to: 'n/p-0/u0', from: '', epoch: '7', how: 'acquired' })] }),
    );
    const [other] = eventsOf(
      'c',
      sidecar({
        notices: [
          notice(
            'leader.changed',
            { to: 'n/p-0/u0', from: '', epoch: '8', how: 'acquired' },
            '2026-11-21T10:00:01.000Z',
          ),
        ],
      }),
    );
    expect(one?.id).to.equal(same?.id).and.not.equal(other?.id);
    expect(one).to.deep.include({
      reason: 'LeaderElected',
      kind: 'StreamClient',
      object: 'c',
      note: 'p-0 leads with epoch 7 (acquired)',
    });
  });

  it(
    'a planned change is not told as a loss, an unknown record not ' + 'at all, and a stream is what a gap is about',
    () => {
      const told = eventsOf(
        'c',
        sidecar({
          notices: [
            notice('lease.lost', { why: 'handed_over' }),
            notice('other'),
            notice('gap.detected', { stream: 's', from: '1', to: '5', cause: 'retention_exceeded' }),
          ],
        }),
      );
      expect(told.map((one) => `${one.reason} ${one.kind}/${one.object}`)).to.deep.equal(['ResumeGap EventStream/s']);
    },
  );
});
