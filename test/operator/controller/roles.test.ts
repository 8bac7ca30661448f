import { expect } from 'chai';
import { eventsOf } from '../../../src/operator/controller/kubernetes-events.ts';
import { sidecarOf, type SidecarReport } from '../../../src/operator/controller/sidecar-report.ts';
import { clientStatus } from '../../../src/operator/controller/client-status.ts';
import { roleShown } from '../../../src/operator/controller/role-shown.ts';
import { facts, report, sidecar } from '../facts.ts';

// Found and mended: B16
describe('the role of a pod', () => {
  const led = sidecar();
  const of = (uid: string, role: string, ageMs: number): SidecarReport =>
    sidecarOf({ replica: `p/${uid}`, ageMs, content: report({ pod: 'p', uid, client: { role } }) });

  it('is gone once its sidecar is silent while another one leads', () => {
    expect(roleShown('u1', 'standby', [led, of('u1', 'standby', 1000)])).to.equal('standby');
    expect(roleShown('u1', 'standby', [led, of('u1', 'standby', 6000)])).to.equal('gone');
    expect(roleShown('u1', 'leader', [led, of('u1', 'leader', 6000)])).to.equal('gone');
    expect(roleShown('u1', undefined, [led]), 'it has not begun').to.equal(undefined);
  });

  it('stays as it is while nobody leads: the store may be away', () => {
    expect(roleShown('u1', 'standby', [of('u1', 'standby', 6000)])).to.equal(undefined);
  });
});

// Found and mended: A5
describe('a leader whose credentials are refused, and nobody has better ones', () => {
  it('says so in its condition and in an Event', () => {
    const refused = sidecar({
      client: {
        role: 'leader',
        open: true,
        epoch: 7,
        token: { state: 'absent', failure: 'invalid_credentials' },
        credentials: 'ok',
        unfit: { why: 'credentials', asked: 2, nextTryMs: 60_000 },
      },
      notices: [
        { event: 'lease.kept', timestamp: '2026-01-01T00:00:00Z', why: 'credentials', asked: 2, retryInMs: 60_000 },
      ],
    });
    const status = clientStatus(facts({ sidecars: [refused] }));
    expect(status.conditions.find((one) => one.type === 'Authenticated')?.message).to.include(
      'no other replica was found whose credentials work (2 asked)',
    );
    expect(eventsOf('c', refused)[0]).to.include({
      reason: 'NoBetterLeader',
      note:
        'p-0 cannot do its work (credentials), and none of the 2 others asked can: it stays the leader and ' +
        'looks again in 60 s',
    });
  });
});
