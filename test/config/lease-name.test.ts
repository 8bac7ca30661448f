import { expect } from 'chai';
import { BY_HAND } from '../../src/config/installation.ts';
import { resolve, withOAuthClient, type ClientPlan } from '../../src/config/plan.ts';
import { eventStream, streamClient } from '../../src/config/schema.ts';

interface Over {
  readonly platform?: 'GenesysCloud' | 'NiceCXone';
  readonly region: string;
  readonly hosts?: Readonly<Record<string, string>>;
  readonly tenantId?: string;
  readonly dialect?: string;
}

function planOf({ dialect, ...over }: Over, clientId: string, name = 'main'): ClientPlan {
  const base = { apiVersion: 'holdfast.dev/v1alpha1', metadata: { name } };
  const client = streamClient.parse({
    ...base,
    kind: 'StreamClient',
    spec: { platform: 'GenesysCloud', credentials: { directory: '/run/secrets/x' }, ...over },
  });
  const cxone = over.platform === 'NiceCXone';
  const stream = eventStream.parse({
    ...base,
    kind: 'EventStream',
    spec: {
      clientRef: { name },
      dialect: dialect ?? (cxone ? 'cxone-events' : 'genesys-streams'),
      ...(cxone || dialect !== undefined ? {} : { path: 'routing-streams' }),
      delivery: { mode: 'Pull' },
    },
  });
  const [plan] = resolve({ clients: [client], streams: [stream], warnings: [], installation: BY_HAND });
  if (plan === undefined) throw new Error('no plan');
  return withOAuthClient(plan, clientId);
}
const leaseOf = (over: Over, clientId = 'id'): string => planOf(over, clientId).lease;

/** Found and mended: A4. */
describe('the name of the lease', () => {
  it('is one for both spellings of a Genesys Cloud region; events keep the region as it is written', () => {
    expect(leaseOf({ region: 'us-east-1' })).to.equal('GenesysCloud:us-east-1:id');
    expect(leaseOf({ region: 'mypurecloud.com' })).to.equal('GenesysCloud:us-east-1:id');
    expect(leaseOf({ region: 'us-east-1', hosts: { login: 'https://LOGIN.mypurecloud.com:443/' } })).to.equal(
      'GenesysCloud:us-east-1:id',
    );
    for (const region of ['us-east-1', 'mypurecloud.com'])
      expect(leaseOf({ region, dialect: 'genesys-gateway' }), 'the dialect of the first stream').to.equal(
        'GenesysCloud:us-east-1:id',
      );
    const plan = planOf({ region: 'mypurecloud.com' }, 'id');
    expect(plan.streams[0]?.source).to.equal('/holdfast/GenesysCloud/mypurecloud.com/main/main');
    expect(plan.streams[0]?.lease).to.equal(plan.lease);
  });

  it('is that of the login host where the host is not in the table, and with CXone, whose area is only a label', () => {
    const own = { login: 'https://login.example.com', api: 'https://a.example.com', streaming: 'wss://s.example.com' };
    expect(leaseOf({ region: 'us-east-1', hosts: own })).to.equal('GenesysCloud:login.example.com:id');
    expect(leaseOf({ region: 'example.com' })).to.equal('GenesysCloud:login.example.com:id');
    const [na, eu] = ['na1', 'eu1'].map((region) => leaseOf({ platform: 'NiceCXone', region }));
    expect(na).to.equal(eu);
    expect(na).to.match(/^NiceCXone:[a-z.-]+nice-incontact\.com:id$/);
  });

  it('a loopback host is a way out of this machine and names nothing: the region does', () => {
    const at = (port: number) => ({
      login: `http://127.0.0.1:${String(port)}`,
      api: `http://127.0.0.1:${String(port)}`,
      streaming: `ws://127.0.0.1:${String(port)}`,
    });
    const lease = leaseOf({ region: 'us-east-1', hosts: at(1) });
    expect(leaseOf({ region: 'mypurecloud.com', hosts: at(2) })).to.equal(lease);
    expect(leaseOf({ region: 'local', hosts: at(1) })).to.equal('GenesysCloud:local:id');
  });

  it('differs between platforms, regions and OAuth clients, whatever stands in their names', () => {
    const names = [
      leaseOf({ region: 'us-east-1' }),
      leaseOf({ region: 'eu-west-1' }),
      leaseOf({ region: 'us-east-1' }, 'ID'),
      leaseOf({ region: 'us-east-1' }, 'a:b'),
      leaseOf({ platform: 'NiceCXone', region: 'na1' }),
    ];
    expect(new Set(names).size).to.equal(names.length);
  });
});

/** Found and mended: A16. */
describe('the tenant of a client', () => {
  it('is the OAuth client where none is given, not the name that two teams may both have chosen', () => {
    expect(planOf({ region: 'us-east-1' }, 'team-a').tenantId).to.equal('team-a');
    expect(planOf({ region: 'us-east-1' }, 'team-b').tenantId).to.equal('team-b');
    expect(planOf({ region: 'us-east-1', tenantId: 'org' }, 'team-b').tenantId).to.equal('org');
    expect(planOf({ region: 'us-east-1', tenantId: 'main' }, 'team-b').tenantId).to.equal('main');
  });
});
