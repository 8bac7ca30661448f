import { expect } from 'chai';
import { condition, NS, TRUTH_MS, type LiveFleet } from './live-fleet.ts';
import { pod } from './plane.ts';

/** The status, the Events and the columns of StreamClient and EventStream. */
export function statusTests(fleet: LiveFleet): void {
  it('says what is missing: no pods, then credentials, and that the application may start all the same', async () => {
    await fleet.told(
      'there are no pods',
      () => condition(fleet.client(), 'LeaderElected') === 'False NoPods' && fleet.client().status?.state === 'NoPods',
      20_000,
    );
    for (const name of ['acme-0', 'acme-1', 'acme-2']) {
      await fleet.cluster.until(
        'the pod is admitted',
        () => fleet.cluster.pipe(pod(name, 'acme'), 'create', '-n', NS).code === 0,
      );
      const sidecar = await fleet.sidecar(name);
      fleet.sidecars.push(sidecar);
      sidecar.start();
    }
    await fleet.told(
      'credentials are missing',
      () => condition(fleet.client(), 'Authenticated') === 'False CredentialsMissing',
      20_000,
    );
    expect(fleet.client().status?.conditions?.find((one) => one.type === 'Ready')?.message).to.include(
      'put the credential there',
    );
    expect(await fleet.sidecars[0]?.healthy(), 'started, so the application starts').to.equal(true);
    for (const sidecar of fleet.sidecars) sidecar.credentials();
    await fleet.told(
      'somebody leads',
      () => condition(fleet.client(), 'Ready') === 'True Leading' && fleet.client().status?.podsSummary === '3/3',
      20_000,
    );
    await fleet.flows(50);
    await fleet.told('the stream is live', () => condition(fleet.stream(), 'Ready') === 'True Streaming', 10_000);
    expect(condition(fleet.stream(), 'Resumable')).to.equal('True BySequence');
    expect(condition(fleet.stream(), 'Continuous')).to.equal('True NoGaps');
  });

  it('kubectl reads well: wait, get, describe, labels of pods', async () => {
    expect(fleet.kubectl('wait', '--for=condition=Ready', 'hfc/acme', '-n', NS, '--timeout=10s').code).to.equal(0);
    expect(fleet.kubectl('get', 'hfc', 'acme', '-n', NS).out).to.match(
      /acme +GenesysCloud +local +acme-\d +Active +3\/3 +True/,
    );
    expect(fleet.kubectl('get', 'hfs', 'main', '-n', NS).out).to.match(
      /main +acme +genesys-streams +Streaming +100\.000% +0 +\S+ +True/,
    );
    await fleet.told(
      'the pods say their role',
      () =>
        fleet.kubectl('get', 'pods', '-n', NS, '-l', 'holdfast.dev/role=leader', '-o', 'name').out.trim() ===
          `pod/${fleet.leader().name}` &&
        fleet.kubectl('get', 'pods', '-n', NS, '-l', 'holdfast.dev/role=standby', '-o', 'name').out.trim().split('\n')
          .length === 2,
    );
    await fleet.told('there is an Event', () => fleet.events('LeaderElected').includes('StreamClient/acme'));
    expect(fleet.kubectl('describe', 'hfc', 'acme', '-n', NS).out)
      .to.include('LeaderElected')
      .and.include('leads with epoch');
    expect(fleet.kubectl('events', '-n', NS, '--for', 'streamclient/acme').out).to.include('LeaderElected');
  });

  it('a leader that crashes: another one is shown in time, with an Event, and one pod less', async () => {
    const old = fleet.leader();
    const { epoch = 0 } = fleet.client().status?.leader ?? {};
    await old.end('SIGKILL');
    await fleet.flows(50);
    await fleet.told(
      'the new leader is shown',
      () => (fleet.client().status?.leader?.epoch ?? 0) > epoch && fleet.client().status?.leader?.podName !== old.name,
    );
    await fleet.told('one sidecar is silent', () => fleet.client().status?.podsSummary === '2/3', TRUTH_MS * 2);
    expect(
      fleet
        .events('LeaderElected')
        .split('\n')
        .filter((line) => line !== '').length,
    ).to.be.at.least(2);
    await fleet.replace(old);
    await fleet.told('all are back', () => fleet.client().status?.podsSummary === '3/3', 20_000);
  });

  it('tokens that are refused: not authenticated, with the reason; true again when they are given', async () => {
    fleet.sim.do({ do: 'set', faults: { token: { status: 401, times: 1000, body: '{"error":"invalid_client"}' } } });
    fleet.sim.do({ do: 'revoke-tokens' });
    await fleet.told(
      'the failure is shown',
      () => condition(fleet.client(), 'Authenticated').startsWith('False'),
      TRUTH_MS + 3000,
    );
    await fleet.told('there is an Event', () => fleet.events('TokenRefreshFailed').includes('StreamClient/acme'));
    fleet.sim.do({ do: 'set', faults: { token: undefined } });
    await fleet.told(
      'it is authenticated again',
      () =>
        condition(fleet.client(), 'Authenticated') === 'True TokenValid' &&
        condition(fleet.client(), 'Ready') === 'True Leading',
      60_000,
    );
    await fleet.flows(20);
  });

  it('a breaker that opens is shown, and that it closed', async () => {
    fleet.sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 5 } } });
    fleet.sim.do({ do: 'drop' });
    await fleet.told(
      'the breaker is open',
      () => condition(fleet.client(), 'CircuitClosed').startsWith('False'),
      20_000,
    );
    await fleet.told('the Event is there', () => fleet.events('CircuitOpened') !== '');
    expect(condition(fleet.client(), 'Ready')).to.match(/^False (Open|HalfOpen)/);
    await fleet.told(
      'it is closed again',
      () =>
        condition(fleet.client(), 'CircuitClosed') === 'True Closed' &&
        condition(fleet.client(), 'Ready') === 'True Leading',
      60_000,
    );
    await fleet.flows(20);
  });

  it('a gap is counted, explained and an Event', async () => {
    const { gaps = 0 } = fleet.stream().status?.continuity ?? {};
    fleet.sim.do({ do: 'set', faults: { upgrade: { status: 503, times: 2 } } });
    fleet.sim.do({ do: 'drop' });
    fleet.sim.do({ do: 'generate', count: 300 });
    fleet.sim.do({ do: 'purge', keep: 20 });
    await fleet.flows(50);
    await fleet.told(
      'it is counted',
      () =>
        (fleet.stream().status?.continuity?.gaps ?? 0) > gaps &&
        condition(fleet.stream(), 'Continuous') === 'False ResumeGap',
    );
    expect(fleet.stream().status?.conditions?.find((one) => one.type === 'Continuous')?.message).to.match(
      /gaps were announced; the last one from \d+ to \d+/,
    );
    await fleet.told('there is an Event', () => fleet.events('ResumeGap').includes('EventStream/main'));
    await fleet.told(
      'all else is well',
      () =>
        condition(fleet.client(), 'Ready') === 'True Leading' &&
        condition(fleet.stream(), 'Ready') === 'True Streaming',
      60_000,
    );
  });
}
